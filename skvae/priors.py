"""p(z): what the latent variables look like before a row is seen."""

import math

import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn

__all__ = ["Prior", "PriorModel", "StandardNormal"]


class PriorModel(nn.Module):
    """What every built prior can do; K latent components."""

    def kl(self, mean: Tensor, log_var: Tensor) -> Tensor:
        """Return KL(N(mean, exp(log_var)) || p) per component, (B, K), in nats."""
        raise NotImplementedError

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log p(z), (..., ), from (..., K)."""
        raise NotImplementedError

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Return `n` draws, (n, K), float64."""
        raise NotImplementedError


class Prior(BaseEstimator):
    """Base of all prior specs."""

    def build(self, n_components: int) -> PriorModel:
        """Return a model over `n_components` latent variables."""
        raise NotImplementedError


class StandardNormalModel(PriorModel):
    """Independent standard normal components, built."""

    def __init__(self, n_components: int) -> None:
        super().__init__()
        self.n_components = n_components

    def kl(self, mean: Tensor, log_var: Tensor) -> Tensor:
        return 0.5 * (mean.square() + log_var.exp() - 1.0 - log_var)

    def log_prob(self, z: Tensor) -> Tensor:
        constant = 0.5 * self.n_components * math.log(2 * math.pi)
        return -0.5 * z.square().sum(-1) - constant

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        return torch.randn(
            (n, self.n_components),
            generator=generator,
            dtype=torch.float64,
            device=generator.device,
        )


class StandardNormal(Prior):
    r"""Independent standard normal components.

    .. math:: \mathrm{KL} = \tfrac12 \sum_k (\mu_k^2 + \sigma_k^2 - 1
        - \log \sigma_k^2)

    for a normal posterior [1]_, appendix B.

    References
    ----------
    .. [1] Kingma & Welling (2013). Auto-encoding variational Bayes.
       https://arxiv.org/abs/1312.6114

    Examples
    --------
    >>> StandardNormal()
    StandardNormal()
    """

    def build(self, n_components: int) -> PriorModel:
        """Return a model over `n_components` latent variables."""
        return StandardNormalModel(n_components)
