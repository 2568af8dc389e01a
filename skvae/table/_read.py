"""What a user passes as `X` → a table, an array of dates or cells, or an error."""

from collections.abc import Sequence, Sized
from typing import Any

import numpy as np
import scipy.sparse
from sklearn.base import BaseEstimator
from sklearn.utils import get_tags
from sklearn.utils.validation import validate_data

from skvae._sklearn import check_sample_weight
from skvae.table._cells import Cells, as_cells, in_memory, plain, row_slices
from skvae.table._frames import Layout, read_layout
from skvae.table._kinds import described, is_missing
from skvae.table._libraries import library_of

NO_TABLES = {
    "builtins.dict": "pandas.DataFrame(X)",
    "polars.LazyFrame": "X.collect()",
    "pyarrow.RecordBatch": "X.to_pandas()",
    "pyarrow.Table": "X.to_pandas()",
}
"""Types that hold columns and are no tables here, with what makes a table of them."""


class Reader(BaseEstimator):
    """Keeps the number and the names of columns where no estimator is fitted."""

    def __sklearn_tags__(self) -> Any:
        """Return tags that say that sparse rows are read, too."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def read_table(
    estimator: Any, X: Any, layout: Layout | None = None
) -> tuple[Any, Layout]:
    """Return X as it is, if it is a table or has dates, or as cells; its layout.

    Parameters
    ----------
    estimator : estimator
        X must agree with its `n_features_in_` and `feature_names_in_`.
    X : array-like of shape (n_samples, n_features)
    layout : Layout, default=None
        The columns of `fit`. None learns them, and sets those attributes.
    """
    _refuse_others(X)
    learns, is_table = layout is None, library_of(X) is not None
    table = X if is_table else plain(X)
    if not is_table and table.dtype.kind not in "mM":
        if layout is not None and not layout.is_numeric:
            raise _no_array_of_numbers(X, layout)
        numbers, kinds = _as_numbers(table)
        cells = _read_numbers(estimator, numbers, learns)
        return cells, layout or read_layout(cells, kinds)
    _refuse_empty(table)
    validate_data(estimator, table, reset=learns, skip_check_array=True)
    return table, layout or read_layout(table)


def read_weights(sample_weight: Any, rows: Sized) -> np.ndarray:
    """Return one finite, non-negative float64 weight per row, in memory."""
    return check_sample_weight(in_memory(sample_weight, "sample_weight"), rows)


def check_finite(cells: Cells, labels: Sequence[str]) -> None:
    """Raise ValueError for the first infinite cell, if there is one."""
    if np.isfinite(cells.bounds).all():
        return
    for part in row_slices(*cells.shape):
        chunk = cells[part]
        infinite = np.argwhere(np.isinf(chunk))
        if len(infinite):
            row, column = infinite[0]
            raise ValueError(
                "X must be finite, apart from NaN, which is a missing cell. Got "
                f"{chunk[row, column]} in column {labels[column]}, row "
                f"{part.start + row}. Put NaN in its place, or drop the row."
            )


def refuse_sparse(X: Any) -> None:
    """Raise TypeError if rows are sparse, where missing cells are to be filled."""
    if scipy.sparse.issparse(X):
        raise TypeError(
            "Filling cells requires dense rows. Got a sparse matrix, whose cells are "
            "known to be zero where none is stored. Pass X.toarray()."
        )


def _refuse_others(X: Any) -> None:
    """Raise TypeError for what is neither a table nor an array of cells."""
    name = type(X).__name__
    remedy = NO_TABLES.get(f"{type(X).__module__.partition('.')[0]}.{name}")
    if isinstance(X, np.ndarray) and X.dtype.names:
        name, remedy = "a structured array", "pandas.DataFrame(X)"
    if getattr(X, "requires_grad", False):
        name, remedy = "a tensor that records gradients", "X.detach()"
    if remedy:
        raise TypeError(
            "X must be a DataFrame of pandas or polars, an array or a sparse matrix. "
            f"Got {name}. Pass {remedy}."
        )


def _refuse_empty(X: Any) -> None:
    """Raise ValueError where a table has no row or no column."""
    if len(X.shape) != 2:
        raise ValueError(f"X must have two dimensions. Got {len(X.shape)}.")
    if not X.shape[0]:
        raise ValueError("X must have at least one row. Got 0.")
    if not X.shape[1]:
        raise ValueError("X must have at least one column. Got 0.")


def _no_array_of_numbers(X: Any, layout: Layout) -> ValueError:
    kinds = ", ".join(sorted(set(layout.kinds) - {"number", "boolean"}))
    what = "a DataFrame" if layout.library else "an array of dates"
    return ValueError(
        f"X must be {what} with the columns of fit. Got {type(X).__name__} of numbers, "
        f"and the model was fitted to columns of other kinds: {kinds}."
    )


def _read_numbers(estimator: Any, X: Any, learns: bool) -> Cells:
    """Return X as cells.

    Arrays of numbers of any type stay so, to be converted a batch at a time.
    """
    is_number = X.dtype.kind in "biuf"
    try:
        X = validate_data(
            estimator,
            X,
            reset=learns,
            accept_sparse="csr" if get_tags(estimator).input_tags.sparse else False,
            dtype=None if is_number else [np.float64, np.float32],
            ensure_all_finite=False,
        )
        return as_cells(X)
    except (TypeError, ValueError) as error:
        if "could not convert string to float" not in str(error):
            raise
        raise _no_numbers("text", error) from error


def _no_numbers(found: str, error: Any = "") -> ValueError:
    return ValueError(
        f"X must be numeric. Got {found}. Pass columns of text, dates or categories in "
        "a DataFrame, in fit too, or encode them first, for example with "
        f"OrdinalEncoder in a ColumnTransformer. {error}".rstrip()
    )


def _as_numbers(X: Any) -> tuple[Any, list[str] | None]:
    """Return X with NaN in place of missing objects, and the kinds of its columns.

    The kinds are None if the type of X says what they are. Raises ValueError for text
    and dates, some of which NumPy would take for numbers.
    """
    if X.dtype.kind not in "OUS":
        return X, None
    if X.dtype.kind != "O":
        raise _no_numbers("text")
    missing = np.frompyfunc(is_missing, 1, 1)(X).astype(bool)
    numbers = np.where(missing, np.nan, X)
    found = [described(column.tolist()) for column in np.atleast_2d(X).T]
    natures = {nature for _, text in found for nature in text.split(", ")}
    refused = sorted(natures & {"str", "date", "complex"})
    if refused:
        raise _no_numbers(", ".join(refused).replace("str", "text"))
    return numbers, ["boolean" if k == "boolean" else "number" for k, _ in found]
