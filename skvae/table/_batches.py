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
    """Rows in model units, float32 on a device, in shuffled batches or in order."""

    read: Read
    places: Tensor
    weights: Tensor
    n_columns: int
    batch_size: int
    has_missing: bool

    @classmethod
    def from_rows(
        cls, rows: Rows, prepare: Prepare | None, device: torch.device, batch_size: int
    ) -> "Batches":
        """Return batches of rows, which `prepare` converts to the units of the model.

        On the CPU, rows are converted for each batch if they lie in a file, would take
        more than `RESIDENT_BYTES`, or have these units already: without `prepare`.
        Else, and on other devices, they are kept converted.
        """
        source = _reader(rows, prepare, device)
        weights = torch.from_numpy(rows.weights).to(device, torch.float32)
        return cls(*source, weights, rows.n_features, batch_size, rows.has_missing)

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
        values = (self.places[index], self.weights[index], index)
        yield from map(self._batch, *(v.tensor_split(self.n_steps) for v in values))

    def in_order(self, n_rows: int | None = None) -> Iterator[Batch]:
        """Yield batches of the first rows, or of all, in canonical order."""
        index = torch.arange(len(self), device=self.device)[:n_rows]
        for part in row_slices(len(index), self.n_columns):
            yield self._batch(self.places[part], self.weights[part], index[part])

    def _batch(self, places: Tensor, weights: Tensor, index: Tensor) -> Batch:
        x = self.read(places)
        return Batch.of(x, self.has_missing, weights=weights, index=index)
