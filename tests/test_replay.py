"""A recorded step is the step, with the inputs of each call.

What records is a CUDA graph; here a stand-in on the CPU replays by calling again, which
asks the same of the inputs. tests/test_gpu.py holds the graph itself to eager steps.
"""

import pytest
import torch

from skvae.training._replay import Recording, Replayed


class Walk:
    """A state that steps change."""

    def __init__(self):
        self.state = torch.zeros(2)

    def take(self, x, nothing, rate):
        assert nothing is None
        self.state += rate * x.sum(0)
        return self.state.sum()

    def replayed(self, record):
        return Replayed(self.take, self.state.clone, self.state.copy_, record)


def _call_again(take, inputs):
    answer = take(*inputs).clone()
    return Recording(inputs, answer, lambda: answer.copy_(take(*inputs)))


def _batches(sizes):
    random = torch.Generator().manual_seed(0)
    return [torch.randn((n, 2), generator=random) for n in sizes]


def test_replayed_steps_are_the_steps():
    plain, recorded = Walk(), Walk()
    replayed = recorded.replayed(_call_again)
    for i, x in enumerate(_batches([4, 4, 3, 4, 3])):
        assert torch.equal(replayed(x, None, 0.1 * i), plain.take(x, None, 0.1 * i))
        assert torch.equal(recorded.state, plain.state)
    assert replayed.recordings.keys() == {4, 3}


def test_replayed_answers_survive_the_next_step():
    walk = Walk()
    replayed = walk.replayed(_call_again)
    first, second = (replayed(x, None, 1.0) for x in _batches([4, 4]))
    assert not torch.equal(first, second)


def test_steps_that_cannot_be_recorded_are_taken():
    def refuse(take, inputs):
        take(*inputs)
        raise RuntimeError("operation not permitted when stream is capturing")

    plain, recorded = Walk(), Walk()
    replayed = recorded.replayed(refuse)
    for x in _batches([4, 4]):
        assert torch.equal(replayed(x, None, 0.5), plain.take(x, None, 0.5))
    assert replayed.recordings == {4: None}


def test_replayed_errors_of_other_kinds_are_raised():
    def fail(take, inputs):
        raise ValueError("a mistake")

    with pytest.raises(ValueError, match="a mistake"):
        Walk().replayed(fail)(torch.ones(1, 2), None, 1.0)
