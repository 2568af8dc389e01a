"""Cells → distinct rows with weights, in an order that follows from their content."""

import functools
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from skvae.table._cells import Cells, column_ranges, row_slices, wider
from skvae.table._hashes import Positions, content_hashes, position_hashes, splitmix

MOST_ROWS_TO_SPREAD = 10_000
"""With more rows than that, any choice of held-out rows will do."""

MOST_FINGERPRINTED = 10_000_000
"""Cells that a fingerprint is made of, at most, if it is of more than 1,000 rows."""

T = TypeVar("T")


@dataclass(frozen=True)
class Rows:
    """Distinct rows in canonical order, with weights of mean one.

    Attributes
    ----------
    cells : Cells
        The cells that the rows are taken from, never copied.
    index : ndarray of int of shape (n,)
        Position of each row there.
    weights : ndarray of shape (n,)
    """

    cells: Cells
    index: np.ndarray
    weights: np.ndarray

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, positions: Any) -> np.ndarray:
        """Return some rows, float64."""
        return self.cells[self.index[positions]].astype(np.float64, copy=False)

    @property
    def n_features(self) -> int:
        """Number of columns."""
        return self.cells.shape[1]

    @property
    def has_missing(self) -> bool:
        """Whether a cell is missing."""
        return self.cells.has_missing

    def _chunks(self) -> Iterator[Any]:
        """Yield positions of rows, chunk by chunk, each row once.

        Rows in a file are read in the order in which they lie there.
        """
        order = np.argsort(self.index) if self.cells.is_mapped else None
        for part in row_slices(len(self), self.n_features):
            yield part if order is None else order[part]

    def reduce(
        self,
        function: Callable[[np.ndarray, np.ndarray], T],
        combine: Callable[[T, T], T] = operator.add,
    ) -> T:
        """Return a statistic of all rows, in one pass.

        Parameters
        ----------
        function : callable
            (rows (n, D), weights (n,)) → the statistic of some rows, float64.
        combine : callable
            (statistic, statistic) → that of both together; the order of rows must not
            matter to it.
        """
        chunks = (function(self[some], self.weights[some]) for some in self._chunks())
        return functools.reduce(combine, chunks)

    def fingerprint(self) -> int:
        """Return a number that rows with another content are unlikely to have.

        It is made of all rows, or, where these have more cells than
        `MOST_FINGERPRINTED`, of evenly spaced ones, a thousand at least.
        """
        step = -(-len(self) * self.n_features // MOST_FINGERPRINTED)
        some = slice(None, None, max(1, min(step, -(-len(self) // 1000))))
        hashes = content_hashes(self.cells, self.index[some])
        # Mixed, as otherwise rows could exchange their weights.
        hashes = splitmix(hashes ^ splitmix(self.weights[some].view(np.uint64)))
        return len(self) ^ int(np.bitwise_xor.reduce(hashes))

    def take(self, positions: np.ndarray) -> "Rows":
        """Return some of the rows, their weights again of mean one."""
        weights = self.weights[positions]
        return Rows(self.cells, self.index[positions], weights / weights.mean())

    def columns(self, positions: Sequence[int]) -> "Rows":
        """Return some columns of the rows, which need not be distinct there."""
        return replace(self, cells=self.cells.columns(positions))

    def split(self, n_held_out: int) -> tuple["Rows", "Rows"]:
        """Return (training rows, held-out rows), the latter spread over all rows."""
        held_out = self.spread(n_held_out)
        train = np.delete(np.arange(len(self)), held_out)
        return self.take(train), self.take(held_out)

    def spread(self, n_rows: int) -> np.ndarray:
        """Return the positions of rows that stand for all, in canonical order.

        In order of their distance from the center, one row in every so many is taken.
        A random sample may contain too many extreme rows, or none, and would then say
        more about these than about the state of a model.
        """
        order = np.arange(len(self))
        if len(self) <= MOST_ROWS_TO_SPREAD:
            order = np.argsort(self._distances(), kind="stable")
        middles = (np.arange(n_rows) + 0.5) * (len(self) / n_rows)
        return np.sort(order[middles.astype(int)])

    def _distances(self) -> np.ndarray:
        """Return squared distances from the center, by columns of equal variance.

        A missing cell adds nothing, and the units of columns do not matter.
        """
        positions = Positions(*self.reduce(lambda X, _: column_ranges(X), wider))

        def moments(X: np.ndarray, _: np.ndarray) -> np.ndarray:
            cells = positions(X)
            sums = np.nansum(cells, axis=0), np.nansum(np.square(cells), axis=0)
            return np.stack((np.isfinite(cells).sum(axis=0), *sums))

        n, total, squares = self.reduce(moments)
        n = np.maximum(n, 1)
        center = total / n
        variance = squares / n - np.square(center)
        # Columns that vary less than positions are rounded do not count.
        precision = (variance > 0.5) / np.maximum(variance, 0.5)
        distances = np.empty(len(self))
        for some in self._chunks():
            deviations = np.square(positions(self[some]) - center)
            distances[some] = np.nansum(deviations * precision, axis=1)
        return distances


def canonical_rows(cells: Cells, weights: np.ndarray) -> Rows:
    """Return the distinct rows ordered by content, equal rows merged.

    A weight of two is the same as a repeated row, a weight of zero the same as an
    absent row, and the order of rows does not matter, all exactly. The order does not
    follow the units of a column either.
    """
    # Scaling by a power of two rounds nothing, and then any weights can be summed.
    weights = np.ldexp(weights, -np.frexp(weights.max())[1])
    present = np.flatnonzero(weights)
    weights = weights[present]
    order, starts = _by_content(cells, present, weights)
    merged = np.add.reduceat(weights[order], starts)
    merged /= merged.mean()
    return Rows(cells, present[order[starts]], merged)


def _by_content(
    cells: Cells, present: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the canonical order of the rows, and where in it another row begins."""
    position = position_hashes(cells, present if len(present) < len(cells) else None)
    order = np.argsort(position)
    differs = _changes(position, order)
    # Rows too close to be distinguished by position are ordered by content.
    close = order[~(differs & np.r_[differs[1:], True])]
    if len(close):
        content = np.zeros_like(position)
        content[close] = content_hashes(cells, present[close])
        order = np.lexsort((weights, content, position))
        differs = _changes(position, order) | _changes(content, order)
    return order, np.flatnonzero(differs)


def _changes(values: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return where ordered values differ from the one before; the first does."""
    ordered = values[order]
    return np.r_[True, ordered[1:] != ordered[:-1]]
