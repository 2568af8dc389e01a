"""Tables of users ↔ one array of numbers: names, categories and types of columns."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

LIBRARIES = ("pandas", "polars")
"""Packages whose tables are read, and given back; neither is required."""


class Column(NamedTuple):
    """What is known of a column before any likelihood: strings and arrays only.

    Attributes
    ----------
    kind : {"number", "boolean", "category", "other"}
        Read from the type of the column, never from its values.
    dtype : str or None
        The type's name in the table's package; None in an array.
    categories : ndarray or None
        The values that codes 0, 1, ... stand for, where the column is coded.
    ordered : bool
        Whether the type orders the categories.
    """

    name: Any
    kind: str
    dtype: str | None = None
    categories: np.ndarray | None = None
    ordered: bool = False

    @property
    def known(self) -> list:
        """Categories; none where the column is not coded."""
        return [] if self.categories is None else self.categories.tolist()

    @property
    def label(self) -> str:
        """Name of the column in messages."""
        return repr(self.name) if isinstance(self.name, str) else str(self.name)


@dataclass(frozen=True)
class Layout:
    """The columns of what `fit` was given, and the package of the table, if any.

    `encode` makes one floating-point array of a table: numbers as they are, booleans
    as 0 and 1, values of coded columns as their place among the categories, and NaN
    for a missing cell. `decode` is the way back.
    """

    library: str | None
    columns: tuple[Column, ...]

    @property
    def kinds(self) -> list[str]:
        """Kind of each column."""
        return [column.kind for column in self.columns]

    @cached_property
    def coded(self) -> np.ndarray:
        """Which columns hold codes, by position."""
        coded = [column.categories is not None for column in self.columns]
        return np.flatnonzero(coded)

    @property
    def is_mixed(self) -> bool:
        """Whether there is a column that a package cannot turn into numbers itself."""
        return any(kind != "number" for kind in self.kinds)

    def with_categories(self, X: Any, coded: Iterable[int]) -> "Layout":
        """Return the layout with the categories of the columns to be coded."""
        columns = list(self.columns)
        for j in coded:
            cells, missing = _cells(X, j)
            known = columns[j].categories
            if known is None:
                known = _sorted_values(cells, missing, columns[j])
            columns[j] = columns[j]._replace(categories=known)
        return replace(self, columns=tuple(columns))

    def encode(self, X: Any, handle_unknown: str) -> np.ndarray:
        """Return a table, or an array of numbers, as numbers and codes.

        Parameters
        ----------
        X : DataFrame or ndarray
            An array without coded columns is returned as it is.
        handle_unknown : {"error", "missing"}
            What becomes of a value that is not among the categories.
        """
        if library_of(X) is None:
            if not len(self.coded):
                return X
            values = X.copy()
            encoded: Sequence[int] = self.coded.tolist()
        else:
            values = np.empty(X.shape, dtype=np.float64)
            encoded = range(X.shape[1])
        for j in encoded:
            values[:, j] = _encoded(X, j, self.columns[j], handle_unknown)
        return values

    def rounded(self, values: np.ndarray) -> np.ndarray:
        """Return values of columns of whole numbers as such, within their range."""
        if self.library is None:
            return values
        values = values.copy()
        for j, column in enumerate(self.columns):
            if column.categories is None and (limits := _limits(column)):
                values[:, j] = np.clip(np.rint(values[:, j]), *limits)
        return values

    def decode(self, values: np.ndarray, index: Any = None) -> Any:
        """Return numbers and codes as what `fit` was given, an array or a table.

        Parameters
        ----------
        values : ndarray of shape (n_samples, n_features)
            Whole numbers in columns of whole numbers; otherwise those stay floats.
        index : pandas.Index, default=None
            Labels of the rows of a pandas table.
        """
        if self.library is None:
            values = values.copy() if len(self.coded) else values
            for j in self.coded:
                values[:, j] = _values(values[:, j], self.columns[j])
            return values
        if self.library == "polars":
            return _polars_table(values, self.columns)
        return _pandas_table(values, self.columns, index)


def library_of(X: Any) -> str | None:
    """Return which package a table is from; None for what is no table."""
    package = type(X).__module__.partition(".")[0]
    return package if package in LIBRARIES and hasattr(X, "columns") else None


def read_layout(X: Any) -> Layout:
    """Return the layout of a table or an array, from its types only."""
    library = library_of(X)
    if library is None:
        kind = "boolean" if X.dtype == np.dtype(bool) else "number"
        return Layout(None, tuple(Column(j, kind) for j in range(X.shape[1])))
    describe = _pandas_column if library == "pandas" else _polars_column
    names = list(X.columns)
    cells = [_column(X, j) for j in range(len(names))]
    return Layout(library, tuple(map(describe, names, cells)))


def with_columns(table: Any, names: Iterable[str], values: np.ndarray) -> Any:
    """Return a table with columns appended."""
    cells = dict(zip(names, values.T, strict=True))
    if library_of(table) == "pandas":
        return table.assign(**cells)
    import polars as pl

    return table.with_columns(pl.Series(name, column) for name, column in cells.items())


def _pandas_column(name: Any, cells: Any) -> Column:
    from pandas.api import types

    dtype = cells.dtype
    if str(dtype) == "category":
        categories = np.asarray(dtype.categories)
        return Column(name, "category", "category", categories, bool(dtype.ordered))
    if types.is_bool_dtype(dtype):
        return Column(name, "boolean", str(dtype))
    if types.is_numeric_dtype(dtype):
        return Column(name, "number", str(dtype))
    is_text = types.is_object_dtype(dtype) or types.is_string_dtype(dtype)
    return Column(name, "category" if is_text else "other", str(dtype))


def _polars_column(name: str, cells: Any) -> Column:
    dtype = cells.dtype
    text = str(dtype)
    if dtype.is_numeric():
        return Column(name, "number", text)
    if text.startswith("Enum"):
        return Column(name, "category", "Enum", dtype.categories.to_numpy())
    kinds = {"Boolean": "boolean", "String": "category", "Categorical": "category"}
    return Column(name, kinds.get(text, "other"), text)


def _column(X: Any, j: int) -> Any:
    """Return a column of a table or an array."""
    if isinstance(X, np.ndarray):
        return X[:, j]
    return X.iloc[:, j] if library_of(X) == "pandas" else X.to_series(j)


def _cells(X: Any, j: int) -> tuple[list, np.ndarray]:
    """Return the cells of a column, and which are missing."""
    column = _column(X, j)
    if isinstance(column, np.ndarray):
        return column.tolist(), np.isnan(column)
    if library_of(X) == "pandas":
        return list(column), column.isna().to_numpy(dtype=bool)
    missing = column.is_null()
    if column.dtype.is_float():
        missing = missing | column.is_nan().fill_null(False)
    return column.to_list(), missing.to_numpy()


def _sorted_values(cells: list, missing: np.ndarray, column: Column) -> np.ndarray:
    """Return the distinct values of a column, sorted within each type of value."""
    pairs = zip(cells, missing, strict=True)
    try:
        values = {cell for cell, absent in pairs if not absent}
    except TypeError as error:
        raise TypeError(
            f"X must be numeric, boolean, text or categorical. Got {error} in column "
            f"{column.label}. Encode the column first, or drop it."
        ) from error
    if not values:
        raise ValueError(
            f"A column of categories requires an observed cell in fit. Got none in "
            f"column {column.label}. Drop the column."
        )
    kinds = {bool: "", int: "", float: ""}
    ordered = sorted(
        values, key=lambda value: (kinds.get(type(value), type(value).__name__), value)
    )
    array = np.asarray(ordered)
    # Values of several types would all have become text.
    return array if array.tolist() == ordered else np.array(ordered, dtype=object)


def _encoded(X: Any, j: int, column: Column, handle_unknown: str) -> np.ndarray:
    """Return a column of a table as numbers or codes."""
    if column.categories is None:
        return _numbers(_column(X, j), column)
    cells, missing = _cells(X, j)
    places = {value: place for place, value in enumerate(column.known)}
    try:
        codes = np.array([places.get(cell, -1) for cell in cells], dtype=np.float64)
    except TypeError:
        codes = np.full(len(cells), -1.0)
    unknown = np.flatnonzero((codes < 0) & ~missing)
    if len(unknown) and handle_unknown == "error":
        row, known = unknown[0], column.known
        listed = ", ".join(map(repr, known[:10])) + (", ..." if known[10:] else "")
        raise ValueError(
            f"Column {column.label} must hold categories seen in fit: {listed}. Got "
            f"{cells[row]!r} in row {row}. Add it to the training rows, or set "
            "handle_unknown='missing' to treat such cells as missing."
        )
    codes[missing | (codes < 0)] = np.nan
    return codes


def _numbers(cells: Any, column: Column) -> np.ndarray:
    """Return a column of a table as floats."""
    try:
        if type(cells).__module__.startswith("pandas"):
            return cells.to_numpy(dtype=np.float64, na_value=np.nan)
        if column.kind == "boolean" or not cells.dtype.is_numeric():
            cells = cells.cast(float)
        return cells.to_numpy().astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"Column {column.label} must hold numbers, as in fit. Got other values: "
            f"{error}"
        ) from error


def _limits(column: Column) -> tuple[float, float] | None:
    """Return the range of a column of whole numbers; None for other columns."""
    if column.kind == "boolean":
        return 0.0, 1.0
    name = (column.dtype or "").partition("[")[0].lower()
    if not name.startswith(("int", "uint")):
        return None
    limits = np.iinfo(np.dtype(name))
    low, high = float(limits.min), float(limits.max)
    # The limit itself may not be a float, and the next one be beyond it.
    return low, high if int(high) <= limits.max else float(np.nextafter(high, 0.0))


def _from_codes(codes: np.ndarray, categories: np.ndarray) -> np.ndarray:
    """Return the values that codes stand for; None or NaN where a code is NaN."""
    missing = np.isnan(codes)
    values = categories[np.where(missing, 0, codes).astype(int)]
    if missing.any():
        numeric = values.dtype.kind in "fiub"
        values = values.astype(np.float64 if numeric else object)
        values[missing] = np.nan if numeric else None
    return values


def _values(codes: np.ndarray, column: Column) -> np.ndarray:
    """Return a column of numbers or codes as values, in a type near the column's."""
    if column.categories is not None:
        return _from_codes(codes, column.categories)
    if column.kind == "boolean" and not np.isnan(codes).any():
        return codes.astype(bool)
    return codes


