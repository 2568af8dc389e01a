"""A step of training, recorded once as a CUDA graph and replayed with new inputs.

A small network's step launches dozens of kernels, each of which runs for less time than
its launch takes; a graph launches them together.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

WARM_UP_STEPS = 3
"""Steps taken before one is recorded, as torch's guide to CUDA graphs asks for."""


Value = Tensor | float | None


class Recording(NamedTuple):
    """What replays a step: the inputs it reads, its answer, and the way to run it."""

    inputs: list[Any]
    answer: Tensor
    replay: Callable[[], Any]


def record_cuda_graph(take: Callable[..., Tensor], inputs: list[Any]) -> Recording:
    """Return a recording of `take(*inputs)` made on the current CUDA device."""
    current, side = torch.cuda.current_stream(), torch.cuda.Stream()
    side.wait_stream(current)
    with torch.cuda.stream(side):
        for _ in range(WARM_UP_STEPS):
            take(*inputs)
    current.wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        answer = take(*inputs)
    return Recording(inputs, answer, graph.replay)


def _held(value: Value, device: torch.device) -> Tensor | None:
    """Return memory for an input, with its present value; None stays None."""
    if isinstance(value, Tensor):
        return value.clone()
    if value is None:
        return None
    return torch.full((), value, dtype=torch.float32, device=device)


class Replayed:
    """A step that is recorded for each size of batch and replayed from then on.

    Where a step cannot be recorded, it is taken as it is.

    Parameters
    ----------
    take : callable
        Takes a step with tensors, numbers and None, and returns a tensor. It must read
        and change the same memory at every call, and never wait for the device.
    save, restore : callable
        `save()` gives a state that `restore` goes back to: recording takes steps.
    record : callable
        Makes a `Recording` of `take` with given inputs.
    """

    def __init__(
        self,
        take: Callable[..., Tensor],
        save: Callable[[], Any],
        restore: Callable[[Any], None],
        record: Callable[..., Recording] = record_cuda_graph,
    ) -> None:
        self.take, self.save, self.restore = take, save, restore
        self.record = record
        self.recordings: dict[int, Recording | None] = {}

    def __call__(self, x: Tensor, *others: Value) -> Tensor:
        """Take a step with a batch and the step's other inputs."""
        n_rows = x.shape[0]
        if n_rows not in self.recordings:
            self.recordings[n_rows] = self._recorded(x, *others)
        recording = self.recordings[n_rows]
        if recording is None:
            return self.take(x, *others)
        for held, given in zip(recording.inputs, (x, *others), strict=True):
            if isinstance(given, Tensor):
                held.copy_(given)
            elif given is not None:
                held.fill_(given)
        recording.replay()
        return recording.answer.clone()

    def _recorded(self, x: Tensor, *others: Value) -> Recording | None:
        inputs = [_held(value, x.device) for value in (x, *others)]
        before = self.save()
        try:
            return self.record(self.take, inputs)
        except RuntimeError:
            return None
        finally:
            self.restore(before)
