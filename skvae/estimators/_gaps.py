"""Which cells of rows are missing together."""

from typing import NamedTuple

import numpy as np
import torch

from skvae.table import Rows

MOST_ROWS = 10_000
"""Most rows whose missing cells are kept."""


class Gaps(NamedTuple):
    """Patterns of missing cells, as often as they occur.

    Attributes
    ----------
    packed : ndarray of uint8 of shape (n_patterns, ceil(D / 8))
        Bits that are 1 where a cell is missing.
    weights : ndarray of shape (n_patterns,)
    n_columns : int
    """

    packed: np.ndarray
    weights: np.ndarray
    n_columns: int

    @classmethod
    def of(cls, rows: Rows) -> "Gaps":
        """Return the patterns of some rows."""
        some = np.arange(min(len(rows), MOST_ROWS))
        bits = np.packbits(np.isnan(rows[some]), axis=1)
        packed, places = np.unique(bits, axis=0, return_inverse=True)
        weights = np.bincount(places.ravel(), rows.weights[some])
        return cls(packed, weights, rows.n_features)

    def draw(self, n: int, random: torch.Generator) -> np.ndarray:
        """Return which cells of n rows are missing, (n, D) of bool."""
        weights = torch.from_numpy(self.weights)
        chosen = torch.multinomial(weights, n, True, generator=random).numpy()
        bits = np.unpackbits(self.packed[chosen], axis=1, count=self.n_columns)
        return bits.astype(bool)
