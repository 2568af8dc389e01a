"""Weighted draws of z, and bounds on log p(x)."""

from typing import NamedTuple

import torch
from torch import Tensor

from skvae._model import Model
from skvae.priors import PriorModel
from skvae.table import Batch


class Draws(NamedTuple):
    """Draws of z for the rows of a batch, with their importance weights.

    Attributes
    ----------
    outputs : Tensor of shape (S, B, n_outputs)
        The likelihood's outputs at each z.
    log_joint : Tensor of shape (S, B)
        log p(observed cells, z).
    log_weights : Tensor of shape (S, B)
        log p(observed cells, z) - log q(z given x).
    """

    outputs: Tensor
    log_joint: Tensor
    log_weights: Tensor


def weigh(
    model: Model, batch: Batch, z: Tensor, log_q: Tensor, prior: PriorModel
) -> Draws:
    """Return draws z (S, B, K) of log-densities (S, B) with importance weights."""
    outputs = model.decoder(z)
    log_p = model.likelihood.log_prob(outputs, batch.x, batch.observed)
    log_joint = log_p + prior.log_prob(z)
    return Draws(outputs, log_joint, log_joint - log_q)


def log_weights(model: Model, batch: Batch, noise: Tensor) -> Tensor:
    """Return log p(x, z) - log q(z given x) of draws from the posterior, (S, B).

    Parameters
    ----------
    model : Model
    batch : Batch
    noise : Tensor of shape (S, 1, K) or (S, B, K)
        Standard normal numbers, the same for every row or each row's own.
    """
    z, log_q = model.posterior.draw_and_score(model.encode(batch), noise)
    return weigh(model, batch, z, log_q, model.prior).log_weights


def log_mean(log_weights: Tensor, n_draws: Tensor) -> Tensor:
    r"""Return the importance-weighted bound on log p(x), (B,).

    .. math:: \log \frac1S \sum_s p(x, z_s) / q(z_s \mid x), \quad z_s \sim q

    (Burda, Grosse & Salakhutdinov 2016, equation 8). In expectation it rises with the
    number of draws S towards log p(x); with one draw it is the evidence lower bound.

    Parameters
    ----------
    log_weights : Tensor of shape (S, B)
        Minus infinity for what was not drawn.
    n_draws : Tensor of shape (B,) or ()
        How many of them were drawn, the first ones.
    """
    return torch.logsumexp(log_weights, dim=0) - n_draws.log()


def mean_log(log_weights: Tensor, n_draws: Tensor) -> Tensor:
    """Return the evidence lower bound on log p(x), (B,), a mean over the draws.

    With the same draws it is at most the importance-weighted bound, row by row
    (Jensen's inequality), and it is exact where the posterior is.
    """
    number = torch.arange(len(log_weights), device=log_weights.device)[:, None]
    return torch.where(number < n_draws, log_weights, 0.0).sum(0) / n_draws


BOUNDS = {"importance": log_mean, "elbo": mean_log}
"""Bounds as functions of log-weights and numbers of draws."""


def importance_bound(model: Model, batch: Batch, noise: Tensor) -> Tensor:
    """Return the importance-weighted bound on log p(x), (B,), from some noise."""
    return log_mean(log_weights(model, batch, noise), noise.new_tensor(len(noise)))


def elbo_bound(model: Model, batch: Batch, noise: Tensor) -> Tensor:
    """Return the evidence lower bound on log p(x), (B,), from some noise."""
    return mean_log(log_weights(model, batch, noise), noise.new_tensor(len(noise)))
