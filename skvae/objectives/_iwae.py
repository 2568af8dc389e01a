"""The importance-weighted bound as an objective."""

import math

import torch
from torch import Tensor

from skvae._model import Model
from skvae.objectives._bounds import weigh
from skvae.objectives._contract import OBJECTIVES, Objective, Terms
from skvae.table import Batch


class IWAE(Objective):
    r"""The importance-weighted bound as what training maximizes.

    .. math:: \log \frac1S \sum_s p(x, z_s) / q(z_s \mid x), \quad z_s \sim q

    of the observed cells of a row: [1]_, equation 8; with missing cells [2]_,
    equation 4. The bound is tighter than the evidence lower bound and needs a less
    exact encoder; no encoder is exact for every pattern of missing cells. A step takes
    S times as long in the decoder.

    Parameters
    ----------
    n_draws : int, default=20
        Number of draws of z per row, S; 1 is the evidence lower bound, with its
        divergence estimated.
    gradient : {"standard", "doubly_reparameterized"}, default="standard"
        How the encoder's gradient is estimated. Its standard estimate is the noisier,
        relative to its size, the more draws there are [3]_;
        `"doubly_reparameterized"`, equation 8 of [4]_, has the same expectation and
        improves with more draws. Values do not differ.

    Notes
    -----
    With `beta` above 1, (beta - 1) times the divergence of the posterior from the prior
    is added to the loss. A `beta` below 1 is an error with more than one draw: it would
    reward the divergence, which the bound hardly limits, since the best draws of a wide
    posterior dominate it.

    References
    ----------
    .. [1] Burda, Grosse & Salakhutdinov (2016). Importance weighted autoencoders.
       ICLR. https://arxiv.org/abs/1509.00519
    .. [2] Mattei & Frellsen (2019). MIWAE: Deep generative modelling and imputation of
       incomplete data sets. ICML. https://arxiv.org/abs/1812.02633
    .. [3] Rainforth et al. (2018). Tighter variational bounds are not necessarily
       better. ICML. https://arxiv.org/abs/1802.04537
    .. [4] Tucker, Lawson, Gu & Maddison (2019). Doubly reparameterized gradient
       estimators for Monte Carlo objectives. ICLR. https://arxiv.org/abs/1810.04152

    Examples
    --------
    >>> IWAE(n_draws=5)
    IWAE(n_draws=5)
    """

    names = ("reconstruction", "kl")

    def __init__(self, n_draws: int = 20, gradient: str = "standard") -> None:
        self.n_draws = n_draws
        self.gradient = gradient

    @property
    def least_beta(self) -> float:  # type: ignore[override]
        """Return 1, or 0 with a single draw."""
        return 1.0 if self.n_draws > 1 else 0.0

    def terms(self, model: Model, batch: Batch, noise: Tensor) -> Terms:
        """Return the terms of the negative bound; they add up to it.

        Parameters
        ----------
        model : Model
        batch : Batch
        noise : Tensor of shape (S, B, K)

        Returns
        -------
        terms : dict of str to Tensor of shape (B,)
        """
        outputs = model.encode(batch)
        z, log_weights = GRADIENTS[self.gradient](model, batch, outputs, noise)
        bound = torch.logsumexp(log_weights, dim=0) - math.log(len(log_weights))
        kl = model.prior.kl(model.posterior, outputs, z)
        return {"reconstruction": -bound - kl, "kl": kl}

    def check(self) -> None:
        """Raise ValueError where a parameter is invalid."""
        super().check()
        if self.gradient not in GRADIENTS:
            raise ValueError(
                f"gradient of {self!r} must be one of {sorted(GRADIENTS)}. Got "
                f"{self.gradient!r}."
            )


Weighed = tuple[Tensor, Tensor]
"""Draws z (S, B, K), and their log-weights (S, B)."""


def _standard(model: Model, batch: Batch, outputs: Tensor, noise: Tensor) -> Weighed:
    """Return draws and log-weights with their own gradient."""
    z, log_q = model.posterior.draw_and_score(outputs, noise)
    return z, weigh(model, batch, z, log_q, model.prior).log_weights


def _doubly(model: Model, batch: Batch, outputs: Tensor, noise: Tensor) -> Weighed:
    """Return draws and log-weights, whose bound has the other gradient.

    The encoder is reached through z alone, and what reaches it there from a draw, its
    importance weight times a derivative, is multiplied by this weight again.
    """
    z = model.posterior.draw(outputs, noise)
    passed = z.clone()
    log_q = model.posterior.log_prob(outputs.detach(), passed)
    log_weights = weigh(model, batch, passed, log_q, model.prior).log_weights
    fractions = torch.softmax(log_weights.detach(), dim=0)[..., None]
    if passed.requires_grad:
        passed.register_hook(lambda gradient: gradient * fractions)
    return z, log_weights


GRADIENTS = {"standard": _standard, "doubly_reparameterized": _doubly}
"""Estimates of the encoder's gradient."""


OBJECTIVES["iwae"] = IWAE
