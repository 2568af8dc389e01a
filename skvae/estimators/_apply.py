"""A trained model and arrays of any length → answers, as much at a time as fits."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor
from torch.cuda import OutOfMemoryError as OutOfMemory

from skvae._model import Model
from skvae._threads import own_threads, threads_for
from skvae.likelihoods import LikelihoodModel
from skvae.table import Batch, Cells, can_be_shared

MOST_BYTES = 1 << 27
"""Memory for what is computed of some rows, or draws of z, at a time."""

MOST_ROWS = 2048
"""More rows at a time would be slower: their arrays leave the processor's caches."""

N_ARRAYS = 16
"""How many arrays as wide as the model, float64, are in use at a time."""

Pair = tuple[Tensor, Tensor]

T = TypeVar("T")

_doubled: WeakKeyDictionary[Model, list[Pair]] = WeakKeyDictionary()
"""Parameters as they were when they were converted to float64, and in float64."""


def most_at_once(model: Model) -> int:
    """Return how many rows, or draws of z, are computed at a time."""
    fits = MOST_BYTES // (8 * N_ARRAYS * model.width)
    return max(1, min(fits, MOST_ROWS))


def _in_float64(model: Model) -> Model:
    """Return the model with all its numbers in float64.

    Parameters are converted again only if they have changed, in whatever way. All else
    is small, and copied at every call.
    """
    tensors = [*model.parameters(), *model.buffers()]
    singles = [t for t in tensors if t.is_floating_point() and t.dtype != torch.float64]
    pairs = _doubled.get(model, [])
    if not _are_of(singles, pairs):
        # Also where gradients are taken, which those made in inference mode refuse.
        with torch.inference_mode(False):
            pairs = [(t.detach().clone(), t.detach().double()) for t in singles]
        _doubled[model] = pairs
    memo = {id(t): t for t in tensors}
    memo |= {id(t): double for t, (_, double) in zip(singles, pairs, strict=True)}
    return copy.deepcopy(model, memo)


def _are_of(tensors: list[Tensor], pairs: list[Pair]) -> bool:
    """Return whether tensors hold what they did when they were converted."""
    return len(tensors) == len(pairs) and all(
        t.device == before.device and t.dtype == before.dtype and torch.equal(t, before)
        for t, (before, _) in zip(tensors, pairs, strict=True)
    )


def _in_type(model: Model, dtype: np.dtype) -> Model:
    """Return the model in a floating-point type.

    Float64 rows are answered in float64: float32 products round differently in batches
    of different shapes, which would make a row's answer depend on others.
    """
    return model if dtype == np.float32 else _in_float64(model)


def _as_tensor(X: np.ndarray, dtype: np.dtype) -> Tensor:
    """Return an array as a tensor, without a copy where torch can do without."""
    X = X.astype(dtype, copy=False)
    return torch.from_numpy(X if can_be_shared(X) else X.copy())


@contextmanager
def own_modes(inference: bool) -> Iterator[None]:
    """Run independently of the caller's torch modes: gradients, autocast.

    The number of threads may be lowered within, and is restored.

    Parameters
    ----------
    inference : bool
        Whether no gradient is needed, now or later, of tensors made here.
    """
    with (
        torch.inference_mode(inference),
        torch.set_grad_enabled(not inference),
        torch.autocast("cpu", enabled=False),
        torch.autocast("cuda", enabled=False),
        own_threads(),
    ):
        yield


