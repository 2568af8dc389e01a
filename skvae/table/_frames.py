"""Tables of users ↔ one array of numbers: names, categories and types of columns."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Number
from typing import Any, NamedTuple

import numpy as np

from skvae.table._cells import Cells, DenseCells

LIBRARIES = ("pandas", "polars")
"""Packages whose tables are read, and given back; neither is required."""

KINDS = {
    "number": "int Int uint UInt float Float double halffloat decimal Decimal complex",
    "boolean": "bool boolean Boolean",
    "category": "category Categorical Enum object str string String large_string",
}
"""Kinds of columns, each with the words that names of such types begin with."""


class Column(NamedTuple):
    """What is known of a column before any likelihood: strings and arrays only.

    Attributes
    ----------
    name : hashable
        The name in a table, the position in an array.
    kind : {"number", "boolean", "category"}
        Read from the type of the column, never from its values.
    dtype : str
        The type's name in the table's package; "" in an array.
    categories : ndarray or None
        The values that codes 0, 1, ... stand for, where the column is coded.
    ordered : bool
        Whether the type orders the categories.
    """

    name: Any
    kind: str
    dtype: str = ""
    categories: Any = None
    ordered: bool = False

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

    @property
    def labels(self) -> list[str]:
        """Name of each column in messages."""
        return [column.label for column in self.columns]

    @cached_property
    def coded(self) -> np.ndarray:
        """Which columns hold codes, by position."""
        coded = [column.categories is not None for column in self.columns]
        return np.flatnonzero(coded)

    @property
    def is_mixed(self) -> bool:
        """Whether a table has a column that its package cannot turn into numbers."""
        return self.library is not None and set(self.kinds) != {"number"}

    def with_categories(self, X: Any, coded: Iterable[int]) -> "Layout":
        """Return the layout with the categories of the columns to be coded."""
        columns = list(self.columns)
        for j in coded:
            if columns[j].categories is None:
                seen = _sorted_values(_listed(X, j), columns[j])
                columns[j] = columns[j]._replace(categories=seen)
        return replace(self, columns=tuple(columns))

    def encode(self, X: Any, handle_unknown: str) -> Cells:
        """Return a table, or cells of numbers, as numbers and codes.

        Parameters
        ----------
        X : DataFrame or Cells
            Cells without coded columns are returned as they are.
        handle_unknown : {"error", "missing"}
            Whether a value that is not among the categories is an error or missing.
        """
        if library_of(X) is not None:
            values = np.empty(X.shape, dtype=np.float64)
            encoded: Sequence[int] = range(X.shape[1])
        elif len(self.coded):
            encoded = self.coded.tolist()
            values = X.columns(slice(None))[:]
            values = values.astype(values.dtype if values.dtype.kind == "f" else float)
        else:
            return X
        for j in encoded:
            values[:, j] = _encoded(X, j, self.columns[j], handle_unknown)
        return DenseCells(values)

    def decode(self, values: np.ndarray, index: Any = None) -> Any:
        """Return numbers and codes as what `fit` was given, an array or a table.

        Columns of a table get their types again: whole numbers are rounded, and clipped
        to the range of their type.

        Parameters
        ----------
        values : ndarray of shape (n_samples, n_features)
        index : pandas.Index, default=None
            Labels of the rows of a pandas table.
        """
        if self.library is None:
            values = values.copy() if len(self.coded) else values
            for j in self.coded:
                values[:, j] = _values(values[:, j], self.columns[j])
            return values
        cells = [_values(*each) for each in zip(values.T, self.columns, strict=True)]
        if self.library == "polars":
            return _polars_table(self.columns, cells)
        return _pandas_table(self.columns, cells, index)


def library_of(X: Any) -> str | None:
    """Return which package a table is from; None for what is no table."""
    package = type(X).__module__.partition(".")[0]
    return package if package in LIBRARIES and hasattr(X, "columns") else None


def is_missing(cell: Any) -> bool:
    """Return whether a cell, of any type, is None, NaN, or NA or NaT of pandas."""
    is_none = cell is None or type(cell).__name__ in ("NAType", "NaTType")
    return is_none or (isinstance(cell, Number) and cell != cell)


def read_layout(X: Any) -> Layout:
    """Return the layout of a table or of cells, from types only."""
    library = library_of(X)
    if library is not None:
        return Layout(library, tuple(map(_described, X.columns, X.dtypes)))
    kind = "boolean" if X.dtype == np.dtype(bool) else "number"
    return Layout(None, tuple(Column(j, kind) for j in range(X.shape[1])))


def with_columns(table: Any, names: Iterable[str], values: np.ndarray) -> Any:
    """Return a table with columns appended."""
    append = table.assign if library_of(table) == "pandas" else table.with_columns
    return append(**dict(zip(names, values.T, strict=True)))


def _described(name: Any, dtype: Any) -> Column:
    """Return what the type of a column says of it."""
    text = str(dtype)
    word = re.split("[^A-Za-z_]", text.removeprefix("Sparse["))[0]
    kind = next((kind for kind, words in KINDS.items() if word in words.split()), "")
    column = Column(name, kind, text)
    if not kind:
        raise ValueError(
            f"X must be numeric, boolean, text or categorical. Got {text} in column "
            f"{column.label}. Turn the column into one of these, or drop it."
        )
    if word not in ("category", "Enum"):
        return column
    ordered = bool(getattr(dtype, "ordered", False))
    return Column(name, kind, word, dtype.categories.to_numpy(), ordered)


def _column(X: Any, j: int) -> Any:
    """Return a column of a table by position, since two may have the same name."""
    return getattr(X, "iloc", X)[:, j]


def _listed(X: Any, j: int) -> list:
    """Return the values in a column of a table, or of cells."""
    if isinstance(X, Cells):
        return X.columns([j])[:][:, 0].tolist()
    return _column(X, j).to_list()


def _distinct(cells: list, column: Column) -> set:
    """Return the distinct values of a column, without missing cells."""
    try:
        return {cell for cell in set(cells) if not is_missing(cell)}
    except TypeError as error:
        raise TypeError(
            f"X must be numeric, boolean, text or categorical. Got {error} in column "
            f"{column.label}. Encode the column first, or drop it."
        ) from error


def _sorted_values(cells: list, column: Column) -> np.ndarray:
    """Return the distinct values of a column, sorted within each type of value."""
    values = _distinct(cells, column)
    if not values:
        raise ValueError(
            f"A column of categories requires an observed cell in fit. Got none in "
            f"column {column.label}. Drop the column."
        )

    def place(value: Any) -> tuple[str, Any]:
        is_number = isinstance(value, int | float)
        return "" if is_number else type(value).__name__, value

    ordered = sorted(values, key=place)
    array = np.asarray(ordered)
    # Values of several types would all have become text.
    return array if array.tolist() == ordered else np.array(ordered, dtype=object)


def _encoded(X: Any, j: int, column: Column, handle_unknown: str) -> np.ndarray:
    """Return a column as numbers or codes."""
    if column.categories is None:
        return _numbers(_column(X, j), column)
    cells, known = _listed(X, j), column.categories.tolist()
    places = {value: place for place, value in enumerate(known)}
    unknown = _distinct(cells, column) - places.keys()
    if unknown and handle_unknown == "error":
        row, value = next(each for each in enumerate(cells) if each[1] in unknown)
        listed = ", ".join(map(repr, known[:10])) + (", ..." if known[10:] else "")
        raise ValueError(
            f"Column {column.label} must hold categories seen in fit: {listed}. Got "
            f"{value!r} in row {row}. Add it to the training rows, or set "
            "handle_unknown='missing' to treat such cells as missing."
        )
    return np.array([places.get(cell, np.nan) for cell in cells], dtype=np.float64)


def _numbers(cells: Any, column: Column) -> np.ndarray:
    """Return a column of a table as floats."""
    try:
        if hasattr(cells, "cast"):  # polars
            return cells.cast(float).to_numpy()
        return cells.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"Column {column.label} must hold numbers, as in fit. Got other values: "
            f"{error}"
        ) from error


def _values(codes: np.ndarray, column: Column) -> np.ndarray:
    """Return a column of numbers or codes as values that its type can hold."""
    if column.categories is not None:
        return column.categories[codes.astype(int)]
    if column.kind == "boolean":
        return codes > 0.5
    name = column.dtype.partition("[")[0].lower()
    if not name.startswith(("int", "uint")):
        return codes
    limits = np.iinfo(np.dtype(name))
    high = float(limits.max)
    # The limit itself may not be a float, and the next one be beyond it.
    high = high if int(high) <= limits.max else np.nextafter(high, 0.0)
    return np.clip(np.rint(codes), limits.min, high)


def _pandas_table(
    columns: Sequence[Column], cells: Sequence[np.ndarray], index: Any
) -> Any:
    import pandas as pd

    def series(column: Column, values: np.ndarray) -> Any:
        dtype: Any = column.dtype
        if dtype == "category":
            dtype = pd.CategoricalDtype(column.categories, column.ordered)
        return pd.Series(values, index=index).astype(dtype)

    # By position, since two columns may have the same name.
    table = pd.DataFrame(dict(enumerate(map(series, columns, cells))))
    table.columns = pd.Index([column.name for column in columns])
    return table


def _polars_table(columns: Sequence[Column], cells: Sequence[np.ndarray]) -> Any:
    import polars as pl

    def series(column: Column, values: np.ndarray) -> Any:
        dtype = getattr(pl, column.dtype, None)
        if column.dtype == "Enum":
            dtype = pl.Enum(pl.Series(column.categories))
        found = pl.Series(column.name, values.tolist())
        return found.cast(dtype) if dtype else found

    return pl.DataFrame(list(map(series, columns, cells)))
