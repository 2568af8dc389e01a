"""What callbacks of this package may ask of a fit that is going on."""

from typing import Any

from sklearn.base import clone

from skvae._sklearn import without_callbacks
from skvae.table import Rows
from skvae.training import Training, Unfinished, copied

SEEN_IN_FIT = ("n_features_in_", "feature_names_in_")
"""Attributes that an estimator has before it is trained."""


class Running:
    """A fit that is going on.

    Parameters
    ----------
    model : estimator
        The model that is fitted.
    owner : estimator
        The estimator whose `fit` was called: the model, or one with the model inside.
    training : Training
    rows : Rows
        All rows.
    fitted : dict
        Fitted attributes that do not depend on training.

    Attributes
    ----------
    seconds_before : float
        Time of epochs before an interruption.
    goes_on : bool
        Whether there may be more epochs.
    notes : dict
        What callbacks remember of this fit.
    """

    def __init__(
        self,
        model: Any,
        owner: Any,
        training: Training,
        rows: Rows,
        fitted: dict[str, Any],
    ) -> None:
        self.model, self.owner, self.training = model, owner, training
        self.rows, self.fitted = rows, fitted
        self.notes: dict[Any, Any] = {}
        self._cut_off: Unfinished | None = None
        self.goes_on = True
        self.seconds_before = training.clock.before

    @property
    def n_columns(self) -> int:
        """Number of columns of X."""
        return self.rows.n_features

    @property
    def n_epochs(self) -> int:
        """Number of epochs done."""
        return self.training.state.counters.n_epochs

    @property
    def seconds(self) -> float:
        """Time of the epochs so far."""
        return self.training.clock.seconds

    @property
    def is_finished(self) -> bool:
        """Whether training has ended by itself."""
        return self.training.state.counters.is_finished

    @property
    def best_state(self) -> Any:
        """The parameters of the best state so far; another object after each change."""
        return self.training.state.kept.theta

    def before_fit(self) -> Any:
        """Return a copy of the owner as it was before this fit."""
        return without_callbacks(self.owner, keeps_fitted=self.model._is_resumed)

    def best(self) -> Any:
        """Return the model as the fit would return it now, or has returned it."""
        if not self.goes_on:
            return without_callbacks(self.model, keeps_fitted=True)
        training, fitted = copied(self.training), self.fitted
        training.take_best(self.rows)
        learned = self.model._result(training, self.rows, fitted)
        seen = {k: v for k, v in vars(self.model).items() if k in SEEN_IN_FIT}
        best = clone(self.model).set_callbacks()
        saved = self.training.save(with_arrays=self.model.warm_start)
        vars(best).update(seen | fitted | learned, _saved=saved, _is_clone=False)
        return best

    def stop(self) -> None:
        """Take note that there are no more epochs, before the model is changed."""
        self._cut_off = None if self.is_finished else Unfinished.of(self.training)
        self.goes_on = False

    def unfinished(self) -> Unfinished | None:
        """Return the state after the last epoch, or None if training has ended."""
        return Unfinished.of(self.training) if self.goes_on else self._cut_off
