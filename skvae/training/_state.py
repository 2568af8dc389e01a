"""The state of a training run: everything that an epoch changes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from skvae.training._optimizers import Optimizer

AVERAGING_POWER = 8
"""Averaging exponent: step t weighs about t^8, so roughly the last ninth dominates."""


ALIGNED = 16
"""Each parameter begins at a multiple of so many numbers, which is one of 64 bytes.

Products of matrices that begin elsewhere take a few percent longer.
"""


class FlatParameters:
    r"""All parameters of a module as one tensor theta, and their gradient as another.

    Their average over a run, in which late steps weigh most, takes out the noise of
    single steps. It is that of polynomial decay (Shamir & Zhang 2013, equation 4): the
    t-th theta moves it by :math:`(1 + \eta) / (t + \eta)` of the way towards itself.
    """

    def __init__(self, module: nn.Module) -> None:
        parameters = [p for p in module.parameters() if p.requires_grad]
        sizes = [-(-p.numel() // ALIGNED) * ALIGNED for p in parameters]
        self.theta = parameters[0].new_zeros(sum(sizes)).detach()
        self.gradient = torch.zeros_like(self.theta)
        begin = 0
        for p, size in zip(parameters, sizes, strict=True):
            own = slice(begin, begin + p.numel())
            self.theta[own] = p.detach().reshape(-1)
            p.data = self.theta[own].view_as(p)
            p.grad = self.gradient[own].view_as(p)
            begin += size
        self.average = self.theta.clone()
        self.n_averaged = 0

    def take_into_average(self) -> None:
        """Update the average with theta."""
        self.n_averaged += 1
        fraction = (1 + AVERAGING_POWER) / (self.n_averaged + AVERAGING_POWER)
        self.average.lerp_(self.theta, fraction)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Give the module the averaged parameters in this context."""
        present = self.theta.clone()
        self.theta.copy_(self.average)
        try:
            yield
        finally:
            self.theta.copy_(present)


@dataclass
class History:
    """Mean loss per row after each epoch, in nats, and its terms before weighting.

    Losses are weighted as at the end of a run. `validation` starts with the state
    before the first epoch, and `weights` are those of the terms.
    """

    loss: list[float] = field(default_factory=list)
    terms: dict[str, list[float]] = field(default_factory=dict)
    validation: list[float] = field(default_factory=list)
    weights: dict[str, list[float]] = field(default_factory=dict)

    def copy(self) -> "History":
        """Return a copy that can be added to."""
        terms = {name: curve[:] for name, curve in self.terms.items()}
        weights = {name: curve[:] for name, curve in self.weights.items()}
        return History(self.loss[:], terms, self.validation[:], weights)

    def report(self) -> str:
        """Return a line about the last epoch."""
        line = f"Epoch {len(self.loss)}: loss {self.loss[-1]:.6g}"
        named = (f"{name} {curve[-1]:.6g}" for name, curve in self.terms.items())
        line += f" ({', '.join(named)})"
        return line + (f", held-out {self.validation[-1]:.6g}" * bool(self.validation))


@dataclass
class Kept:
    """What is remembered of the states so far, in order to keep the best.

    Attributes
    ----------
    theta : Tensor or None
        Parameters of the best state; None without held-out rows.
    best, reference : dict of str to float, or None
        Mean terms of the best state, and of the last one that improved by `tol`.
    n_stale : int
        Epochs since that one.
    losses : list of float
        Losses offered so far.
    standard : tuple of float, or None
        What a state must reach to replace the start.
    is_start : bool
        Whether the best state is still a linear start.
    """

    theta: Tensor | None = None
    best: Mapping[str, float] | None = None
    reference: Mapping[str, float] | None = None
    n_stale: int = 0
    losses: list[float] = field(default_factory=list)
    standard: tuple[float, ...] | None = None
    is_start: bool = False


