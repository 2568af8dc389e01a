"""Model + batch → per-row loss terms, and bounds on log p(x)."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from skvae._model import Model

__all__ = [
    "BOUNDS",
    "Objective",
    "Terms",
    "elbo",
    "elbo_bound",
    "importance_bound",
    "reconstruction",
]


class Terms(NamedTuple):
    """Loss of each row in nats: reconstruction and KL, each (B,)."""

    reconstruction: Tensor
    kl: Tensor


Objective = Callable[[Model, Tensor, Tensor], Terms]
"""(model, x, noise) → terms of the loss."""


def elbo(model: Model, x: Tensor, noise: Tensor) -> Terms:
    r"""Return the terms of the negative evidence lower bound.

    .. math:: -\log p(x \mid z) + \mathrm{KL}(q(z \mid x) \,\|\, p(z)),
        \quad z = \mu + \sigma \epsilon

    (Kingma & Welling 2013, equation 7, with one draw per row in `noise`).

    Parameters
    ----------
    model : Model
    x : Tensor of shape (B, D)
        Rows in model units.
    noise : Tensor of shape (B, K) or (S, B, K)
        Standard normal draws; with S draws per row the reconstruction is (S, B).
    """
    mean, log_var = model.posterior(x)
    z = mean + torch.exp(0.5 * log_var) * noise
    log_prob = model.log_prob(z, x)
    return Terms(-log_prob, model.prior.kl(mean, log_var).sum(-1))


def reconstruction(model: Model, x: Tensor, noise: Tensor) -> Terms:
    """Return the terms of a plain autoencoder; `noise` is not used.

    The loss is -log p(x given the code) (Hinton & Salakhutdinov 2006).
    """
    code, _ = model.posterior(x)
    log_prob = model.log_prob(code, x)
    return Terms(-log_prob, torch.zeros_like(log_prob))


def log_weights(model: Model, x: Tensor, noise: Tensor) -> Tensor:
    """Return log p(x, z) - log q(z given x) of draws, (S, B).

    Parameters
    ----------
    model : Model
    x : Tensor of shape (B, D)
    noise : Tensor of shape (S, 1, K)
        Standard normal draws, the same for every row.
    """
    mean, log_var = model.posterior(x)
    z = mean + torch.exp(0.5 * log_var) * noise
    log_q = -0.5 * (noise.square() + log_var + math.log(2 * math.pi)).sum(-1)
    log_p = model.log_prob(z, x)
    return log_p + model.prior.log_prob(z) - log_q


def importance_bound(model: Model, x: Tensor, noise: Tensor) -> Tensor:
    r"""Return the importance-weighted bound on log p(x), (B,).

    .. math:: \log \frac1S \sum_s p(x, z_s) / q(z_s \mid x), \quad z_s \sim q

    (Burda, Grosse & Salakhutdinov 2016, equation 8). In expectation it rises with the
    number of draws S towards log p(x); with one draw it is the evidence lower bound.
    """
    weights = log_weights(model, x, noise)
    return torch.logsumexp(weights, dim=0) - math.log(len(weights))


def elbo_bound(model: Model, x: Tensor, noise: Tensor) -> Tensor:
    """Return the evidence lower bound on log p(x), (B,), a mean over the draws.

    With the same draws it is at most the importance-weighted bound, row by row
    (Jensen's inequality), and it is exact where the posterior is.
    """
    return log_weights(model, x, noise).mean(0)


BOUNDS = {"importance": importance_bound, "elbo": elbo_bound}
