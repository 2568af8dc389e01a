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

    Examples
    --------
    >>> IWAE(n_draws=5)
    IWAE(n_draws=5)
    """

    names = ("reconstruction", "kl")

    def __init__(self, n_draws: int = 20) -> None:
        self.n_draws = n_draws

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
        z, log_q = model.posterior.draw_and_score(outputs, noise)
        weights = weigh(model, batch, z, log_q, model.prior).log_weights
        bound = torch.logsumexp(weights, dim=0) - math.log(len(weights))
        kl = model.prior.kl(model.posterior, outputs, z)
        return {"reconstruction": -bound - kl, "kl": kl}


OBJECTIVES["iwae"] = IWAE
