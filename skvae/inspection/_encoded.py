"""Rows of several tables as numbers and codes of the same columns, and as points."""

from typing import Any

import numpy as np
import scipy.sparse

from skvae.table import Reader, check_finite, read_table


class Encoder:
    """Reads tables as the first one was read.

    Columns of texts and of categories become codes; values that they do not have in
    the first table are -1. A missing cell is NaN.

    Parameters
    ----------
    table : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)

    Attributes
    ----------
    layout : Layout
        The columns.
    is_coded : ndarray of bool of shape (n_features,)
        Which columns hold codes.
    first : ndarray of shape (n_samples, n_features)
        The first table, encoded.
    std : ndarray of shape (n_features,)
        Standard deviations of its columns; 1 of those that are constant.
    """

    def __init__(self, table: Any) -> None:
        self._reader = Reader()
        read, layout = read_table(self._reader, table)
        coded = [j for j, k in enumerate(layout.kinds) if k in ("category", "level")]
        self.layout = layout.with_categories(read, dict.fromkeys(coded))
        self.is_coded = np.isin(np.arange(len(layout.columns)), self.layout.coded)
        self.first = self._encoded(read)
        self._mean, self.std = _moments(self.first)

    def __call__(self, table: Any) -> np.ndarray:
        """Return another table with these columns as numbers and codes."""
        return self._encoded(read_table(self._reader, table, self.layout)[0])

    def _encoded(self, read: Any) -> np.ndarray:
        cells: Any = self.layout.encode(read, "apart")
        check_finite(cells, self.layout.labels)
        return np.array(cells[:], dtype=np.float64)

    def points(self, rows: np.ndarray) -> scipy.sparse.csr_matrix:
        """Return encoded rows as points whose distances mean something.

        Numbers count in standard deviations of the first table, and categories that
        differ are at distance 1. Missing cells are at the mean, or at no category, and
        at distance 1 from all observed cells besides.
        """
        missing = np.isnan(rows)
        scaled = np.where(missing, 0.0, (rows - self._mean) / self.std)
        parts = [scipy.sparse.csr_matrix(scaled[:, ~self.is_coded])]
        parts += [self._one_hot(rows[:, j], j) for j in self.layout.coded.tolist()]
        parts += [scipy.sparse.csr_matrix(missing.astype(np.float64))]
        return scipy.sparse.hstack(parts, format="csr")

    def _one_hot(self, codes: np.ndarray, column: int) -> scipy.sparse.csr_matrix:
        known = np.flatnonzero(codes >= 0)
        places = known, codes[known].astype(int)
        shape = len(codes), len(self.layout.columns[column].categories)
        values = np.full(len(known), np.sqrt(0.5))
        return scipy.sparse.csr_matrix((values, places), shape=shape)


def _moments(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of observed cells, 0 and 1 without any.

    Constant columns have the standard deviation 1, too.
    """
    observed = ~np.isnan(rows)
    counts = np.maximum(observed.sum(0), 1)
    mean = np.where(observed, rows, 0.0).sum(0) / counts
    squares = np.where(observed, np.square(rows - mean), 0.0).sum(0) / counts
    return mean, np.sqrt(np.where(squares > 0.0, squares, 1.0))
