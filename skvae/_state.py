"""The state of a training run: weights, history, snapshots, the best so far."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from skvae._optimizers import Optimizer

AVERAGING_POWER = 8
"""A state weighs by its number to this power, so that about the last ninth counts."""


@dataclass
class History:
    """Mean losses per row after each epoch, in nats.

    `validation` starts with the state before the first epoch.
    """

    loss: list[float] = field(default_factory=list)
    reconstruction: list[float] = field(default_factory=list)
    kl: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)

    def copy(self) -> "History":
        """Return a copy that can be added to."""
        return History(
            self.loss[:], self.reconstruction[:], self.kl[:], self.validation[:]
        )

    def report(self) -> str:
        """Return a line about the last epoch."""
        line = f"Epoch {len(self.loss)}: loss {self.loss[-1]:.6g}"
        if self.validation:
            line += f", held-out {self.validation[-1]:.6g}"
        return line


class FlatWeights:
    r"""All parameters of a module as one tensor, and their gradients as another.

    Their average over a run, in which late states weigh most, takes out the noise of
    single steps. It is that of polynomial decay (Shamir & Zhang 2013, equation 4): the
    t-th state moves it by :math:`(1 + \eta) / (t + \eta)` of the way towards itself.
    """

    def __init__(self, module: nn.Module) -> None:
        parameters = [p for p in module.parameters() if p.requires_grad]
        self.data = torch.cat([p.detach().reshape(-1) for p in parameters])
        self.gradient = torch.zeros_like(self.data)
        self.decayed = torch.zeros_like(self.data, dtype=torch.bool)
        self.average = self.data.clone()
        self.n_averaged = 0
        start = 0
        for p in parameters:
            part = slice(start, start + p.numel())
            p.data = self.data[part].view_as(p)
            p.grad = self.gradient[part].view_as(p)
            self.decayed[part] = p.ndim > 1
            start = part.stop

    def take_into_average(self) -> None:
        """Let the present state take part in the average."""
        self.n_averaged += 1
        part = (1 + AVERAGING_POWER) / (self.n_averaged + AVERAGING_POWER)
        self.average.lerp_(self.data, part)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Let the module have the averaged weights for a while."""
        present = self.data.clone()
        self.data.copy_(self.average)
        try:
            yield
        finally:
            self.data.copy_(present)


class Snapshot(NamedTuple):
    """A copy of everything that an epoch changes, as tensors or as arrays."""

    weights: Any
    average: Any
    n_averaged: int
    slots: dict[str, Any]
    n_steps: int

    @classmethod
    def take(cls, weights: "FlatWeights", optimizer: Optimizer) -> "Snapshot":
        """Copy the present state."""
        slots = {name: slot.clone() for name, slot in optimizer.state.items()}
        data, average = weights.data.clone(), weights.average.clone()
        return cls(data, average, weights.n_averaged, slots, optimizer.n_steps)

    def to_arrays(self) -> "Snapshot":
        """Return the same with NumPy arrays in place of tensors."""
        slots = {name: slot.cpu().numpy() for name, slot in self.slots.items()}
        weights, average = self.weights.cpu().numpy(), self.average.cpu().numpy()
        return self._replace(weights=weights, average=average, slots=slots)

    @classmethod
    def from_arrays(cls, arrays: "Snapshot") -> "Snapshot":
        """Return the same with tensors in place of NumPy arrays."""
        slots = {name: torch.tensor(slot) for name, slot in arrays.slots.items()}
        weights, average = torch.tensor(arrays.weights), torch.tensor(arrays.average)
        return arrays._replace(weights=weights, average=average, slots=slots)

    def restore(self, weights: FlatWeights, optimizer: Optimizer) -> None:
        """Go back to this state."""
        weights.data.copy_(self.weights)
        weights.average.copy_(self.average)
        weights.n_averaged = self.n_averaged
        optimizer.n_steps = self.n_steps
        for name, slot in self.slots.items():
            optimizer.state[name].copy_(slot)


class Resumed(NamedTuple):
    """Where an earlier run ended; the snapshot, of arrays, may not have been kept."""

    snapshot: Snapshot | None
    solver: str
    epoch: int
    history: History


class Best:
    """Keeps the weights with the least loss, and counts epochs without improvement.

    Parameters
    ----------
    tol : float or None
        Least improvement that counts.
    """

    def __init__(self, tol: float | None) -> None:
        self.tol = tol or 0.0
        self.loss = math.inf
        self.losses: list[float] = []
        self.weights: Tensor | None = None
        self.n_stale = 0
        self._reference = math.inf

    def offer(
        self,
        loss: float,
        weights: Tensor | None = None,
        may_be_kept: Callable[[], bool] = lambda: True,
    ) -> None:
        """Take the loss, and a copy of the weights, if it is the least so far.

        `may_be_kept` is asked only then; a state of which it is false is not taken.
        """
        self.losses.append(loss)
        if loss < self.loss and may_be_kept():
            self.loss = loss
            self.weights = None if weights is None else weights.clone()
        if loss < self._reference - self.tol:
            self._reference, self.n_stale = loss, 0
        else:
            self.n_stale += 1
