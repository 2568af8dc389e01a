"""The only file that knows scikit-learn's private or version-bound names."""

from collections.abc import Iterator, Sized
from contextlib import contextmanager
from functools import partial
from importlib.metadata import PackageNotFoundError, metadata
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.callback import CallbackSupportMixin
from sklearn.callback import with_callbacks as with_callbacks
from sklearn.utils._indexing import _get_column_indices
from sklearn.utils._param_validation import Interval as Interval
from sklearn.utils._param_validation import StrOptions as StrOptions
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.validation import _check_sample_weight


def check_sample_weight(sample_weight: Any, rows: Sized) -> np.ndarray:
    """Return one finite, non-negative float64 weight per row."""
    # An array without columns: all that is asked of it is its type and its length.
    return _check_sample_weight(
        sample_weight,
        np.empty((len(rows), 0)),
        dtype=np.float64,
        ensure_non_negative=True,
    )


def identity(value: Any) -> str:
    """Return a text that two values share only if they are the same.

    The representations of scikit-learn's estimators are cut off where they are long.
    """
    if isinstance(value, BaseEstimator):
        parameters = identity(value.get_params(deep=False))
        return f"{type(value).__name__}{parameters}"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{k!r}: {identity(v)}' for k, v in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"({', '.join(map(identity, value))})"
    if isinstance(value, partial):
        return identity((value.func, value.args, value.keywords))
    text = repr(value.tolist() if isinstance(value, np.ndarray) else value)
    # An address says nothing in another process, to which pickle names functions.
    named = "<" not in getattr(value, "__qualname__", "<")
    return f"{value.__module__}.{value.__qualname__}" if named else text


def output_library(estimator: Any) -> str | None:
    """Return what package of tables `set_output` asks for; None if it does not."""
    asked = str(_get_output_config("transform", estimator)["dense"])
    return None if asked == "default" else asked


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


def site_of_documentation() -> str:
    """Return the address of the documentation, or "" where none is known.

    It is the one that `pyproject.toml` calls "Documentation" in `project.urls`.
    """
    try:
        urls = metadata("skvae").get_all("Project-URL") or []
    except PackageNotFoundError:
        return ""
    named = dict(url.split(", ", 1) for url in urls)
    return named.get("Documentation", "").rstrip("/")


class DocumentationLink:
    """Mixin: in notebooks, estimators link to their page of the documentation.

    Subclasses elsewhere have no page, and nothing has one if no address is known.
    """

    _doc_link_module = "skvae"

    @property
    def _doc_link_template(self) -> str:
        site = site_of_documentation()
        return f"{site}/api/skvae.{{estimator_name}}.html" if site else ""


class FitSupport(DocumentationLink, CallbackSupportMixin):
    """Mixin: fits take callbacks, and know whether they are fits of a clone.

    A clone, until it has been fitted, belongs to whatever made it: a search, a
    cross-validation, an ensemble. Callback contexts do not say that much:
    `cross_validate` passes none, and a pipeline passes one whether or not it is fitted
    by a search. Callbacks of this package find the fit that goes on, and `fit` a run
    that was cut off, which it takes up.
    """

    _is_clone = False
    _running: Any = None
    _unfinished: Any = None

    def __sklearn_clone__(self) -> Any:
        clone = super().__sklearn_clone__()
        clone._is_clone = True
        return clone


DURING_FIT = (
    "_running",
    "_unfinished",
    "_skl_callbacks",
    "_skl_callbacks_to_teardown",
    "_callback_fit_ctx",
    "_parent_callback_ctx",
)
"""Attributes of an estimator that is being fitted."""


def without_callbacks(estimator: Any, keeps_fitted: bool) -> Any:
    """Return a shallow copy of an estimator, as if no fit were going on.

    Parameters
    ----------
    estimator : estimator
    keeps_fitted : bool
        Whether the copy has fitted attributes.
    """
    own = vars(estimator)
    kept = own.keys() - DURING_FIT if keeps_fitted else {"_sklearn_output_config"}
    copy = type(estimator)(**estimator.get_params(deep=False))
    vars(copy).update({name: own[name] for name in own if name in kept})
    return copy


@contextmanager
def shared_callbacks(estimator: Any, model: Any) -> Iterator[None]:
    """Let the callbacks of an estimator follow the fit of the model inside it.

    The model keeps its own callbacks too. In this context it also has what an outer
    search has passed to the estimator.
    """
    names = ("_skl_callbacks", "_parent_callback_ctx")
    before = {name: vars(model)[name] for name in names if name in vars(model)}
    shared = {name: vars(estimator)[name] for name in names if name in vars(estimator)}
    if names[0] in before and names[0] in shared:
        shared[names[0]] = [*before[names[0]], *shared[names[0]]]
    vars(model).update(shared)
    try:
        yield
    finally:
        for name in shared:
            del vars(model)[name]
        vars(model).update(before)


class epoch_tasks:
    """Report a fit and each of its epochs to the estimator's callbacks.

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
