"""Nearest neighbors among rows, by what the encoder sees of them."""

import math

import numpy as np
import torch
from torch import Tensor

from skvae._model import Model
from skvae.table import Batch, Rows, row_slices
from skvae.training._axes import principal_axes

N_AXES = 50
"""Principal axes on which rows are compared, where the encoder has more inputs."""

MOST_TOGETHER = 1 << 16
"""Rows among which neighbors are sought; more rows are taken apart into such sets."""


class Neighborhoods:
    """Finds the nearest neighbors of training rows, and of rows like these.

    Distances are Euclidean, in the encoder's inputs or on their leading principal axes:
    noise in many columns hides neighbors, and the search takes longer.

    Parameters
    ----------
    model : Model
    train : Rows
        Training rows, whose axes are taken.
    n_neighbors : int
        Number of neighbors of a training row.
    """

    def __init__(self, model: Model, train: Rows, n_neighbors: int) -> None:
        self.model, self.n_neighbors, self.n_rows = model, n_neighbors, len(train)
        self.axes: np.ndarray | None = None
        if model.likelihood.n_inputs > N_AXES:
            self.axes = principal_axes(model, train, N_AXES).vectors

    def of(self, rows: Rows) -> Tensor:
        """Return the positions of the nearest neighbors of each row, (n, k).

        Parameters
        ----------
        rows : Rows
            The n rows, which are each other's neighbors. Fewer rows than those of
            training have as many fewer neighbors, which are then about as near.

        Returns
        -------
        neighbors : Tensor of int64 of shape (n, k)
            Positions among the rows; k is at least 1. A single row is its own neighbor.
        """
        n_rows = len(rows)
        if n_rows == 1:
            return torch.zeros((1, 1), dtype=torch.int64)
        n_sets = math.ceil(n_rows / MOST_TOGETHER)
        share = n_rows / n_sets / self.n_rows
        n_neighbors = round(self.n_neighbors * min(1.0, share))
        n_neighbors = min(max(1, n_neighbors), n_rows // n_sets - 1)
        # Rows are ordered by content, so that some in a row are as good as any.
        sets = np.array_split(np.arange(n_rows), n_sets)
        found = [some[self._nearest(rows, some, n_neighbors)] for some in sets]
        return torch.from_numpy(np.concatenate(found))

    def _nearest(self, rows: Rows, some: np.ndarray, n_neighbors: int) -> np.ndarray:
        """Return positions, among some rows, of the nearest neighbors of each."""
        from sklearn.neighbors import NearestNeighbors

        parts = row_slices(len(some), self.model.likelihood.n_inputs)
        points = np.concatenate([self._points(rows, some[part]) for part in parts])
        search = NearestNeighbors(n_neighbors=n_neighbors).fit(points)
        return search.kneighbors(return_distance=False)

    @torch.inference_mode()
    def _points(self, rows: Rows, some: np.ndarray) -> np.ndarray:
        """Return where rows are compared, float32."""
        x = torch.from_numpy(self.model.likelihood.prepare(rows[some]))
        h = self.model.inputs(Batch.of(x, rows.has_missing)).numpy()
        points = h if self.axes is None else h @ self.axes
        return points.astype(np.float32)


def neighbors_of(
    model: Model, n_neighbors: int | None, train: Rows, *others: Rows | None
) -> list[Tensor | None]:
    """Return the neighbors of rows among themselves, for each of several sets.

    Parameters
    ----------
    model : Model
        On the CPU.
    n_neighbors : int or None
        Number of neighbors of a training row; None: nothing has neighbors.
    train : Rows
        Training rows.
    *others : Rows or None
        Held-out rows, or others.

    Returns
    -------
    neighbors : list of Tensor or None
    """
    if n_neighbors is None:
        return [None] * (1 + len(others))
    near = Neighborhoods(model, train, n_neighbors)
    return [None if rows is None else near.of(rows) for rows in (train, *others)]