def _fits(values: np.ndarray, column: Column) -> bool:
    """Return whether values can have the type of the column without being changed."""
    if _limits(column) is None or values.dtype == bool:
        return True
    return bool(np.equal(values, np.rint(values)).all())


def _pandas_table(values: np.ndarray, columns: Sequence[Column], index: Any) -> Any:
    import pandas as pd

    def cells(j: int, column: Column) -> Any:
        if column.dtype == "category":
            codes = np.nan_to_num(values[:, j], nan=-1.0).astype(int)
            known = pd.Index(column.categories)
            found = pd.Categorical.from_codes(codes, known, ordered=column.ordered)
            return pd.Series(found, index=index)
        found = _values(values[:, j], column)
        dtype = column.dtype if _fits(found, column) else None
        return pd.Series(found, index=index).astype(dtype or found.dtype)

    # By position, since two columns may have the same name.
    table = pd.DataFrame({j: cells(j, column) for j, column in enumerate(columns)})
    table.columns = pd.Index([column.name for column in columns])
    return table


def _polars_table(values: np.ndarray, columns: Sequence[Column]) -> Any:
    import polars as pl

    def cells(j: int, column: Column) -> Any:
        found = pl.Series(column.name, _values(values[:, j], column).tolist())
        if column.dtype == "Enum":
            return found.cast(pl.Enum(pl.Series(column.categories)))
        dtype = getattr(pl, column.dtype or "", None)
        return found.cast(dtype) if dtype and _fits(values[:, j], column) else found

    return pl.DataFrame([cells(j, column) for j, column in enumerate(columns)])