@dataclass
class Counters:
    """Progress of a run.

    Attributes
    ----------
    run : str
        What is trained and how: an unfinished run goes on only if that is unchanged.
    n_epochs, first_epoch : int
        Epochs done in this run, and in those before it.
    slowdown : float
        Factor of the learning rate.
    weights : dict of str to object
        State of the weight of each term.
    is_finished : bool
        Whether the run ended by itself.
    """

    run: str = ""
    n_epochs: int = 0
    first_epoch: int = 0
    slowdown: float = 1.0
    weights: dict[str, Any] = field(default_factory=dict)
    is_finished: bool = False


class Saved(NamedTuple):
    """A copy of a state: its arrays by name, empty if they were not kept, and facts."""

    arrays: dict[str, Any]
    facts: dict[str, Any]

    def to_numpy(self) -> "Saved":
        """Return the same with NumPy arrays in place of tensors."""
        arrays = {name: array.cpu().numpy() for name, array in self.arrays.items()}
        return Saved(arrays, self.facts)

    def to_torch(self, device: torch.device) -> "Saved":
        """Return the same with tensors in place of NumPy arrays."""
        arrays = {k: torch.tensor(v, device=device) for k, v in self.arrays.items()}
        return Saved(arrays, self.facts)


class TrainingState:
    """Everything that an epoch changes, apart from the loop and the data.

    Parameters
    ----------
    parameters : FlatParameters
    optimizer : Optimizer
    """

    def __init__(self, parameters: FlatParameters, optimizer: Optimizer) -> None:
        self.parameters, self.optimizer = parameters, optimizer
        self.counters, self.history, self.kept = Counters(), History(), Kept()

    def arrays(self) -> dict[str, Tensor]:
        """Return the tensors of the state by name; that of the best is never changed.

        Of shape (P,) each, P the number of parameters.
        """
        arrays = {"theta": self.parameters.theta, "average": self.parameters.average}
        return arrays | {f"slot_{k}": v for k, v in self.optimizer.state.items()}

    def facts(self) -> dict[str, Any]:
        """Return all else as plain values: numbers, strings, lists and dicts."""
        kept = {**vars(self.kept), "losses": self.kept.losses[:]}
        del kept["theta"]
        counters = self.counters
        return {
            "n_steps": self.optimizer.n_steps,
            "n_averaged": self.parameters.n_averaged,
            "counters": {**vars(counters), "weights": dict(counters.weights)},
            "history": vars(self.history.copy()),
            "kept": kept,
        }

    def save(self) -> Saved:
        """Return a copy."""
        arrays = {name: array.clone() for name, array in self.arrays().items()}
        if self.kept.theta is not None:
            arrays["best"] = self.kept.theta
        return Saved(arrays, self.facts())

    def load(self, saved: Saved) -> None:
        """Go back to a copy."""
        facts = saved.facts
        self.load_arrays(saved)
        self.counters = Counters(**facts["counters"])
        self.counters.weights = dict(self.counters.weights)
        self.history = History(**facts["history"]).copy()
        self.kept = Kept(**facts["kept"], theta=saved.arrays.get("best"))
        self.kept.losses = self.kept.losses[:]

    def follow(self, earlier: Saved) -> None:
        """Begin a new run after an earlier one."""
        counters = earlier.facts["counters"]
        self.history = History(**earlier.facts["history"]).copy()
        self.counters.first_epoch = counters["first_epoch"] + counters["n_epochs"]

    def fits(self, saved: Saved) -> bool:
        """Return whether a copy has the arrays of this state, from the same solver."""
        return saved.arrays.keys() - {"best"} == self.arrays().keys()

    def load_arrays(self, saved: Saved) -> None:
        """Take parameters, their average and the optimizer's state from a copy."""
        for name, array in self.arrays().items():
            array.copy_(saved.arrays[name])
        self.optimizer.n_steps = saved.facts["n_steps"]
        self.parameters.n_averaged = saved.facts["n_averaged"]
