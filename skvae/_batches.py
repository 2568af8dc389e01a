"""Rows of `X` → distinct weighted rows in canonical order → batches on a device."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from skvae._random import Stream, generator

MISSING_POSITION = 2.0
"""Where a missing cell lies in the range of its column, which is from 0 to 1."""

CHUNK_VALUES = 1 << 20
"""Most values converted to float64 at a time: 8 MB."""


def resolve_device(device: str | torch.device) -> torch.device:
    """Return the torch device named by the `device` parameter."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = str(device)
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or not (index.isdecimal() or name == kind):
        raise ValueError(
            f"device must be 'auto', 'cpu', 'cuda' or 'cuda:N'. Got {name!r}."
        )
    resolved = torch.device(device)
    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if resolved.type == "cuda" and (resolved.index or 0) >= n_gpus:
        raise RuntimeError(
            f"device={name!r} requires a CUDA GPU that torch can see. Got torch "
            f"{torch.__version__}, which sees {n_gpus}. Use device='auto' or 'cpu', or "
            "install a CUDA build of torch."
        )
    return resolved


def row_slices(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Yield slices that cut `n_rows` into chunks of bounded size."""
    step = max(1, CHUNK_VALUES // max(1, n_columns))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


@dataclass(frozen=True)
class Rows:
    """Distinct rows of `X` in canonical order, with weights of mean one.

    `X` itself is never copied; chunks are converted to float64 as they are read.
    """

    X: np.ndarray
    index: np.ndarray
    weights: np.ndarray

    def __len__(self) -> int:
        return len(self.index)

    @property
    def n_features(self) -> int:
        """Number of columns."""
        return self.X.shape[1]

    def chunks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield (rows, weights), both float64."""
        for part in row_slices(len(self), self.n_features):
            rows = self.X[self.index[part]]
            yield rows.astype(np.float64, copy=False), self.weights[part]

    def take(self, positions: np.ndarray) -> "Rows":
        """Return some of the rows, their weights again of mean one."""
        weights = self.weights[positions]
        return Rows(self.X, self.index[positions], weights / weights.mean())

    def split(self, n_held_out: int, seed: int) -> tuple["Rows", "Rows"]:
        """Return (training rows, held-out rows), chosen at random."""
        order = torch.randperm(len(self), generator=generator(seed, Stream.SPLIT))
        held_out, train = order[:n_held_out].numpy(), order[n_held_out:].numpy()
        return self.take(np.sort(train)), self.take(np.sort(held_out))


def _splitmix(values: np.ndarray) -> np.ndarray:
    """Return the splitmix64 finalizer (Steele et al. 2014) of each value."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _hash_cells(cells: np.ndarray) -> np.ndarray:
    """Return the sum, modulo 2^64, of a hash of each (column, cell) of a row."""
    salts = _splitmix(np.arange(1, cells.shape[1] + 1, dtype=np.uint64))
    return _splitmix(cells ^ salts).sum(axis=1, dtype=np.uint64)


def content_hashes(X: np.ndarray) -> np.ndarray:
    """Return a 64-bit hash of each row, the same for equal rows only."""
    hashes = np.empty(len(X), dtype=np.uint64)
    for part in row_slices(*X.shape):
        # Adding zero turns -0.0 into 0.0; NaN has many patterns of bits.
        cells = X[part].astype(np.float64) + 0.0
        cells[np.isnan(cells)] = np.nan
        hashes[part] = _hash_cells(cells.view(np.uint64))
    return hashes


def position_hashes(X: np.ndarray) -> np.ndarray:
    """Return a 64-bit hash of where each row lies in the range of each column.

    Positions are rounded to 2^-17 of the range, so that they survive the rounding of a
    change of units.
    """
    # Halves keep the range of columns with both signs from overflowing.
    low, high = 0.5 * np.fmin.reduce(X, axis=0), 0.5 * np.fmax.reduce(X, axis=0)
    width = np.where(high > low, high - low, 1.0)
    hashes = np.empty(len(X), dtype=np.uint64)
    for part in row_slices(*X.shape):
        position = (0.5 * X[part].astype(np.float64) - low) / width
        position[np.isnan(position)] = MISSING_POSITION
        hashes[part] = _hash_cells(np.rint(position * 2**17).astype(np.uint64))
    return hashes


def canonical_rows(X: np.ndarray, weights: np.ndarray) -> Rows:
    """Return the distinct rows of `X` ordered by content, equal rows merged.

    A weight of two then is the same as a repeated row, a weight of zero the same as
    an absent row, and the order of rows does not matter, all exactly. The order does
    not follow the units of a column either.
    """
    # By a power of two, which rounds nothing, to where any weights can be summed.
    weights = np.ldexp(weights, -np.frexp(weights.max())[1])
    if not weights.all():
        present = np.flatnonzero(weights)
        rows = canonical_rows(X[present], weights[present])
        return Rows(X, present[rows.index], rows.weights)
    # Rows too close to be told apart by position are ordered by content.
    content = content_hashes(X)
    order = np.lexsort((weights, content, position_hashes(X)))
    starts = np.flatnonzero(np.r_[True, np.diff(content[order]) != 0])
    merged = np.add.reduceat(weights[order], starts)
    return Rows(X, order[starts], merged / merged.mean())


@dataclass(frozen=True)
class Batches:
    """Rows as a float32 tensor on a device, to be taken in shuffled batches."""

    x: torch.Tensor
    weights: torch.Tensor
    batch_size: int

    @classmethod
    def from_rows(
        cls,
        rows: Rows,
        prepare: Callable[[np.ndarray], np.ndarray],
        device: torch.device,
        batch_size: int,
    ) -> "Batches":
        """Convert rows chunk by chunk to the units that the model works in."""
        x = torch.empty((len(rows), rows.n_features), dtype=torch.float32)
        start = 0
        for chunk, _ in rows.chunks():
            x[start : start + len(chunk)] = torch.from_numpy(prepare(chunk))
            start += len(chunk)
        weights = torch.from_numpy(rows.weights).to(torch.float32)
        return cls(x.to(device), weights.to(device), batch_size)

    def __len__(self) -> int:
        return len(self.x)

    @property
    def n_steps(self) -> int:
        """Number of batches in an epoch."""
        return -(-len(self) // self.batch_size)

    def first(self) -> "Batches":
        """Return the first batch of the canonical order alone."""
        part = slice(self.batch_size)
        return Batches(self.x[part], self.weights[part], self.batch_size)

    def shuffled(
        self, seed: int, epoch: int
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield (x, weights) of each batch of an epoch.

        Sizes within an epoch differ by one row at most, so none is a tiny remainder
        whose gradient would be mostly noise.
        """
        order = torch.randperm(
            len(self), generator=generator(seed, Stream.ORDER, epoch)
        )
        for index in torch.tensor_split(order.to(self.x.device), self.n_steps):
            yield self.x[index], self.weights[index]

    def in_order(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield (x, weights) of all rows in canonical order, in large chunks."""
        for part in row_slices(*self.x.shape):
            yield self.x[part], self.weights[part]
