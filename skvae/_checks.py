"""What a user passes as `X` → a finite array in the domain, or a clear error."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import get_tags
from sklearn.utils.validation import validate_data

from skvae._batches import row_slices
from skvae._columns import coded_columns, likelihood_for, sized
from skvae._frames import Layout, library_of, read_layout
from skvae._sparse import SparseRows
from skvae.likelihoods import Columns, Likelihood

Array = np.ndarray | SparseRows


class Known(NamedTuple):
    """What a fit knows of the columns."""

    layout: Layout
    likelihood: Likelihood
    said: str
    """The parameter `likelihood` of the fit."""


def learn_columns(estimator: Any, X: Any, handle_unknown: str) -> tuple[Array, Known]:
    """Return X as a finite array of numbers and codes, and what is known of columns.

    Sets the estimator's `n_features_in_` and `feature_names_in_`.

    Parameters
    ----------
    estimator : estimator
        Its `likelihood` says what columns are.
    X : array-like of shape (n_samples, n_features)
    handle_unknown : {"error", "missing"}
    """
    layout = None
    is_boolean = isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype.kind == "b"
    if library_of(X) is not None or is_boolean:
        layout = read_layout(X)
    table = _table_or_array(estimator, X, layout, reset=True)
    layout = layout or read_layout(table)
    likelihood = likelihood_for(
        estimator.likelihood,
        X if layout.library else table,
        layout,
        estimator._likelihood_by_kind,
    )
    coded = coded_columns(likelihood, layout)
    if isinstance(table, SparseRows) and (coded or isinstance(likelihood, Columns)):
        raise ValueError(
            "Sparse rows require one likelihood of numbers for all columns. Got "
            f"{likelihood!r}. Choose one such as 'poisson', or pass dense rows."
        )
    layout = layout.with_categories(table, coded)
    rows: Any = layout.encode(table, handle_unknown)
    extent = _extent(rows, layout)
    names = [column.name for column in layout.columns]
    likelihood = sized(likelihood, layout).resolve(rows, names)
    _check_domain(rows, extent, likelihood, layout)
    return rows, Known(layout, likelihood, repr(estimator.likelihood))


def check_rows(estimator: Any, X: Any, known: Known, handle_unknown: str) -> Array:
    """Return X as a finite array of numbers and codes, float32 or float64.

    Parameters
    ----------
    estimator : estimator
        Its `n_features_in_` and `feature_names_in_` are held against X.
    X : array-like of shape (n_samples, n_features)
    known : Known
    handle_unknown : {"error", "missing"}
        What becomes of a category that was not seen in `fit`.
    """
    layout, likelihood, _ = known
    table = _table_or_array(estimator, X, layout, reset=False)
    rows = layout.encode(table, handle_unknown)
    _check_domain(rows, _extent(rows, layout), likelihood, layout)
    return rows


def _check_domain(
    rows: Array,
    extent: tuple[float, float],
    likelihood: Likelihood,
    layout: Layout,
) -> None:
    """Raise ValueError where an observed cell is outside its column's domain."""
    if likelihood.admits(*extent):
        return
    parts = [slice(None)]
    if isinstance(rows, SparseRows):
        parts = list(row_slices(*rows.shape))
    for part in parts:
        likelihood.check_domain(rows[part], _namer(layout))


def _table_or_array(estimator: Any, X: Any, layout: Layout | None, reset: bool) -> Any:
    """Return X as it is, if it is a table of mixed columns, or as an array of floats.

    Its columns are held against those of `fit`.
    """
    if layout is None or not layout.is_mixed or layout.library is None:
        return _array(estimator, X, reset)
    if library_of(X) is None:
        raise ValueError(
            f"X must be a DataFrame with the columns of fit. Got {type(X).__name__}, "
            "and the model was fitted to columns that are not all numbers."
        )
    validate_data(estimator, X, reset=reset, skip_check_array=True)
    if not len(X):
        raise ValueError("X must have at least one row. Got 0.")
    return X


def _array(estimator: Any, X: Any, reset: bool) -> Array:
    """Return X as an array of numbers, or as sparse rows.

    Arrays of integers stay so, to be converted a batch at a time.
    """
    is_integer = isinstance(X, np.ndarray) and X.dtype.kind in "biu"
    try:
        X = validate_data(
            estimator,
            _with_nan(X),
            reset=reset,
            accept_sparse="csr" if get_tags(estimator).input_tags.sparse else False,
            dtype=None if is_integer else [np.float64, np.float32],
            ensure_all_finite=False,
        )
        return X if isinstance(X, np.ndarray) else SparseRows(X)
    except (TypeError, ValueError) as error:
        columns = _non_numeric_columns(X)
        if not columns and "could not convert string to float" not in str(error):
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(
            f"X must be numeric. Got {columns or 'text'}. Pass columns of text or "
            "categories in a DataFrame, in fit too, or encode them first, for example "
            f"with OrdinalEncoder in a ColumnTransformer. ({error})"
        ) from error


def _with_nan(X: Any) -> Any:
    """Return X with NaN in place of pandas.NA, which is no number."""
    if not isinstance(X, np.ndarray) or X.dtype != object:
        return X
    is_na = np.frompyfunc(
        lambda cell: type(cell).__name__ in ("NAType", "NaTType"), 1, 1
    )
    return np.where(is_na(X).astype(bool), np.nan, X)


def _extent(X: Array, layout: Layout) -> tuple[float, float]:
    """Return least and largest value of X, or say where an infinite one is.

    They are NaN if a cell is missing, and not looked for in sparse rows.
    """
    if isinstance(X, SparseRows) and not np.isinf(X.values).any():
        return np.nan, np.nan
    ends = []
    for part in row_slices(*X.shape):
        chunk = X[part]
        ends.append((chunk.min(), chunk.max()))
        if not np.isfinite(ends[-1]).all():
            _refuse_infinite(chunk, part.start, _namer(layout))
    low, high = np.transpose(ends)
    return low.min(), high.max()


def _namer(layout: Layout) -> Callable[[int], str]:
    """Return what names a column, in messages, by its position."""
    return lambda column: layout.columns[column].label


def _refuse_infinite(
    X: np.ndarray, first_row: int, name_of: Callable[[int], str]
) -> None:
    """Raise ValueError for the first infinite value, if there is one."""
    cells = np.argwhere(np.isinf(X))
    if len(cells):
        row, column = cells[0]
        raise ValueError(
            "X must be finite, apart from NaN, which is a missing cell. Got inf in "
            f"column {name_of(column)}, row {first_row + row}. Put NaN in its place, "
            "or drop the row."
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
