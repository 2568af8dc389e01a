"""The flat optimizers follow torch's own."""

import pytest
import torch
from torch.testing import assert_close

from skvae.training import SOLVERS, _optimizers

REFERENCES = {
    "adam": (torch.optim.Adam, {}),
    "rmsprop": (torch.optim.RMSprop, {"alpha": 0.9, "eps": 1e-7}),
    "sgd": (torch.optim.SGD, {"momentum": 0.9}),
}


def _gradients(n_steps, n=6):
    random = torch.Generator().manual_seed(0)
    return torch.randn((n_steps, n), generator=random, dtype=torch.float64)


def _start():
    return torch.linspace(-2.0, 3.0, 6, dtype=torch.float64)


def _step(optimizer, gradient, rate):
    """Take a step against a gradient, given as a sum over four rows."""
    optimizer.tick()
    optimizer.update(4.0 * gradient, rate, torch.tensor(4.0))


@pytest.mark.parametrize("name", SOLVERS)
def test_optimizer_equals_torch(name):
    theta, expected = _start(), _start().requires_grad_()
    optimizer = SOLVERS[name](theta)
    make, options = REFERENCES[name]
    reference = make([expected], lr=1.0, **options)
    for step, gradient in enumerate(_gradients(20)):
        rate = 0.05 / (1 + step)
        expected.grad = gradient.clone()
        reference.param_groups[0]["lr"] = rate
        reference.step()
        _step(optimizer, gradient, rate)
        assert_close(theta, expected.detach(), rtol=1e-9, atol=1e-12)


def test_adam_equals_torch_without_its_private_kernel(monkeypatch):
    monkeypatch.setattr(_optimizers, "_has_fused_adam", lambda device: False)
    test_optimizer_equals_torch("adam")


@pytest.mark.parametrize("name", SOLVERS)
def test_optimizer_state_is_all_that_it_remembers(name):
    theta, other = _start(), None
    optimizer = SOLVERS[name](theta)
    for step, gradient in enumerate(_gradients(10)):
        if step == 5:
            copy = theta.clone()
            other = SOLVERS[name](copy)
            other.n_steps = optimizer.n_steps
            other.state = {key: slot.clone() for key, slot in optimizer.state.items()}
        if other is not None:
            _step(other, gradient, 0.01)
        _step(optimizer, gradient, 0.01)
    assert torch.equal(theta, copy)


@pytest.mark.parametrize("name", SOLVERS)
def test_optimizer_state_ends_at_zero_and_never_below_normal_numbers(name):
    optimizer = SOLVERS[name](torch.ones(3, dtype=torch.float32))
    gradient = torch.tensor([1e-6, -1.0, 0.0])
    for _ in range(1500):
        _step(optimizer, gradient, 1e-3)
        gradient.zero_()
        for slot in optimizer.state.values():
            size = slot.abs()
            assert not ((size > 0) & (size < torch.finfo(torch.float32).tiny)).any()
    fading = [
        s for n, s in optimizer.state.items() if n != "square" or name == "rmsprop"
    ]
    assert fading
    assert all((slot == 0).all() for slot in fading)
