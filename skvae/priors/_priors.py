"""p(z): the distribution of the latent variables before a row is seen."""

import math
from typing import Any

import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from skvae._random import Stream, generator_from
from skvae.priors._aggregate import Aggregate
from skvae.priors._posterior import Normal, Point, Posterior
from skvae.table import Rows


class PriorModel(nn.Module):
    """Base of all built priors over K components.

    A model calls `attach` once, so that a prior may use its encoder, and training calls
    `start` before the first step.
    """

    is_standard_normal = False
    """Whether components are independent and standard normal, as in probabilistic PCA
    and in the gradient that is written out."""

    has_density = True
    """Whether there is a density, and z can be drawn."""

    refits_at: float | None = None
    """Progress of the fit, in (0, 1), at which training calls `refit`, if at all."""

    zeros: Tensor

    def __init__(self, n_components: int) -> None:
        super().__init__()
        self.n_components = n_components
        zeros = torch.zeros(n_components, dtype=torch.float32)
        # Where the model is: a recorded step copies nothing to its device.
        self.register_buffer("zeros", zeros, persistent=False)

    @property
    def width(self) -> int:
        """Most values of a draw of z that a method computes together."""
        return self.n_components

    def attach(self, model: Any) -> None:
        """Receive the model that holds this prior.

        A prior that uses the encoder keeps `(model,)`: inside a tuple the model, and so
        its parameters, do not become the prior's own.
        """

    def start(self, rows: Rows) -> None:
        """Set parameters in place from the training rows.

        The model is at its linear start, or at random; both suit a standard normal z.
        """

    def refit(self, rows: Aggregate) -> None:
        """Set parameters in place from the posteriors of training rows."""

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log p(z), (...), of z (..., K)."""
        raise NotImplementedError

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Return `n` draws of z, (n, K), float64."""
        raise NotImplementedError

    @torch.no_grad()
    def draw_from(self, noise: Tensor) -> Tensor:
        """Return draws of z, (n, K), that follow from standard normal numbers (n, K).

        They are fixed: parameters of the prior get no gradient.
        """
        return self.draw(len(noise), generator_from(noise, Stream.PRIOR)).to(noise)

    def kl(self, posterior: Posterior, outputs: Tensor, z: Tensor) -> Tensor:
        """Return KL(q || p) of each row, (B,), in nats: closed, or estimated.

        Parameters
        ----------
        posterior : Posterior
        outputs : Tensor of shape (B, n_outputs)
            The encoder's outputs for the rows.
        z : Tensor of shape (B, K) or (S, B, K)
            Draws of z from it.
        """
        log_ratio = posterior.log_prob(outputs, z) - self.log_prob(z)
        return log_ratio.reshape(-1, len(outputs)).mean(0)

    def kl_per_component(self, posterior: Posterior, outputs: Tensor) -> Tensor | None:
        """Return the KL of each component, (B, K), or None where that is not known."""
        return None

    def moments(self) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of each component, (K,) each.

        A row without any observed cell has the posterior nearest to them.
        """
        return self.zeros, torch.ones_like(self.zeros)

    def cluster_probabilities(
        self, posterior: Posterior, outputs: Tensor, noise: Tensor
    ) -> Tensor:
        """Return the probability of each cluster given a row, (B, C).

        For priors whose spec has `has_clusters`.

        Parameters
        ----------
        posterior : Posterior
        outputs : Tensor of shape (B, n_outputs)
            The encoder's outputs for the rows.
        noise : Tensor of shape (S, 1, K) or (S, B, K)
            Standard normal numbers, of which the posterior makes draws of z.
        """
        raise NotImplementedError


class Prior(BaseEstimator):
    """Base of all prior specs.

    Attributes
    ----------
    posterior : Posterior
        Family of q(z given x) that goes with the prior.
    has_clusters : bool
        Whether rows belong to clusters: its model has `cluster_probabilities`.
    """

    posterior: Posterior = Normal()
    has_clusters = False

    def check(self, n_components: str | int) -> None:
        """Raise ValueError where a parameter is invalid, or the number of components.

        Parameters
        ----------
        n_components : int or "auto"
        """

    def check_as_sampler(self, prior: "Prior") -> None:
        """Raise ValueError where it cannot be fitted to z after training.

        Parameters
        ----------
        prior : Prior
            The prior that the model is trained with.
        """

    def build(self, n_components: int) -> PriorModel:
        """Return a model of p(z).

        Parameters
        ----------
        n_components : int
            Number of components, K.

        Returns
        -------
        model : PriorModel
        """
        raise NotImplementedError

    def fitted(
        self, train: Aggregate, held_out: Aggregate, seed: int
    ) -> tuple["Prior", PriorModel]:
        """Return a spec without "auto", and its model of the posteriors of rows.

        What a sampler is. A prior that has nothing to fit is what it is.

        Parameters
        ----------
        train, held_out : Aggregate
            Posteriors of rows to fit it to, and to choose by.
        seed : int

        Returns
        -------
        spec : Prior
        model : PriorModel
        """
        return self, self.build(train.n_components)


class StandardNormalModel(PriorModel):
    """Independent standard normal components, built."""

    is_standard_normal = True

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

    def draw_from(self, noise: Tensor) -> Tensor:
        return noise

    def kl(self, posterior: Posterior, outputs: Tensor, z: Tensor) -> Tensor:
        closed = self.kl_per_component(posterior, outputs)
        return super().kl(posterior, outputs, z) if closed is None else closed.sum(-1)

    def kl_per_component(self, posterior: Posterior, outputs: Tensor) -> Tensor | None:
        if not posterior.is_normal:
            return None
        mean, log_variance = posterior.moments(outputs)
        return 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance)


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
        """Return a model of p(z).

        Parameters
        ----------
        n_components : int
            Number of components, K.

        Returns
        -------
        model : PriorModel
        """
        return StandardNormalModel(n_components)


class NoPriorModel(PriorModel):
    """No assumption about z, built."""

    has_density = False

    def log_prob(self, z: Tensor) -> Tensor:
        raise _no_density()

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        raise _no_density()


def _no_density() -> ValueError:
    return ValueError(
        "Densities and draws of z require a prior that has them. Got NoPrior. Use "
        "sampler='mixture' to draw rows, or another prior for densities."
    )


class NoPrior(Prior):
    """No assumption about z: the latent space of a plain autoencoder.

    A row then has a single z. There is no density of rows, and samples are those of a
    distribution that is fitted to z after training.

    See Also
    --------
    skvae.objectives.RAE : The objective for it.

    Examples
    --------
    >>> NoPrior()
    NoPrior()
    """

    posterior = Point()

    def build(self, n_components: int) -> PriorModel:
        """Return a model without a density.

        Parameters
        ----------
        n_components : int
            Number of components, K.

        Returns
        -------
        model : PriorModel
        """
        return NoPriorModel(n_components)
