"""A trained model and arrays of any length → answers, chunk by chunk."""

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from skvae._model import Model
from skvae.likelihoods import LikelihoodModel

CHUNK_ROWS = 4096


def _in_type(model: Model, dtype: np.dtype) -> Model:
    """Return a copy of the model, in a floating-point type.

    Float64 questions get float64 answers: float32 products round differently in
    batches of different shapes, which would make a row's answer depend on others.
    """
    return copy.copy(model) if dtype == np.float32 else copy.deepcopy(model).double()


@torch.inference_mode()
def map_rows(
    model: Model,
    function: Callable[[Model, Tensor], Tensor],
    X: np.ndarray,
    n_rows: int = CHUNK_ROWS,
) -> np.ndarray:
    """Return function(model, x) of rows X in model units, in the type of `X`."""
    model = _in_type(model, X.dtype)
    model.may_miss = bool(np.isnan(X).any())
    dtype = torch.float32 if X.dtype == np.float32 else torch.float64
    answers = []
    for begin in range(0, len(X), n_rows):
        x = torch.from_numpy(model.likelihood.prepare(X[begin : begin + n_rows]))
        x = x.to(device=model.sign.device, dtype=dtype)
        answers.append(function(model, x).cpu().numpy())
    return np.concatenate(answers)


@torch.inference_mode()
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
        z = torch.from_numpy(np.array(Z[part])).to(model.sign.device)
        answers[part] = function(model.likelihood, model.decode(z)).cpu().numpy()
    return answers
