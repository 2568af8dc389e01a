"""What users pass ↔ one array of numbers: names, categories and types of columns."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import starmap
from typing import Any

import numpy as np

from skvae._sklearn import identity
from skvae.table._cells import Cells, DenseCells, as_cells, plain
from skvae.table._kinds import (
    Column,
    first_day,
    is_missing,
    is_whole,
    kind_and_text,
    listed,
    numbers,
)
from skvae.table._kinds import values as cells_of
from skvae.table._libraries import LIBRARIES, library_of, new_name, usual
from skvae.table._types import kind_of, text_of


@dataclass(frozen=True)
class Layout:
    """The columns of what `fit` was given, and the package of the table, if any.

    `encode` makes one floating-point array of a table: numbers as they are, booleans
    as 0 and 1, dates as days, values of coded columns as their place among the
    categories, and NaN for a missing cell. `decode` is the way back, and `fill` puts
    cells into what came in.

    Attributes
    ----------
    library : str or None
    columns : tuple of Column
    levels : tuple
        Names of the levels of column names, in pandas.
    """

    library: str | None
    columns: tuple[Column, ...]
    levels: tuple = (None,)

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
    def is_numeric(self) -> bool:
        """Whether an array of numbers can have these columns."""
        return set(self.kinds) <= {"number", "boolean"}

    def fingerprint(self) -> str:
        """Return a text that is the same for the same columns of the same table."""
        text = identity((self.library, self.levels, self.columns))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    def take(self, positions: Sequence[int]) -> "Layout":
        """Return the layout of some of the columns."""
        return replace(self, columns=tuple(self.columns[j] for j in positions))

    def with_categories(self, X: Any, sizes: Mapping[int, int | None]) -> "Layout":
        """Return the layout with the categories of the columns to be coded.

        Parameters
        ----------
        X : DataFrame, ndarray or Cells
        sizes : mapping
            Positions of these columns, with their number of categories if a user gave
            it. Without a type that lists them, they are the values that occur.
        """
        columns, given = list(self.columns), _columns(X) if sizes else []
        for j, size in sizes.items():
            if columns[j].categories is None:
                seen = _sorted_values(listed(given[j]), columns[j])
                columns[j] = columns[j]._replace(categories=_extended(seen, size))
        return replace(self, columns=tuple(columns))

    def encode(self, X: Any, handle_unknown: str) -> Cells:
        """Return a table, an array of dates, or cells of numbers as numbers and codes.

        Parameters
        ----------
        X : DataFrame, ndarray or Cells
            Cells without coded columns are returned as they are.
        handle_unknown : {"error", "missing", "apart"}
            Whether a value that is not among the categories is an error, missing, or
            has the code -1.
        """
        if isinstance(X, Cells):
            return self._coded_cells(X, handle_unknown) if len(self.coded) else X
        dtypes = {text_of(dtype) for dtype in getattr(X, "dtypes", ())}
        is_single = dtypes and dtypes <= {"float32", "Float32", "arrow float"}
        dtype: Any = np.float32 if is_single and not len(self.coded) else np.float64
        if library_of(X) == "pandas" and self._is_plain(X):
            return DenseCells(X.to_numpy(dtype=dtype))
        if library_of(X) == "pandas" and self._is_sparse(X):
            return as_cells(X.sparse.to_coo())
        encoded = np.empty(X.shape, dtype=dtype)
        for j, cells in enumerate(_columns(X)):
            encoded[:, j] = _encoded(cells, self.columns[j], handle_unknown)
        return DenseCells(encoded)

    def _coded_cells(self, cells: Cells, handle_unknown: str) -> Cells:
        array = cells.columns(slice(None))[:]
        dtype = array.dtype if array.dtype.kind == "f" else np.float64
        array = array.astype(dtype, copy=False)
        for j in self.coded.tolist():
            array[:, j] = _encoded(array[:, j], self.columns[j], handle_unknown)
        return DenseCells(array)

    def _is_plain(self, X: Any) -> bool:
        """Return whether all columns of a table of pandas are numbers of NumPy."""
        is_plain = all(
            isinstance(dtype, np.dtype) and dtype.kind in "iuf"
            for dtype in set(X.dtypes)
        )
        return is_plain and self.is_numeric and not len(self.coded)

    def _is_sparse(self, X: Any) -> bool:
        """Return whether cells that are not stored are zero, in sparse columns."""
        are_zero = all(getattr(dtype, "fill_value", None) == 0 for dtype in X.dtypes)
        return are_zero and self.is_numeric and not len(self.coded)

    def decode(self, values: np.ndarray, like: Any = None) -> Any:
        """Return numbers and codes as what `fit` was given, an array or a table.

        Columns of a table get their types again: whole numbers are rounded, and clipped
        to the range of their type.

        Parameters
        ----------
        values : ndarray of shape (n_samples, n_features)
        like : pandas.DataFrame, default=None
            Has the labels of the rows of a pandas table.
        """
        values = _within_range(values)
        if self.library is None:
            return self._as_array(values)
        library = LIBRARIES[self.library]
        like = like if library_of(like) == "pandas" else None
        series = [
            library.series(column, cells, like)
            for column, cells in zip(self.columns, values.T, strict=True)
        ]
        names = [column.name for column in self.columns]
        return library.table(names, self.levels, series)

    def decode_numbers(self, values: np.ndarray, like: Any, *more: str) -> Any:
        """Return numbers about the cells of rows, as a table where `fit` had one.

        Parameters
        ----------
        values : ndarray of shape (n_samples, n_features + n_more)
        like : pandas.DataFrame
            Has the labels of the rows of a pandas table.
        *more : str
            Names of the last columns, to which "_" is added until they are new.
        """
        if self.library is None:
            return values
        names, n_columns = [column.name for column in self.columns], len(self.columns)
        columns = [usual(Column(name, "number"), self.library) for name in names]
        layout = replace(self, columns=tuple(columns))
        table = layout.decode(values[:, :n_columns].astype(np.float64), like)
        # Of several levels, the first is named.
        taken = {name[0] if isinstance(name, tuple) else name for name in names}
        added = [new_name(name, taken) for name in more]
        return with_columns(table, added, values[:, n_columns:]) if more else table

    def _as_array(self, values: np.ndarray) -> np.ndarray:
        decoded = self.coded if self.is_numeric else range(len(self.columns))
        if not len(decoded):
            return values
        cells = values.astype(self.columns[0].dtype or values.dtype)
        for j in decoded:
            cells[:, j] = cells_of(values[:, j], self.columns[j])
        return cells

    def blank(self, X: Any, missing: np.ndarray) -> Any:
        """Return what `decode` gave, with some cells missing.

        Parameters
        ----------
        X : DataFrame or ndarray of shape (n_samples, n_features)
        missing : ndarray of bool of shape (n_samples, n_features)
        """
        if self.library is None:
            return np.where(missing, np.array(None, X.dtype), X)
        library, given = LIBRARIES[self.library], _columns(X)
        gaps = np.flatnonzero(missing.any(axis=0)).tolist()
        blank = {j: library.blank(given[j], missing[:, j]) for j in gaps}
        return library.with_columns(X, blank)

    def fill(self, X: Any, values: np.ndarray, missing: np.ndarray) -> Any:
        """Return what was passed, with numbers and codes in place of missing cells.

        All other cells are the very cells of `X`, whatever their type.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
        values : ndarray of shape (n_samples, n_features)
        missing : ndarray of bool of shape (n_samples, n_features)
        """
        values = _within_range(values)
        library, filled = library_of(X), {}
        if library is None:
            return _filled_array(X, self._as_array(values), missing)
        given = _columns(X)
        for j in np.flatnonzero(missing.any(axis=0)).tolist():
            column, cells = self.columns[j], values[:, j]
            if column.categories is None and is_whole(column.dtype):
                cells = np.rint(cells)
            fitted = column if library == self.library else usual(column, library)
            columns = _candidates(given[j], column, fitted)
            filled[j] = _filled(given[j], X, columns, cells, missing[:, j])
        return LIBRARIES[library].with_columns(X, filled)


def read_layout(X: Any, kinds: Sequence[str] | None = None) -> Layout:
    """Return the layout of a table, of an array of dates, or of cells of numbers.

    Parameters
    ----------
    X : DataFrame, ndarray or Cells
    kinds : sequence of str, default=None
        Kinds of the columns of cells. None goes by the type of the cells.
    """
    library = library_of(X)
    if isinstance(X, Cells):
        of_all = "boolean" if X.dtype == np.dtype(bool) else "number"
        kinds = kinds or [of_all] * X.shape[1]
        return Layout(None, tuple(starmap(Column, enumerate(kinds))))
    if library is None:
        return Layout(None, tuple(_of_dates(X)))
    names, given = X.columns, _columns(X)
    columns = [_described(*each, library) for each in zip(names, given, strict=True)]
    return Layout(library, tuple(columns), LIBRARIES[library].levels(X))


def _of_dates(X: np.ndarray) -> Iterable[Column]:
    """Yield the columns of an array of dates."""
    text = text_of(X.dtype)
    columns = (Column(j, kind_of(text), text) for j in range(X.shape[1]))
    return (_with_origin(column, X[:, column.name]) for column in columns)


def _within_range(values: np.ndarray) -> np.ndarray:
    """Return values with the largest floats in place of infinite ones."""
    if not np.isinf(values).any():
        return values
    largest = np.finfo(values.dtype).max
    return values.clip(-largest, largest)


def with_columns(table: Any, names: Sequence[str], values: np.ndarray) -> Any:
    """Return a table with columns appended."""
    return LIBRARIES[str(library_of(table))].append(table, names, values)


def _columns(X: Any) -> list:
    """Return the columns of a table, of an array, or of cells."""
    if isinstance(X, Cells):
        X = X.columns(slice(None))[:]
    library = library_of(X)
    return list(X.T) if library is None else LIBRARIES[library].columns(X)


def _described(name: Any, cells: Any, library: str) -> Column:
    """Return what is known of a column of a table."""
    kind, text = kind_and_text(cells)
    column = Column(name, kind, text)
    if not kind or not _can_be_made(cells.dtype, library):
        raise ValueError(
            "X must have columns of numbers, booleans, dates, text or categories. Got "
            f"{text} in column {column.label}. Turn the column into one of these, or "
            "drop it."
        )
    categories = getattr(cells.dtype, "categories", None)
    if categories is not None and text.startswith(("category ", "Enum")):
        is_level = bool(getattr(cells.dtype, "ordered", False))
        return column._replace(
            kind="level" if is_level else kind,
            categories=_array_of(listed(categories)),
            ordered=is_level or text == "Enum",
        )
    return _with_origin(column, cells)


def _can_be_made(dtype: Any, library: str) -> bool:
    """Return whether the type can be made again, for answers."""
    if isinstance(dtype, np.dtype):
        # Answers have the order of bytes of the machine.
        dtype = dtype.newbyteorder("=")
    text, categories = text_of(dtype), getattr(dtype, "categories", None)
    ordered = bool(getattr(dtype, "ordered", False))
    try:
        return bool(LIBRARIES[library].dtype(text, categories, ordered) == dtype)
    except (TypeError, ValueError, AttributeError):
        return False


def _with_origin(column: Column, cells: Any) -> Column:
    """Return a column that counts from the day of its earliest date, if it has any."""
    if column.kind != "datetime":
        return column
    return column._replace(origin=first_day(cells))


# Categories


def _distinct(cells: list, column: Column) -> set:
    """Return the distinct values of a column, without missing cells."""
    try:
        return {cell for cell in set(cells) if not is_missing(cell)}
    except TypeError as error:
        raise TypeError(
            "X must have columns of numbers, booleans, dates, text or categories. Got "
            f"{error} in column {column.label}. Encode the column first, or drop it."
        ) from error


def _sorted_values(cells: list, column: Column) -> np.ndarray:
    """Return the distinct values of a column, sorted within each type of value."""

    def place(value: Any) -> tuple[str, Any]:
        is_number = isinstance(value, int | float)
        return "" if is_number else type(value).__name__, value

    distinct = _distinct(cells, column)
    try:
        return _array_of(sorted(distinct, key=place))
    except TypeError:
        return _array_of(sorted(distinct, key=repr))


def _array_of(values: list) -> np.ndarray:
    """Return values as an array in which they stay what they are."""
    array = np.asarray(values) if all(map(np.isscalar, values)) else None
    if array is not None and array.tolist() == values and array.dtype.kind in "biufU":
        # Of whole numbers beyond int64, NumPy would make floats.
        if array.dtype.kind != "f" or not any(isinstance(v, int) for v in values):
            return array
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _extended(seen: np.ndarray, size: int | None) -> np.ndarray:
    """Return codes up to a number of categories, if only some of them were seen."""
    if size is None or len(seen) == size or seen.dtype.kind not in "iuf":
        return seen
    codes = np.arange(size).astype(seen.dtype)
    return codes if np.isin(seen, codes).all() else seen


def _encoded(cells: Any, column: Column, handle_unknown: str) -> np.ndarray:
    """Return a column as numbers or codes."""
    if column.categories is None:
        return numbers(cells, column)
    found, known = listed(cells), column.categories.tolist()
    places = {value: place for place, value in enumerate(known)}
    unknown = _distinct(found, column) - places.keys()
    if unknown and handle_unknown == "error":
        row, value = next(each for each in enumerate(found) if each[1] in unknown)
        shown = ", ".join(map(repr, known[:10])) + (", ..." if known[10:] else "")
        raise ValueError(
            f"Column {column.label} must hold categories seen in fit: {shown}. Got "
            f"{value!r} in row {row}. Add it to the training rows, or set "
            "handle_unknown='missing' to treat such cells as missing."
        )
    if handle_unknown == "apart":
        places |= dict.fromkeys(unknown, -1)
    return np.array([places.get(cell, np.nan) for cell in found], dtype=np.float64)


# Filled cells


def _filled(
    own: Any, X: Any, columns: Sequence[Column], values: np.ndarray, missing: np.ndarray
) -> Any:
    """Return a column of X with other cells where some are missing.

    Parameters
    ----------
    own : Series
    X : DataFrame
    columns : sequence of Column
        What the column may become: the first that can hold the cells that it has.
    values : ndarray of shape (n_samples,)
    missing : ndarray of bool of shape (n_samples,)
    """
    library = LIBRARIES[str(library_of(X))]
    if missing.all():
        return library.series(columns[0], values, X)
    for column in columns[:-1]:
        series = library.series(column, values, X)
        with suppress(ValueError, TypeError, ArithmeticError):
            filled = library.fill(own, missing, series)
            if _same_cells(own, filled, ~missing):
                return filled
    return library.fill(own, missing, library.series(columns[-1], values, X))


def _same_cells(column: Any, other: Any, rows: np.ndarray) -> bool:
    """Return whether two columns hold the same cells in some rows."""
    pairs = zip(listed(column), listed(other), rows, strict=True)
    return all(cell == found for cell, found, is_row in pairs if is_row)


def _candidates(own: Any, column: Column, fitted: Column) -> list[Column]:
    """Return what a column may become when cells are filled, the best first.

    Its own type, unless that lists categories or says nothing of its cells.
    """
    _, text = kind_and_text(own)
    as_it_is = column._replace(dtype=text)
    says_nothing = text.startswith(("category ", "Enum")) or kind_of(text) == "object"
    has_cells = not all(map(is_missing, listed(own)))
    return [fitted, as_it_is] if says_nothing or not has_cells else [as_it_is]


def _filled_array(X: Any, values: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Return an array with others in place of missing cells.

    An array of objects becomes one of numbers, if that changes no cell.
    """
    X = plain(X)
    if X.dtype != object:
        return np.where(missing, values.astype(X.dtype), X)
    filled = np.where(missing, values.astype(object), X)
    floats = filled.astype(np.float64)
    return floats if (floats == filled).all() else filled
