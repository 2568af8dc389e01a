"""What a user passes as `X` → a finite array in the domain, or a clear error."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.utils.validation import validate_data

from skvae._batches import row_slices
from skvae.likelihoods import Likelihood


def check_rows(estimator: Any, X: Any, *, reset: bool) -> np.ndarray:
    """Return X as a finite array, float32 or float64.

    Parameters
    ----------
    estimator : estimator
        Its `n_features_in_` and `feature_names_in_` are set or held against X.
    X : array-like of shape (n_samples, n_features)
    reset : bool
        Whether to set what is known of the columns.
    """
    try:
        X = validate_data(
            estimator,
            X,
            reset=reset,
            dtype=[np.float64, np.float32],
            ensure_all_finite=False,
        )
    except (TypeError, ValueError) as error:
        columns = _non_numeric_columns(X)
        if not columns and "could not convert string to float" not in str(error):
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(
            f"X must be numeric. Got {columns or 'text'}. Encode such columns first, "
            "for example with OneHotEncoder in a ColumnTransformer, or drop them. "
            f"({error})"
        ) from error
    name_of = _namer(estimator)
    for part in row_slices(*X.shape):
        # A sum is finite only if every term is, and needs no array of booleans.
        with np.errstate(over="ignore", invalid="ignore"):
            suspicious = not np.isfinite(X[part].sum())
        if suspicious:
            _refuse_non_finite(X[part], part.start, name_of, type(estimator).__name__)
    return X


def check_domain(estimator: Any, X: np.ndarray, likelihood: Likelihood) -> None:
    """Raise ValueError where X is outside the domain of a resolved likelihood."""
    likelihood.check_domain(X, _namer(estimator))


def _namer(estimator: Any) -> Callable[[int], str]:
    """Return what names a column, in messages, by its position."""
    names = getattr(estimator, "feature_names_in_", None)
    return lambda column: str(column) if names is None else repr(str(names[column]))


def _refuse_non_finite(
    X: np.ndarray, first_row: int, name_of: Callable[[int], str], caller: str
) -> None:
    """Raise ValueError for the first value that is not finite, if there is one."""
    cells = np.argwhere(~np.isfinite(X))
    if len(cells):
        row, column = cells[0]
        value = "NaN" if np.isnan(X[row, column]) else "inf"
        raise ValueError(
            f"X must be finite, without NaN or inf. Got {value} in column "
            f"{name_of(column)}, row {first_row + row}. {caller} does not accept "
            "missing values: drop such rows, or impute them first, for example with "
            "SimpleImputer in a Pipeline."
        )


def _non_numeric_columns(X: Any) -> str:
    """Name the columns of X that do not hold numbers, if it has such columns."""
    names = []
    for name in getattr(X, "columns", ()):
        try:
            is_number = np.asarray(X[name]).dtype.kind not in "mM"
            np.asarray(X[name], dtype=np.float64)
        except (TypeError, ValueError):
            is_number = False
        if not is_number:
            names.append(repr(str(name)))
    return f"other values in column {', '.join(names)}" if names else ""
