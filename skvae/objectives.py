"""Model + batch → per-row loss terms, and bounds on log p(x)."""

import math
from collections.abc import Callable
from numbers import Integral
from typing import Any, NamedTuple

import torch
from sklearn.base import BaseEstimator
from torch import Tensor

from skvae._model import Model
from skvae.schedules import Schedule

__all__ = [
    "BOUNDS",
    "IWAE",
    "OBJECTIVES",
    "Objective",
    "Terms",
    "as_objective",
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


class Draws(NamedTuple):
    """Draws of z from the posterior of rows, and what they are worth.

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


def weigh(model: Model, x: Tensor, z: Tensor, log_q: Tensor) -> Draws:
    """Return what draws z (S, B, K) are worth, drawn with log-densities (S, B)."""
    outputs = model.decoder(z)
    log_p = model.likelihood.log_prob(outputs, x, model.observed(x))
    log_joint = log_p + model.prior.log_prob(z)
    return Draws(outputs, log_joint, log_joint - log_q)


def draws_of(
    model: Model, x: Tensor, mean: Tensor, log_var: Tensor, noise: Tensor
) -> Draws:
    """Return draws of z from a posterior, with their importance weights.

    Parameters
    ----------
    model : Model
    x : Tensor of shape (B, D)
    mean, log_var : Tensor of shape (B, K)
        What `model.posterior` says of x.
    noise : Tensor of shape (S, 1, K) or (S, B, K)
        Standard normal draws, the same for every row or each row's own.
    """
    z = mean + torch.exp(0.5 * log_var) * noise
    log_q = -0.5 * (noise.square() + log_var + math.log(2 * math.pi)).sum(-1)
    return weigh(model, x, z, log_q)


def log_weights(model: Model, x: Tensor, noise: Tensor) -> Tensor:
    """Return log p(x, z) - log q(z given x) of draws, (S, B)."""
    return draws_of(model, x, *model.posterior(x), noise).log_weights


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


class IWAE(BaseEstimator):
    r"""The importance-weighted bound as what training maximizes.

    .. math:: \log \frac1S \sum_s p(x, z_s) / q(z_s \mid x), \quad z_s \sim q

    of the observed cells of a row: [1]_, equation 8; with missing cells [2]_,
    equation 4. The bound is tighter than the evidence lower bound, so that the encoder
    may be less exact, which it is where any cell may be missing. A step takes S times
    as long in the decoder.

    Parameters
    ----------
    n_draws : int, default=20
        Number of draws of z per row, S; 1 is the evidence lower bound, with its
        divergence estimated.

    Notes
    -----
    With `beta` above 1, (beta - 1) times the divergence of the posterior from the prior
    is added to the loss. Below 1 it would be rewarded, and the bound, to which the best
    draws of a wide posterior count, hardly limits it: that is an error.

    References
    ----------
    .. [1] Burda, Grosse & Salakhutdinov (2016). Importance weighted autoencoders.
       ICLR. https://arxiv.org/abs/1509.00519
    .. [2] Mattei & Frellsen (2019). MIWAE: Deep generative modelling and imputation of
       incomplete data sets. ICML. https://arxiv.org/abs/1812.02633

    Examples
    --------
    >>> IWAE(n_draws=5)
    IWAE(n_draws=5)
    """

    def __init__(self, n_draws: int = 20) -> None:
        self.n_draws = n_draws

    def __call__(self, model: Model, x: Tensor, noise: Tensor) -> Terms:
        """Return the terms of the negative bound; they add up to it.

        Parameters
        ----------
        model : Model
        x : Tensor of shape (B, D)
        noise : Tensor of shape (S, B, K) or (B, K)
            Standard normal draws; with one per row, the evidence lower bound.
        """
        mean, log_var = model.posterior(x)
        noise = noise.reshape(-1, *noise.shape[-2:])
        weights = draws_of(model, x, mean, log_var, noise).log_weights
        bound = torch.logsumexp(weights, dim=0) - math.log(len(weights))
        kl = model.prior.kl(mean, log_var).sum(-1)
        return Terms(-bound - kl, kl)


OBJECTIVES: dict[str, Objective] = {"elbo": elbo, "iwae": IWAE()}


def as_objective(value: Any) -> Objective:
    """Return an objective from the name of one, or a spec that is one."""
    objective = OBJECTIVES[value] if isinstance(value, str) else value
    n_draws = getattr(objective, "n_draws", 1)
    if not isinstance(n_draws, Integral) or n_draws < 1:
        raise ValueError(
            f"n_draws of {objective!r} must be a positive integer. Got {n_draws!r}."
        )
    return objective


def check_beta(objective: Objective, beta: Schedule) -> None:
    """Raise ValueError where a loss would have no lower bound to speak of."""
    least = min(beta(0, 1), beta(1, 1))
    if getattr(objective, "n_draws", 1) > 1 and least < 1.0:
        raise ValueError(
            f"objective={objective!r} requires beta >= 1 throughout. Got {beta!r}, "
            f"which is {least:g} at one end. Use beta=1.0, or objective='elbo'."
        )


def noise_shape(objective: Objective, n_rows: int, n_components: int) -> tuple:
    """Return the shape of the noise that an objective takes in training."""
    n_draws = getattr(objective, "n_draws", None)
    return (
        (n_rows, n_components) if n_draws is None else (n_draws, n_rows, n_components)
    )
