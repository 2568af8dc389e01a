"""Distinct weighted rows → batches in model units on a device."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from skvae._random import Stream, generator
from skvae.table._batch import Batch
from skvae.table._cells import row_slices
from skvae.table._rows import Rows

RESIDENT_BYTES = 1 << 28
"""Rows up to so many bytes are converted once, larger ones whenever they are read."""

Prepare = Callable[[np.ndarray], np.ndarray]
Read = Callable[[Tensor], Tensor]
"""Where some rows lie, as (B,) of int64 → a copy of them in model units, (B, D)."""


def _reader(
    rows: Rows, prepare: Prepare | None, device: torch.device
) -> tuple[Read, Tensor]:
    """Return what reads rows, and where they lie; see `Batches.from_rows`."""
    n_rows, n_columns = len(rows), rows.n_features
    places = torch.from_numpy(rows.index)

    def convert(places: Tensor) -> Tensor:
        x = (prepare or np.asarray)(rows.cells[places.numpy()])
        return torch.from_numpy(np.asarray(x, dtype=np.float32)).to(device)

    is_large = 4 * n_rows * n_columns > RESIDENT_BYTES
    if device.type == "cpu":
        shared = rows.cells.as_tensor() if prepare is None else None
        if shared is not None:
            return partial(shared.index_select, 0), places
        if prepare is None or is_large or rows.cells.is_mapped:
            return convert, places
    x = torch.empty((n_rows, n_columns), dtype=torch.float32, device=device)
    for part in row_slices(n_rows, n_columns):
        x[part] = convert(places[part])
    return partial(x.index_select, 0), torch.arange(n_rows, device=device)


@dataclass(frozen=True)
class Batches:
    """Rows in model units, float32 on a device, in shuffled batches or in order.

    Attributes
    ----------
    neighbors : Tensor of int64 of shape (n, k) or None
        Positions of neighbors of each row. Where they are given, each row of a batch
        comes with one of them, drawn by their weights.
    """

    read: Read
    places: Tensor
    weights: Tensor
    n_columns: int
    batch_size: int
    has_missing: bool
    neighbors: Tensor | None = None

    @classmethod
    def from_rows(
        cls,
        rows: Rows,
        prepare: Prepare | None,
        device: torch.device,
        batch_size: int,
        neighbors: Tensor | None = None,
    ) -> "Batches":
        """Return batches of rows, which `prepare` converts to the units of the model.

        On the CPU, rows are converted for each batch if they lie in a file, would take
        more than `RESIDENT_BYTES`, or have these units already: without `prepare`.
        Else, and on other devices, they are kept converted.
        """
        source = _reader(rows, prepare, device)
        weights = torch.from_numpy(rows.weights).to(device, torch.float32)
        near = None if neighbors is None else neighbors.to(device)
        n_columns, has_missing = rows.n_features, rows.has_missing
        return cls(*source, weights, n_columns, batch_size, has_missing, near)

    def __len__(self) -> int:
        return len(self.weights)

    @property
    def device(self) -> torch.device:
        """Where batches lie."""
        return self.weights.device

    @property
    def n_steps(self) -> int:
        """Number of batches in an epoch."""
        return -(-len(self) // self.batch_size)

    def shuffled(self, seed: int, epoch: int) -> Iterator[Batch]:
        """Yield the batches of an epoch.

        Sizes within an epoch differ by one row at most, so none is a tiny remainder
        whose gradient would be mostly noise.
        """
        random = generator(seed, Stream.ORDER, epoch)
        index = torch.randperm(len(self), generator=random).to(self.device)
        partners = self._partners(index, generator(seed, Stream.NEIGHBORS, epoch))
        both = (rows.tensor_split(self.n_steps) for rows in (index, partners))
        yield from map(self._batch, *both)

    def in_order(self, n_rows: int | None = None) -> Iterator[Batch]:
        """Yield batches of the first rows, or of all, in canonical order.

        Their neighbors are the same at every call.
        """
        index = torch.arange(len(self), device=self.device)[:n_rows]
        partners = self._partners(index, generator(0, Stream.NEIGHBORS))
        for part in row_slices(len(index), self.n_columns):
            yield self._batch(index[part], partners[part])

    def _partners(self, index: Tensor, random: torch.Generator) -> Tensor:
        """Return the position of a neighbor of each row; none without neighbors."""
        if self.neighbors is None:
            return index[:0]
        near = self.neighbors[index]
        shares = self.weights[near].cumsum(1)
        uniform = torch.rand((len(near), 1), generator=random, dtype=torch.float32)
        drawn = shares < uniform.to(self.device) * shares[:, -1:]
        return near.gather(1, drawn.sum(1, keepdim=True))[:, 0]

    def _batch(self, index: Tensor, partners: Tensor) -> Batch:
        known = {"weights": self.weights[index], "index": index}
        if len(partners):
            known["partners"] = self.read(self.places[partners])
        return Batch.of(self.read(self.places[index]), self.has_missing, **known)
