"""A trained model and arrays of any length → answers, chunk by chunk."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from skvae._model import Model
from skvae.likelihoods import LikelihoodModel
from skvae.table import Batch, Cells

CHUNK_ROWS = 4096


def _in_type(model: Model, dtype: np.dtype) -> Model:
    """Return a copy of the model, in a floating-point type.

    Float64 rows are answered in float64: float32 products round differently in batches
    of different shapes, which would make a row's answer depend on others.
    """
    return copy.copy(model) if dtype == np.float32 else copy.deepcopy(model).double()


def _as_tensor(X: np.ndarray, dtype: np.dtype) -> Tensor:
    """Return an array as a tensor, without a copy where torch can do without."""
    return torch.from_numpy(np.require(X, dtype, ["C", "W"]))


@contextmanager
def own_modes(inference: bool) -> Iterator[None]:
    """Run independently of the caller's torch modes: gradients, autocast.

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
    ):
        yield


@own_modes(inference=True)
def map_rows(
    model: Model,
    function: Callable[[Model, Batch], Tensor],
    cells: Cells,
    n_rows: int = CHUNK_ROWS,
) -> np.ndarray:
    """Return function(model, batch) of all rows, in the floating-point type of cells.

    Parameters
    ----------
    model : Model
    function : callable
        Gives (B, ...) for a batch of B rows.
    cells : Cells
    n_rows : int, default=4096
        Most rows at a time.
    """
    dtype = np.dtype(np.float32 if cells.dtype == np.float32 else np.float64)
    model = _in_type(model, dtype)
    answers = np.empty(0)
    for part in cells.slices(n_rows):
        x = _as_tensor(model.likelihood.prepare(cells[part]), dtype)
        answer = function(model, Batch.of(x.to(model.device), cells.has_missing))
        if not part.start:
            answers = np.empty((len(cells), *answer.shape[1:]), dtype=dtype)
        torch.from_numpy(answers[part]).copy_(answer)
    return answers


@own_modes(inference=True)
def decode(
    model: Model,
    Z: np.ndarray,
    function: Callable[[LikelihoodModel, Tensor], Tensor],
    n_rows: int = CHUNK_ROWS,
) -> np.ndarray:
    """Return function(likelihood, outputs) at a user's points, in the type of `Z`."""
    model = _in_type(model, Z.dtype)
    answers = np.empty((len(Z), model.likelihood.n_features), dtype=Z.dtype)
    for begin in range(0, len(Z), n_rows):
        part = slice(begin, begin + n_rows)
        z = model.to_network(_as_tensor(Z[part], Z.dtype).to(model.device))
        answer = function(model.likelihood, model.decoder(z))
        torch.from_numpy(answers[part]).copy_(answer)
    return answers
