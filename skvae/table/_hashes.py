"""Hashes that identify rows, whatever their order and their units."""

import numpy as np

from skvae.table._cells import CellFunction, Cells

MISSING_POSITION = 2.0**18
"""Where a missing cell lies in the range of its column, which is from 0 to 2^17."""


def splitmix(values: np.ndarray) -> np.ndarray:
    """Return the splitmix64 finalizer (Steele et al. 2014) of each value."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _hash_rows(
    cells: Cells, bits: CellFunction, rows: np.ndarray | None = None
) -> np.ndarray:
    """Return the sum, modulo 2^64, of a hash of each (column, cell) of some rows."""
    salts = splitmix(np.arange(1, cells.shape[1] + 1, dtype=np.uint64))

    def hashes(values: np.ndarray, columns: np.ndarray) -> np.ndarray:
        return splitmix(bits(values, columns) ^ salts[columns])

    return cells.row_sums(hashes, rows)


def content_hashes(cells: Cells, rows: np.ndarray | None = None) -> np.ndarray:
    """Return a 64-bit hash of each row, or of some, the same for equal rows only."""

    def bits(values: np.ndarray, columns: np.ndarray) -> np.ndarray:
        # Adding zero turns -0.0 into 0.0; NaN has many patterns of bits.
        values = values + 0.0
        values[np.isnan(values)] = np.nan
        return values.view(np.uint64)

    return _hash_rows(cells, bits, rows)


class Positions:
    """Where cells lie in the ranges of their columns, from 0 to 2^17; NaN stays NaN.

    Positions are rounded, so that they survive the rounding of a change of units.
    """

    def __init__(self, low: np.ndarray, high: np.ndarray) -> None:
        # Halves keep the range of columns with both signs from overflowing.
        self.low, high = 0.5 * low, 0.5 * high
        self.width = np.where(high > self.low, high - self.low, 1.0)

    def __call__(
        self, cells: np.ndarray, columns: np.ndarray | slice = slice(None)
    ) -> np.ndarray:
        position = (0.5 * cells - self.low[columns]) / self.width[columns]
        return np.rint(position * 2**17)


def position_hashes(cells: Cells, rows: np.ndarray | None = None) -> np.ndarray:
    """Return a 64-bit hash of where each row lies in the range of each column.

    Ranges are those of the rows asked for.
    """
    positions = Positions(*cells.column_ranges(rows))

    def bits(values: np.ndarray, columns: np.ndarray) -> np.ndarray:
        position = positions(values, columns)
        position[np.isnan(position)] = MISSING_POSITION
        # A zero that no row has may lie outside of the range.
        return position.clip(0.0, MISSING_POSITION).astype(np.uint64)

    return _hash_rows(cells, bits, rows)
