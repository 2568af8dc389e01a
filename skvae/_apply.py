"""A trained model and arrays of any length → answers, chunk by chunk."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from skvae._batches import has_missing
from skvae._model import Model
from skvae._sparse import SparseRows
from skvae.likelihoods import LikelihoodModel

CHUNK_ROWS = 4096

DENSE_VALUES = 1 << 22
"""Most cells of sparse rows that are dense at a time: 32 MB."""


def _in_type(model: Model, dtype: np.dtype) -> Model:
    """Return a copy of the model, in a floating-point type.

    Float64 questions get float64 answers: float32 products round differently in
    batches of different shapes, which would make a row's answer depend on others.
    """
    return copy.copy(model) if dtype == np.float32 else copy.deepcopy(model).double()


def _as_tensor(X: np.ndarray, dtype: np.dtype) -> Tensor:
    """Return an array as a tensor, without a copy where torch can do without."""
    return torch.from_numpy(np.require(X, dtype, ["C", "W"]))


@contextmanager
def own_modes(inference: bool) -> Iterator[None]:
    """Run without what the caller's torch is set to: gradients or not, autocast.

    Parameters
    ----------
    inference : bool
        Whether gradients are neither needed now nor ever of what is made here.
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
    function: Callable[[Model, Tensor], Tensor],
    X: np.ndarray | SparseRows,
    n_rows: int = CHUNK_ROWS,
) -> np.ndarray:
    """Return function(model, x) of rows X in model units, in the type of `X`."""
    dtype = np.dtype(np.float32 if X.dtype == np.float32 else np.float64)
    model = _in_type(model, dtype)
    model.may_miss = has_missing(X)
    answers = np.empty(0)
    if isinstance(X, SparseRows):
        n_rows = min(n_rows, max(1, DENSE_VALUES // X.shape[1]))
    for begin in range(0, len(X), n_rows):
        part = slice(begin, begin + n_rows)
        x = _as_tensor(model.likelihood.prepare(X[part]), dtype)
        answer = function(model, x.to(model.sign.device))
        if not begin:
            answers = np.empty((len(X), *answer.shape[1:]), dtype=dtype)
        torch.from_numpy(answers[part]).copy_(answer)
    return answers


@own_modes(inference=True)
def decode(
    model: Model,
    Z: np.ndarray,
    function: Callable[[LikelihoodModel, Tensor], Tensor],
    n_rows: int = CHUNK_ROWS,
) -> np.ndarray:
    """Return function(likelihood, outputs) at points Z, in the type of `Z`."""
    model = _in_type(model, Z.dtype)
    answers = np.empty((len(Z), model.likelihood.n_features), dtype=Z.dtype)
    for begin in range(0, len(Z), n_rows):
        part = slice(begin, begin + n_rows)
        z = _as_tensor(Z[part], Z.dtype).to(model.sign.device)
        answer = function(model.likelihood, model.decode(z))
        torch.from_numpy(answers[part]).copy_(answer)
    return answers
