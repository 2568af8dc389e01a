"""Weights of the terms of a loss: the contract, and schedules as weights."""

import math
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

from sklearn.base import BaseEstimator

from skvae.schedules._schedules import Constant, Schedule, checked


def require(
    spec: BaseEstimator,
    name: str,
    is_valid: Callable[[Any], bool],
    said: str,
    kind: Any = Real,
) -> None:
    """Raise ValueError unless a parameter of a spec is a number that is valid."""
    value = getattr(spec, name)
    if not (isinstance(value, kind) and is_valid(value)):
        raise ValueError(f"{name} of {spec!r} must be {said}. Got {value!r}.")


class Progress(float):  # numpydoc ignore=PR02
    """Fraction of a fit that is done, in [0, 1]; it knows the epochs, too.

    Parameters
    ----------
    epoch : float
        Epochs done so far; fractions count the steps within an epoch.
    n_epochs : float
        The most epochs that the fit may take.
    """

    epoch: float
    n_epochs: float

    def __new__(cls, epoch: float, n_epochs: float) -> "Progress":
        """Return the fraction."""
        progress = super().__new__(cls, epoch / n_epochs)
        progress.epoch, progress.n_epochs = epoch, n_epochs
        return progress


class Weight(BaseEstimator):
    """Weight of a term of the loss, with a state if it watches the fit.

    A state is a plain value, of numbers, strings and tuples, so that a fit can be
    saved and resumed. Schedules and numbers become weights without one.
    """

    watches: str | None = None
    """When `update` is called: "steps", after each step with the mean terms of its
    batch; "epochs", after each epoch with those of the held-out rows, or of the
    training rows where none are held out; None, never."""

    least: float = math.inf
    """Least value that watching may lead to; infinity where `value` says it all."""

    def start(self) -> Any:
        """Return the state before the first step."""
        return None

    def value(self, state: Any, progress: float) -> float:
        """Return the weight.

        Parameters
        ----------
        state : object
            What `start` or `update` returned last.
        progress : float
            Fraction of the fit that is done, in [0, 1].

        Returns
        -------
        value : float
        """
        raise NotImplementedError

    def update(self, state: Any, means: Mapping[str, float], progress: Any) -> Any:
        """Return the next state.

        Parameters
        ----------
        state : object
        means : mapping of str to float
            Mean over rows of each term, in nats, before it is weighted.
        progress : Progress
            Fraction of the fit that is done, in [0, 1], at that step or epoch.

        Returns
        -------
        state : object
        """
        return state

    def accepts(self, state: Any) -> bool:
        """Return whether the fit may return the model that it has now.

        A controller answers no while what it watches is away from its target.

        Parameters
        ----------
        state : object

        Returns
        -------
        accepts : bool
        """
        return True

    def is_settled(self, state: Any) -> bool:
        """Return whether the fit may stop early; by default as `accepts` answers.

        Parameters
        ----------
        state : object

        Returns
        -------
        is_settled : bool
        """
        return self.accepts(state)

    def check(self) -> None:
        """Raise ValueError where a parameter is invalid."""


class Scheduled(Weight):
    """A schedule as a weight without a state.

    Parameters
    ----------
    schedule : Schedule
    """

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule

    def value(self, state: Any, progress: Any) -> float:
        """Return the schedule's value at this moment."""
        return self.schedule(progress.epoch, progress.n_epochs)


def as_weight(value: float | Schedule | Weight) -> Weight:
    """Return a weight from a weight, a schedule or a number."""
    if isinstance(value, Weight):
        value.check()
        return value
    if not isinstance(value, Schedule | Real):
        raise ValueError(
            f"A weight must be a number, a Schedule or a Weight. Got {value!r}."
        )
    schedule = value if isinstance(value, Schedule) else Constant(float(value))
    return Scheduled(checked(schedule))
