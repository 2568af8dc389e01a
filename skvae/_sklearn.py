"""The only file that knows scikit-learn's private or version-bound names."""

from typing import Any

import numpy as np
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils._indexing import _get_column_indices
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight

__all__ = [
    "CallbackSupportMixin",
    "Interval",
    "StrOptions",
    "check_sample_weight",
    "column_indices",
    "epoch_tasks",
    "with_callbacks",
]


def check_sample_weight(sample_weight: Any, X: np.ndarray) -> np.ndarray:
    """Return one finite, non-negative float64 weight per row of `X`."""
    return _check_sample_weight(
        sample_weight, X, dtype=np.float64, ensure_non_negative=True
    )


def column_indices(X: Any, columns: Any) -> list[int]:
    """Return the positions of columns, chosen as `ColumnTransformer` chooses them.

    Parameters
    ----------
    X : DataFrame or ndarray
    columns : str, int, slice, array-like or callable
        Names, positions, a mask, or a function of `X` that gives one of these.
    """
    chosen = columns(X) if callable(columns) else columns
    if isinstance(chosen, tuple):
        chosen = list(chosen)
    return [int(j) for j in _get_column_indices(X, chosen)]


class epoch_tasks:
    """Tell the estimator's callbacks about a fit and each of its epochs.

    Parameters
    ----------
    estimator : estimator with `CallbackSupportMixin`
    X : array-like
        What `fit` was given.
    n_epochs : int
        The most epochs that the fit may take.
    """

    def __init__(self, estimator: Any, X: Any, n_epochs: int) -> None:
        self.estimator, self.X = estimator, X
        self.root = estimator._init_callback_context(max_subtasks=n_epochs)
        self.root.call_on_fit_task_begin(estimator=estimator, X=X)
        self.current: Any = None

    def begin(self) -> None:
        """Open the task of the next epoch."""
        self.current = self.root.subcontext(task_name="epoch")
        self.current.call_on_fit_task_begin(estimator=self.estimator, X=self.X)

    def end(self, fitted_attributes: Any) -> bool:
        """Close the epoch's task; true where a callback asks to stop."""
        current, self.current = self.current, None
        return current.call_on_fit_task_end(
            estimator=self.estimator,
            X=self.X,
            reconstruction_attributes=fitted_attributes,
        )

    def finish(self, fitted_attributes: Any) -> None:
        """Close the task of the whole fit, and that of an epoch that was cut off."""
        if self.current is not None:
            self.end(fitted_attributes)
        self.root.call_on_fit_task_end(
            estimator=self.estimator,
            X=self.X,
            reconstruction_attributes=fitted_attributes,
        )
