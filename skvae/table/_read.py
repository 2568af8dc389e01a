"""What a user passes as `X` → a table of mixed columns or finite cells, or an error."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils import get_tags
from sklearn.utils.validation import validate_data

from skvae.table._cells import Cells, as_cells, row_slices
from skvae.table._frames import Layout, is_missing, library_of, read_layout


def read_table(
    estimator: Any, X: Any, layout: Layout | None = None
) -> tuple[Any, Layout]:
    """Return X as it is, if it is a table of mixed columns, or as cells; its layout.

    Parameters
    ----------
    estimator : estimator
        X must agree with its `n_features_in_` and `feature_names_in_`.
    X : array-like of shape (n_samples, n_features)
    layout : Layout, default=None
        The columns of `fit`. None learns them, and sets those attributes.
    """
    learns = layout is None
    if learns and library_of(X):
        layout = read_layout(X)
    if layout is None or not layout.is_mixed:
        cells = _read_numbers(estimator, X, learns)
        return cells, layout or read_layout(cells)
    if library_of(X) is None:
        raise ValueError(
            f"X must be a DataFrame with the columns of fit. Got {type(X).__name__}, "
            "and the model was fitted to columns that are not all numbers."
        )
    validate_data(estimator, X, reset=learns, skip_check_array=True)
    if not len(X):
        raise ValueError("X must have at least one row. Got 0.")
    return X, layout


def check_finite(cells: Cells, labels: Sequence[str]) -> None:
    """Raise ValueError for the first infinite cell, if there is one."""
    if np.isfinite(cells.bounds).all():
        return
    for part in row_slices(*cells.shape):
        infinite = np.argwhere(np.isinf(cells[part]))
        if len(infinite):
            row, column = infinite[0]
            raise ValueError(
                "X must be finite, apart from NaN, which is a missing cell. Got inf in "
                f"column {labels[column]}, row {part.start + row}. Put NaN in its "
                "place, or drop the row."
            )


def _read_numbers(estimator: Any, X: Any, learns: bool) -> Cells:
    """Return X as cells.

    Arrays of integers stay so, to be converted a batch at a time.
    """
    is_integer = isinstance(X, np.ndarray) and X.dtype.kind in "biu"
    try:
        X = validate_data(
            estimator,
            _with_nan(X),
            reset=learns,
            accept_sparse="csr" if get_tags(estimator).input_tags.sparse else False,
            dtype=None if is_integer else [np.float64, np.float32],
            ensure_all_finite=False,
        )
        return as_cells(X)
    except (TypeError, ValueError) as error:
        names = getattr(X, "columns", ())
        others = ", ".join(repr(str(name)) for name in names if not _is_number(X[name]))
        if not others and "could not convert string to float" not in str(error):
            raise
        found = f"other values in column {others}" if others else "text"
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(
            f"X must be numeric. Got {found}. Pass columns of text or "
            "categories in a DataFrame, in fit too, or encode them first, for example "
            f"with OrdinalEncoder in a ColumnTransformer. ({error})"
        ) from error


def _with_nan(X: Any) -> Any:
    """Return X with NaN in place of pandas.NA, which is no number."""
    if not isinstance(X, np.ndarray) or X.dtype != object:
        return X
    return np.where(np.frompyfunc(is_missing, 1, 1)(X).astype(bool), np.nan, X)


def _is_number(column: Any) -> bool:
    """Return whether a column of a table holds numbers: dates would become such."""
    try:
        np.asarray(column, dtype=np.float64)
    except (TypeError, ValueError):
        return False
    return np.asarray(column).dtype.kind not in "mM"
