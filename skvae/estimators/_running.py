"""What callbacks of this package may ask of a fit that is going on."""

from collections.abc import Callable
from typing import Any

from skvae.training import Training, Unfinished


class Running:
    """A fit that is going on.

    Parameters
    ----------
    owner : estimator
        The estimator whose `fit` was called: the model, or one with the model inside.
    training : Training
    best : callable
        Returns the model as the fit would return it now.

    Attributes
    ----------
    notes : dict
        What callbacks remember of this fit.
    """

    def __init__(self, owner: Any, training: Training, best: Callable[[], Any]) -> None:
        self.owner, self.training, self.best = owner, training, best
        self.notes: dict[Any, Any] = {}
        self._cut_off: Unfinished | None = None
        self._goes_on = True

    @property
    def n_epochs(self) -> int:
        """Number of epochs done."""
        return self.training.state.counters.n_epochs

    @property
    def is_finished(self) -> bool:
        """Whether training has ended by itself."""
        return self.training.state.counters.is_finished

    @property
    def best_state(self) -> Any:
        """The parameters of the best state so far; another object after each change."""
        return self.training.state.kept.theta

    def stop(self) -> None:
        """Take note that there are no more epochs, before the model is changed."""
        self._cut_off = None if self.is_finished else self.training.unfinished()
        self._goes_on = False

    def unfinished(self) -> Unfinished | None:
        """Return the state after the last epoch, or None if training has ended."""
        return self.training.unfinished() if self._goes_on else self._cut_off
