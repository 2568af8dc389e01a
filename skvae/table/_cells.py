"""Rows of numbers behind one protocol, whether they are stored dense or sparse."""

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

CellFunction = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(float64 cells (..., D), their columns) → a value of each cell."""


def row_slices(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Yield slices that cut `n_rows` into chunks of bounded size."""
    step = max(1, CHUNK_VALUES // max(1, n_columns))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


def column_ranges(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return least and largest observed value of each column; NaN where none is."""
    return np.fmin.reduce(X, axis=0), np.fmax.reduce(X, axis=0)


class Cells(ABC):
    """Rows and columns of numbers, where NaN is a missing cell.

    `cells[rows]` is a dense array, for a slice or an index of rows. Many rows should be
    read in chunks, so that sparse rows are never dense all at once.

    Parameters
    ----------
    values : ndarray or csr_array
        Never changed, and never copied as a whole.

    Attributes
    ----------
    shape : tuple of two int
        Number of rows and columns.
    dtype : dtype
        Type of the numbers.
    """

    most_dense = sys.maxsize
    """How many cells may be read at a time."""
    is_mapped = False
    """Whether the cells lie in a file, to be read when they are asked for."""

    def __init__(self, values: Any) -> None:
        self.values = values
        self.shape: tuple[int, int] = values.shape
        self.dtype: np.dtype = values.dtype

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

    def take(self, rows: np.ndarray) -> "Cells":
        """Return some rows, stored as these are."""
        return type(self)(self.values[rows])

    def chunks(self) -> Iterator[np.ndarray]:
        """Yield the rows as arrays of bounded size."""
        return (self[part] for part in row_slices(*self.shape))

    def slices(self, most_rows: int) -> Iterator[slice]:
        """Yield slices of at most so many rows, fewer where more would be too large."""
        step = min(most_rows, max(1, self.most_dense // self.shape[1]))
        for start in range(0, len(self), step):
            yield slice(start, start + step)

    def as_tensor(self) -> torch.Tensor | None:
        """Return a float32 tensor on the same memory, or None where that cannot be."""
        return None

    def column_ranges(self) -> tuple[np.ndarray, np.ndarray]:
        """Return least and largest observed value of each column; NaN where none is."""
        return column_ranges(self[:])

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
        n_rows, columns = len(self) if rows is None else len(rows), self.shape[1]
        sums = np.empty(n_rows, dtype=np.uint64)
        for part in row_slices(n_rows, columns):
            cells = self[part if rows is None else rows[part]].astype(np.float64)
            values = function(cells, np.arange(columns))
            sums[part] = values.sum(axis=1, dtype=np.uint64)
        return sums


class DenseCells(Cells):
    """Cells of an array, which may lie in a file."""

    def __init__(self, values: np.ndarray) -> None:
        super().__init__(values)
        array: Any = values
        while array is not None and not isinstance(array, np.memmap):
            array = getattr(array, "base", None)
        self.is_mapped = array is not None

    def __getitem__(self, rows: Any) -> np.ndarray:
        return self.values[rows]

    def columns(self, positions: Sequence[int] | slice) -> Cells:
        """Return some columns."""
        return DenseCells(self.values[:, positions])

    def as_tensor(self) -> torch.Tensor | None:
        """Return a tensor on the same memory, if torch reads it as float32."""
        flags = self.values.flags
        can = self.dtype == np.float32 and flags.c_contiguous and flags.writeable
        return torch.from_numpy(self.values) if can else None


class SparseCells(Cells):
    """Cells of a CSR matrix, of which those that are not stored are zero."""

    most_dense = DENSE_VALUES

    def __init__(self, values: Any) -> None:
        matrix = scipy.sparse.csr_array(values)
        if not matrix.has_canonical_format:
            # What follows would change the arrays that a user's matrix has, too.
            matrix = matrix.copy()
            matrix.sum_duplicates()
        super().__init__(matrix)

    def __getitem__(self, rows: Any) -> np.ndarray:
        return self.values[rows].toarray()

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

    def column_ranges(self) -> tuple[np.ndarray, np.ndarray]:
        """Return least and largest observed value of each column, zeros included."""
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
            return self.take(rows).row_sums(function)
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
