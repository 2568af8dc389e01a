"""Rows of `X` → distinct weighted rows in canonical order → batches on a device."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from skvae._random import Stream, generator
from skvae._sparse import SparseRows

MISSING_POSITION = 2.0**18
"""Where a missing cell lies in the range of its column, which is from 0 to 2^17."""

CHUNK_VALUES = 1 << 18
"""Most values converted to float64 at a time: 2 MB."""

MOST_ROWS_TO_SPREAD = 10_000
"""Of more rows than that so many are held out that any will do."""

RESIDENT_BYTES = 1 << 28
"""Rows up to so many bytes are converted once, larger ones whenever they are read."""


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

    X: np.ndarray | SparseRows
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

    def split(self, n_held_out: int) -> tuple["Rows", "Rows"]:
        """Return (training rows, held-out rows), alike in how far out they lie.

        In order of their distance from the center, one row in every so many is held
        out. A few drawn by chance may have more of the extreme rows than their share,
        or none, and would tell more of that than of the state of a model.
        """
        order = np.arange(len(self))
        if len(self) <= MOST_ROWS_TO_SPREAD:
            order = np.argsort(_distances(self), kind="stable")
        middles = (np.arange(n_held_out) + 0.5) * (len(self) / n_held_out)
        is_held_out = np.zeros(len(self), dtype=bool)
        is_held_out[order[middles.astype(int)]] = True
        train, held_out = np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)
        return self.take(train), self.take(held_out)


def _splitmix(values: np.ndarray) -> np.ndarray:
    """Return the splitmix64 finalizer (Steele et al. 2014) of each value."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _hash_rows(
    X: np.ndarray | SparseRows,
    function: Callable[..., np.ndarray],
    index: np.ndarray | None = None,
) -> np.ndarray:
    """Return the sum, modulo 2^64, of a hash of each (column, cell) of some rows.

    `function(cells, columns)` turns float64 cells (..., D) of some columns into bits.
    Of sparse rows, stored cells alone are hashed, and zeros added for the others.
    """
    columns = np.arange(X.shape[1])
    salts = _splitmix(columns.astype(np.uint64) + np.uint64(1))
    if isinstance(X, SparseRows):
        at, values = X.matrix.indices, X.values.astype(np.float64)
        stored = _splitmix(function(values, at) ^ salts[at])
        zeros = _splitmix(function(np.zeros(len(salts)), columns) ^ salts)
        sums = zeros.sum(dtype=np.uint64) + X.row_sums(stored - zeros[at])
        return sums if index is None else sums[index]
    n_rows = len(X) if index is None else len(index)
    hashes = np.empty(n_rows, dtype=np.uint64)
    for part in row_slices(n_rows, X.shape[1]):
        rows = X[part] if index is None else X[index[part]]
        bits = function(rows.astype(np.float64), columns)
        hashes[part] = _splitmix(bits ^ salts).sum(axis=1, dtype=np.uint64)
    return hashes


def content_hashes(
    X: np.ndarray | SparseRows, index: np.ndarray | None = None
) -> np.ndarray:
    """Return a 64-bit hash of each row, or of some, the same for equal rows only."""

    def bits(cells: np.ndarray, columns: np.ndarray) -> np.ndarray:
        # Adding zero turns -0.0 into 0.0; NaN has many patterns of bits.
        cells = cells + 0.0
        cells[np.isnan(cells)] = np.nan
        return cells.view(np.uint64)

    return _hash_rows(X, bits, index)


def has_missing(X: np.ndarray | SparseRows) -> bool:
    """Return whether a cell is missing."""
    if isinstance(X, SparseRows):
        return bool(np.isnan(X.values).any())
    # The least value is NaN if there is one, and needs no array of booleans.
    return any(np.isnan(X[part].min()) for part in row_slices(*X.shape))


def column_ranges(X: np.ndarray | SparseRows) -> tuple[np.ndarray, np.ndarray]:
    """Return least and largest observed value of each column; NaN where none is."""
    if isinstance(X, SparseRows):
        return X.column_ranges()
    return np.fmin.reduce(X, axis=0), np.fmax.reduce(X, axis=0)


class _Positions:
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


def position_hashes(X: np.ndarray | SparseRows) -> np.ndarray:
    """Return a 64-bit hash of where each row lies in the range of each column."""
    positions = _Positions(*column_ranges(X))

    def bits(cells: np.ndarray, columns: np.ndarray) -> np.ndarray:
        position = positions(cells, columns)
        position[np.isnan(position)] = MISSING_POSITION
        return position.astype(np.uint64)

    return _hash_rows(X, bits)


def _distances(rows: Rows) -> np.ndarray:
    """Return how far rows lie from the center, by columns of equal variance, squared.

    A missing cell adds nothing, and the units of columns do not matter at all.
    """
    ends = np.stack([column_ranges(X) for X, _ in rows.chunks()])
    positions = _Positions(np.fmin.reduce(ends[:, 0]), np.fmax.reduce(ends[:, 1]))
    n = total = squares = 0.0
    for X, _ in rows.chunks():
        position = positions(X)
        n = n + np.isfinite(position).sum(axis=0)
        total = total + np.nansum(position, axis=0)
        squares = squares + np.nansum(np.square(position), axis=0)
    n = np.maximum(n, 1)
    center = total / n
    variance = squares / n - np.square(center)
    precision = np.divide(
        1.0, variance, where=variance > 0.5, out=np.zeros_like(center)
    )
    parts = (np.square(positions(X) - center) for X, _ in rows.chunks())
    return np.concatenate([np.nansum(part * precision, axis=1) for part in parts])


