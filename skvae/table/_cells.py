"""Rows of numbers behind one protocol, whether they are stored dense or sparse."""

import functools
import mmap
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse
import torch

CHUNK_VALUES = 1 << 18
"""Most values converted to float64 at a time: 2 MB."""

DENSE_VALUES = 1 << 22
"""Most cells of sparse rows that are dense at a time: 32 MB."""

Ranges = tuple[np.ndarray, np.ndarray]
"""Least and largest observed value of each column; NaN where none is."""

CellFunction = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(float64 cells (..., D), their columns) → a value of each cell."""


def can_be_shared(array: np.ndarray) -> bool:
    """Return whether torch can use the memory of an array, C-ordered and writable."""
    # Along an axis of length one, strides of C-ordered arrays may be anything.
    flags = array.flags
    return flags.c_contiguous and flags.writeable and min(array.strides) >= 0


def row_slices(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Yield slices that cut `n_rows` into chunks of bounded size."""
    step = max(1, CHUNK_VALUES // max(1, n_columns))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


def column_ranges(X: np.ndarray) -> Ranges:
    """Return the ranges of the columns of an array."""
    return np.fmin.reduce(X, axis=0), np.fmax.reduce(X, axis=0)


def wider(some: Ranges, others: Ranges) -> Ranges:
    """Return the ranges of columns that hold two ranges each."""
    return np.fmin(some[0], others[0]), np.fmax(some[1], others[1])


def plain(X: Any) -> Any:
    """Return an array-like as an array or a CSR array, in which no cell is masked.

    What is passed is never changed, and copied only if it must be.

    Parameters
    ----------
    X : array-like or sparse matrix
        No table, whose names would be lost.
    """
    if scipy.sparse.issparse(X):
        return _canonical(X)
    X = X if isinstance(X, np.ndarray) else np.asarray(X)
    if not np.ma.is_masked(X):
        return np.ma.getdata(X)
    # None becomes NaN or NaT; other types have nothing for a missing cell.
    X = X if X.dtype.kind in "fcmM" else X.astype(object)
    return X.filled(np.array(None, X.dtype))


def _canonical(matrix: Any) -> Any:
    """Return a sparse matrix as a CSR array without duplicates, in column order."""
    dtype = _native(matrix.dtype)
    with np.errstate(over="ignore"):
        # SciPy cannot convert float16 to other formats.
        rows = scipy.sparse.csr_array(matrix.astype(dtype, copy=False))
    if not rows.has_canonical_format:
        # What follows would change the arrays that a user's matrix has, too.
        rows = rows.copy()
        rows.sum_duplicates()
    return rows


def _native(dtype: np.dtype) -> np.dtype:
    """Return the type in which cells of a type are read: one that torch has, too."""
    if dtype.kind != "f":
        return dtype.newbyteorder("=")
    return np.dtype(np.float32 if dtype.itemsize == 4 else np.float64)


def _mapped(array: Any) -> Any:
    """Return the array that lies in a file, of which this is a view, or None."""
    while array is not None and not isinstance(array, np.memmap):
        array = getattr(array, "base", None)
    while isinstance(array, np.memmap) and isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _refuse_cut_off(array: Any, name: str = "X") -> None:
    """Raise OSError where the file of a mapped array has become shorter.

    To read what is no longer there would end the process.
    """
    if not isinstance(array.base, mmap.mmap):
        return
    needed, size = array.offset + array.nbytes, array.base.size()
    if size < needed:
        raise OSError(
            f"{name} lies in a file that must have {needed} bytes. Got {size}: the "
            f"file {array.filename or ''} was cut off after it was mapped. Write it "
            "again, and map it anew."
        )


def in_memory(array: Any, name: str) -> Any:
    """Return what is passed, or a copy of an array that lies in a file.

    Parameters
    ----------
    array : array-like
    name : str
        What the user calls it.

    Raises
    ------
    OSError
        If the file was cut off after it was mapped.
    """
    mapped = _mapped(array)
    if mapped is None:
        return array
    _refuse_cut_off(mapped, name)
    return np.array(array)


class Cells(ABC):
    """Rows and columns of numbers, where NaN is a missing cell.

    `cells[rows]` is a dense array, for a slice or an index of rows: a copy, C-ordered
    and in the byte order of the machine, whatever the layout of what a user passed.
    Many rows should be read in chunks, so that neither sparse rows nor those in a file
    are in memory all at once.

    Parameters
    ----------
    values : ndarray or csr_array
        Never changed, and never copied as a whole.

    Attributes
    ----------
    shape : tuple of two int
        Number of rows and columns.
    dtype : dtype
        Type of the numbers that are read: whole numbers as they are, float32, or else
        float64.
    """

    most_dense = sys.maxsize
    """How many cells may be read at a time."""
    is_mapped = False
    """Whether the cells lie in a file, to be read when they are asked for."""

    def __init__(self, values: Any) -> None:
        self.values = values
        self.shape: tuple[int, int] = values.shape
        self.dtype: np.dtype = _native(values.dtype)

    def __len__(self) -> int:
        return self.shape[0]

    @abstractmethod
    def __getitem__(self, rows: Any) -> np.ndarray: ...

    @abstractmethod
    def columns(self, positions: Sequence[int] | slice) -> "Cells":
        """Return some columns."""

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """Two numbers between which all cells are; NaN if a cell is missing."""
        # The least value is NaN if there is one, and needs no array of booleans.
        ends = ((chunk.min(), chunk.max()) for chunk in self.chunks())
        low, high = zip(*ends, strict=True)
        return float(np.min(low)), float(np.max(high))

    @property
    def has_missing(self) -> bool:
        """Whether a cell is missing."""
        return bool(np.isnan(self.bounds[0]))

    def chunks(self) -> Iterator[np.ndarray]:
        """Yield the rows as arrays of bounded size."""
        return (self[part] for part in row_slices(*self.shape))

    def most_rows(self, most: int) -> int:
        """Return how many rows to read at a time, of which so many may be."""
        return min(most, max(1, self.most_dense // self.shape[1]))

    def slices(self, most_rows: int) -> Iterator[slice]:
        """Yield slices of at most so many rows, fewer where more would be too large."""
        step = self.most_rows(most_rows)
        for start in range(0, len(self), step):
            yield slice(start, start + step)

    def as_tensor(self) -> torch.Tensor | None:
        """Return a float32 tensor on the same memory, or None where that cannot be."""
        return None

    def _chosen(self, rows: np.ndarray | None) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield slices of a bounded number of rows, or of the rows asked for; cells."""
        n_rows = len(self) if rows is None else len(rows)
        for part in row_slices(n_rows, self.shape[1]):
            yield part, self[part if rows is None else rows[part]]

    def column_ranges(self, rows: np.ndarray | None = None) -> Ranges:
        """Return least and largest observed value of each column; NaN where none is.

        Parameters
        ----------
        rows : ndarray of int, default=None
            The rows asked for; None asks for all.
        """
        ranges = (column_ranges(cells) for _, cells in self._chosen(rows))
        low, high = functools.reduce(wider, ranges)
        return low.astype(np.float64), high.astype(np.float64)

    def row_sums(
        self, function: CellFunction, rows: np.ndarray | None = None
    ) -> np.ndarray:
        """Return sums over columns, modulo 2^64, of a function of each cell.

        Parameters
        ----------
        function : callable
            (cells, columns) → unsigned integers of 64 bits.
        rows : ndarray of int, default=None
            The rows asked for; None asks for all.
        """
        sums = np.empty(len(self) if rows is None else len(rows), dtype=np.uint64)
        for part, cells in self._chosen(rows):
            cells = cells.astype(np.float64, copy=False)
            values = function(cells, np.arange(self.shape[1]))
            sums[part] = values.sum(axis=1, dtype=np.uint64)
        return sums


class DenseCells(Cells):
    """Cells of an array, or of some of its columns, which may lie in a file."""

    def __init__(self, values: np.ndarray, positions: np.ndarray | None = None) -> None:
        super().__init__(values)
        self.positions = positions
        if positions is not None:
            self.shape = (len(values), len(positions))
        self._mapped = _mapped(values)
        self.is_mapped = self._mapped is not None

    def __getitem__(self, rows: Any) -> np.ndarray:
        if self._mapped is not None:
            _refuse_cut_off(self._mapped)
        cells = self._picked(rows)
        is_shared = np.may_share_memory(cells, self.values)
        # Longer floats may hold numbers that are infinite in float64.
        with np.errstate(over="ignore"):
            return np.array(cells, self.dtype, order="C", copy=is_shared or None)

    def _picked(self, rows: Any) -> np.ndarray:
        if self.positions is None:
            return self.values[rows]
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(self)))
        return self.values[np.ix_(rows, self.positions)]

    def columns(self, positions: Sequence[int] | slice) -> Cells:
        """Return some columns, to be read when they are asked for."""
        known = np.arange(self.shape[1]) if self.positions is None else self.positions
        return DenseCells(self.values, known[positions])

    def as_tensor(self) -> torch.Tensor | None:
        """Return a tensor on the same memory, if torch reads it as float32."""
        can = self.values.dtype == np.float32 and can_be_shared(self.values)
        # What lies in a file is read through its check alone.
        can = can and self.positions is None and not self.is_mapped
        return torch.from_numpy(self.values) if can else None


class SparseCells(Cells):
    """Cells of a CSR matrix, of which those that are not stored are zero."""

    most_dense = DENSE_VALUES

    def __init__(self, values: Any) -> None:
        super().__init__(_canonical(values))

    def __getitem__(self, rows: Any) -> np.ndarray:
        return self.values[rows].toarray()

    def _taken(self, rows: np.ndarray) -> "SparseCells":
        return SparseCells(self.values[rows])

    def columns(self, positions: Sequence[int] | slice) -> Cells:
        """Raise ValueError: single columns would be read dense."""
        raise ValueError(
            "Sparse rows require one likelihood of numbers for all columns. Got "
            "several, or one of categories. Choose one such as 'poisson', or pass "
            "dense rows."
        )

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """Two numbers between which all cells are; NaN if a cell is missing."""
        stored = self.values.data
        return float(stored.min(initial=0.0)), float(stored.max(initial=0.0))

    def column_ranges(self, rows: np.ndarray | None = None) -> Ranges:
        """Return least and largest observed value of each column, zeros included."""
        if rows is not None:
            return self._taken(rows).column_ranges()
        columns, stored = self.values.indices, self.values.data
        n_stored = np.bincount(columns, minlength=self.shape[1])
        low = np.where(n_stored < len(self), 0.0, np.nan)
        high = low.copy()
        np.fmin.at(low, columns, stored)
        np.fmax.at(high, columns, stored)
        return low, high

    def row_sums(
        self, function: CellFunction, rows: np.ndarray | None = None
    ) -> np.ndarray:
        """Return sums over columns of a function of stored cells and of zero."""
        if rows is not None:
            return self._taken(rows).row_sums(function)
        columns, ends = self.values.indices, self.values.indptr
        zeros = function(np.zeros(self.shape[1]), np.arange(self.shape[1]))
        stored = function(self.values.data.astype(np.float64), columns)
        excess = np.r_[np.uint64(0), (stored - zeros[columns]).cumsum()]
        return zeros.sum(dtype=np.uint64) + excess[ends[1:]] - excess[ends[:-1]]


def as_cells(values: Any) -> Cells:
    """Return the cells of an array or a sparse matrix; cells as they are."""
    if isinstance(values, Cells):
        return values
    kind = SparseCells if scipy.sparse.issparse(values) else DenseCells
    return kind(values)