@own_modes(inference=True)
def map_rows(
    model: Model,
    function: Callable[[Model, Batch], Tensor],
    cells: Cells,
    n_draws: int = 1,
) -> np.ndarray:
    """Return function(model, batch) of all rows, in the floating-point type of cells.

    Parameters
    ----------
    model : Model
    function : callable
        Gives (B, ...) for a batch of B rows.
    cells : Cells
    n_draws : int, default=1
        How many draws of z for each row the function decodes at a time.
    """
    dtype = np.dtype(np.float32 if cells.dtype == np.float32 else np.float64)
    model = _in_type(model, dtype)

    def answer(part: slice) -> Tensor:
        return function(model, _batch(model, cells, part, dtype))

    n_rows = cells.most_rows(max(1, most_at_once(model) // n_draws))
    threads_for(min(n_rows, len(cells)) * n_draws * model.work)
    return _in_parts(answer, len(cells), n_rows, dtype)


@own_modes(inference=True)
def sum_rows(
    model: Model, function: Callable[[Model, Batch], T], cells: Cells
) -> list[T]:
    """Return function(model, batch) of some rows after others, in float64.

    Parameters
    ----------
    model : Model
    function : callable
        Gives what is known of a batch, which does not grow with its rows.
    cells : Cells
    """
    dtype = np.dtype(np.float64)
    model = _in_type(model, dtype)
    n_rows = cells.most_rows(most_at_once(model))
    threads_for(min(n_rows, len(cells)) * model.work)
    parts = cells.slices(n_rows)
    return [function(model, _batch(model, cells, part, dtype)) for part in parts]


def _batch(model: Model, cells: Cells, part: slice, dtype: np.dtype) -> Batch:
    x = _as_tensor(model.likelihood.prepare(cells[part]), dtype)
    return Batch.of(x.to(model.device), cells.has_missing)


@own_modes(inference=True)
def decode(
    model: Model, Z: np.ndarray, function: Callable[[LikelihoodModel, Tensor], Tensor]
) -> np.ndarray:
    """Return function(likelihood, outputs) at a user's points, in the type of `Z`."""
    model = _in_type(model, Z.dtype)

    def answer(part: slice) -> Tensor:
        z = model.to_network(_as_tensor(Z[part], Z.dtype).to(model.device))
        return function(model.likelihood, model.decoder(z))

    n_rows = most_at_once(model)
    threads_for(min(n_rows, len(Z)) * model.work)
    return _in_parts(answer, len(Z), n_rows, Z.dtype)


@own_modes(inference=False)
@torch.enable_grad()
def mean_derivatives(
    model: Model, Z: np.ndarray, function: Callable[[LikelihoodModel, Tensor], Tensor]
) -> np.ndarray:
    """Return the mean derivative of function(likelihood, outputs) by each component.

    Exact but for rounding: (K, ...), where the function gives (B, ...), at a user's
    points (n, K), float64. The gradient of a weighted sum of the function's values is
    linear in the weights, and its derivative by these is the derivative of the values;
    unlike torch's forward differentiation it needs no more than all networks have.
    """
    model = _in_float64(model)

    def total(part: slice) -> Tensor:
        z = _as_tensor(Z[part], Z.dtype).to(model.device).requires_grad_()
        values = function(model.likelihood, model.decoder(model.to_network(z)))
        weights = torch.zeros_like(values[0], requires_grad=True)
        of_all = weights.expand_as(values)
        slopes = torch.autograd.grad(values, z, of_all, create_graph=True)[0].sum(0)
        sums = [torch.autograd.grad(s, weights, retain_graph=True)[0] for s in slopes]
        return torch.stack(sums)

    n_rows = max(1, most_at_once(model) // 4)
    threads_for(min(n_rows, len(Z)) * model.work)
    sums = [values for _, values in _parts(total, len(Z), n_rows)]
    mean: Tensor = sum(sums[1:], sums[0]) / len(Z)
    return mean.double().cpu().numpy()


def _in_parts(
    answer: Callable[[slice], Tensor], n_rows: int, most: int, dtype: np.dtype
) -> np.ndarray:
    """Return the answers of slices of rows as one array."""
    answers = np.empty(0)
    for part, values in _parts(answer, n_rows, most):
        if not part.start:
            answers = np.empty((n_rows, *values.shape[1:]), dtype=dtype)
        torch.from_numpy(answers[part]).copy_(values)
    return answers


def _parts(
    answer: Callable[[slice], Tensor], n_rows: int, most: int
) -> Iterator[tuple[slice, Tensor]]:
    """Yield slices of rows with their answers.

    Slices are of at most so many rows, and halved where a GPU has no memory left.
    """
    begin = 0
    while begin < n_rows:
        part = slice(begin, min(begin + most, n_rows))
        values = _unless_full(answer, part)
        if values is None:
            most = (part.stop - part.start) // 2
            continue
        yield part, values
        begin = part.stop


def _unless_full(answer: Callable[[slice], Tensor], part: slice) -> Tensor | None:
    """Return an answer, or None if the memory of a GPU is full, and it may be halved.

    What was computed of it is free again, once the error is handled.
    """
    try:
        return answer(part)
    except OutOfMemory:
        if part.stop - part.start == 1:
            raise
        return None