def canonical_rows(X: np.ndarray | SparseRows, weights: np.ndarray) -> Rows:
    """Return the distinct rows of `X` ordered by content, equal rows merged.

    A weight of two then is the same as a repeated row, a weight of zero the same as
    an absent row, and the order of rows does not matter, all exactly. The order does
    not follow the units of a column either.
    """
    # By a power of two, which rounds nothing, to where any weights can be summed.
    weights = np.ldexp(weights, -np.frexp(weights.max())[1])
    if not weights.all():
        present = np.flatnonzero(weights)
        some = X.rows(present) if isinstance(X, SparseRows) else X[present]
        rows = canonical_rows(some, weights[present])
        return Rows(X, present[rows.index], rows.weights)
    position = position_hashes(X)
    order = np.argsort(position)
    same = np.diff(position[order]) == 0
    # Rows too close to be told apart by position are ordered by content.
    close = order[np.r_[False, same] | np.r_[same, False]]
    content = np.zeros_like(position)
    content[close] = content_hashes(X, close)
    order = np.lexsort((weights, content, position))
    differs = (np.diff(position[order]) != 0) | (np.diff(content[order]) != 0)
    starts = np.flatnonzero(np.r_[True, differs])
    merged = np.add.reduceat(weights[order], starts)
    return Rows(X, order[starts], merged / merged.mean())


def _can_share(X: np.ndarray | SparseRows) -> bool:
    """Whether torch can read an array where it lies, as float32."""
    if isinstance(X, SparseRows):
        return False
    flags = X.flags
    return X.dtype == np.float32 and flags.c_contiguous and flags.writeable


def _is_mapped(X: Any) -> bool:
    """Whether an array's values lie in a file, to be read when they are asked for."""
    while X is not None and not isinstance(X, np.memmap):
        X = getattr(X, "base", None)
    return X is not None


class _Resident:
    """Rows in model units that lie on the device; `index` puts them in order."""

    def __init__(self, x: torch.Tensor, index: torch.Tensor) -> None:
        self.x, self.index = x, index

    def read(self, index: torch.Tensor) -> torch.Tensor:
        """Return a copy of some rows, given where they lie."""
        return self.x.index_select(0, index)


class _Streamed:
    """Rows that are converted to model units each time they are read."""

    def __init__(
        self,
        rows: Rows,
        prepare: Callable[[np.ndarray], np.ndarray],
        device: torch.device,
    ) -> None:
        self.X, self.index = rows.X, torch.from_numpy(rows.index)
        self.prepare, self.device = prepare, device

    def read(self, index: torch.Tensor) -> torch.Tensor:
        """Return a copy of some rows, given where they lie."""
        x = self.prepare(self.X[index.numpy()])
        return torch.from_numpy(np.asarray(x, dtype=np.float32)).to(self.device)


@dataclass(frozen=True)
class Batches:
    """Rows in model units, float32 on a device, in shuffled batches or in order."""

    source: _Resident | _Streamed
    weights: torch.Tensor
    n_columns: int
    batch_size: int

    @classmethod
    def from_rows(
        cls,
        rows: Rows,
        prepare: Callable[[np.ndarray], np.ndarray] | None,
        device: torch.device,
        batch_size: int,
        most_bytes: int = RESIDENT_BYTES,
    ) -> "Batches":
        """Return batches of rows, which `prepare` converts to the units of the model.

        On the CPU, rows are converted for each batch if they lie in a file, would take
        more than `most_bytes`, or have these units already: without `prepare`. Else,
        and on other devices, they are kept converted.
        """
        n_rows, n_columns = len(rows), rows.n_features
        source: _Resident | _Streamed = _Streamed(rows, prepare or np.asarray, device)
        is_large = 4 * n_rows * n_columns > most_bytes
        converts_late = prepare is None or is_large or _is_mapped(rows.X)
        if device.type == "cpu" and prepare is None and _can_share(rows.X):
            source = _Resident(torch.from_numpy(rows.X), source.index)
        elif device.type != "cpu" or not converts_late:
            size = (n_rows, n_columns)
            x = torch.empty(size, dtype=torch.float32, device=device)
            for part in row_slices(n_rows, n_columns):
                x[part] = source.read(source.index[part])
            source = _Resident(x, torch.arange(n_rows, device=device))
        weights = torch.from_numpy(rows.weights).to(device, torch.float32)
        return cls(source, weights, n_columns, batch_size)

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
        index = self.source.index[order.to(self.source.index.device)]
        weights = self.weights[order.to(self.device)]
        parts = (values.tensor_split(self.n_steps) for values in (index, weights))
        for some_index, some_weights in zip(*parts, strict=True):
            yield self.source.read(some_index), some_weights

    def in_order(
        self, n_rows: int | None = None
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield (x, weights) of the first rows, or of all, in canonical order."""
        n_rows = len(self) if n_rows is None else min(n_rows, len(self))
        for part in row_slices(n_rows, self.n_columns):
            yield self.source.read(self.source.index[part]), self.weights[part]
