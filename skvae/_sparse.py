"""Sparse rows that look dense a few at a time, and are hashed as they are."""

from typing import Any

import numpy as np
import scipy.sparse


class SparseRows:
    """Rows of a CSR matrix; what is taken of them, by slice or index, is dense.

    All else reads rows in chunks, and so never has more of them dense than a chunk.

    Parameters
    ----------
    matrix : scipy.sparse.csr_matrix or csr_array
        Of floats.
    """

    def __init__(self, matrix: Any) -> None:
        self.matrix = scipy.sparse.csr_array(matrix)
        self.matrix.sum_duplicates()

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns."""
        return self.matrix.shape

    @property
    def dtype(self) -> np.dtype:
        """Type of the values."""
        return self.matrix.dtype

    @property
    def values(self) -> np.ndarray:
        """The cells that are stored."""
        return self.matrix.data

    def __len__(self) -> int:
        return self.matrix.shape[0]

    def __getitem__(self, part: Any) -> np.ndarray:
        """Return some rows, dense."""
        return self.matrix[part].toarray()

    def rows(self, index: np.ndarray) -> "SparseRows":
        """Return some rows, still sparse."""
        return SparseRows(self.matrix[index])

    def row_sums(self, values: np.ndarray) -> np.ndarray:
        """Return the sum over each row of one value per stored cell."""
        ends = np.concatenate((np.zeros(1, values.dtype), values.cumsum()))
        return ends[self.matrix.indptr[1:]] - ends[self.matrix.indptr[:-1]]

    def column_ranges(self) -> tuple[np.ndarray, np.ndarray]:
        """Return least and largest observed value of each column, zeros included."""
        n_rows, n_columns = self.shape
        columns = self.matrix.indices
        seen = np.bincount(columns, minlength=n_columns)
        start = np.where(seen < n_rows, 0.0, np.nan)
        low, high = start.copy(), start.copy()
        np.fmin.at(low, columns, self.values)
        np.fmax.at(high, columns, self.values)
        return low, high
