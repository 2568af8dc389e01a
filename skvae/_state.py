"""The state of a training run: weights, history, snapshots, the best so far."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from skvae._optimizers import Optimizer


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
    """All parameters of a module as one tensor, and their gradients as another."""

    def __init__(self, module: nn.Module) -> None:
        parameters = [p for p in module.parameters() if p.requires_grad]
        self.data = torch.cat([p.detach().reshape(-1) for p in parameters])
        self.gradient = torch.zeros_like(self.data)
        self.decayed = torch.zeros_like(self.data)
        start = 0
        for p in parameters:
            part = slice(start, start + p.numel())
            p.data = self.data[part].view_as(p)
            p.grad = self.gradient[part].view_as(p)
            self.decayed[part] = float(p.ndim > 1)
            start = part.stop


class Snapshot(NamedTuple):
    """A copy of everything that an epoch changes, as tensors or as arrays."""

    weights: Any
    slots: dict[str, Any]
    n_steps: int

    @classmethod
    def take(cls, weights: "FlatWeights", optimizer: Optimizer) -> "Snapshot":
        """Copy the present state."""
        slots = {name: slot.clone() for name, slot in optimizer.state.items()}
        return cls(weights.data.clone(), slots, optimizer.n_steps)

    def to_arrays(self) -> "Snapshot":
        """Return the same with NumPy arrays in place of tensors."""
        slots = {name: slot.cpu().numpy() for name, slot in self.slots.items()}
        return Snapshot(self.weights.cpu().numpy(), slots, self.n_steps)

    @classmethod
    def from_arrays(cls, arrays: "Snapshot") -> "Snapshot":
        """Return the same with tensors in place of NumPy arrays."""
        slots = {name: torch.tensor(slot) for name, slot in arrays.slots.items()}
        return cls(torch.tensor(arrays.weights), slots, arrays.n_steps)

    def restore(self, weights: FlatWeights, optimizer: Optimizer) -> None:
        """Go back to this state."""
        weights.data.copy_(self.weights)
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
