"""q(z given x): what the outputs of an encoder mean."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

LOG_VARIANCE_BOUNDS = (-30.0, 10.0)
"""Bounds far outside any useful log-variance, so that exp stays finite."""


def bounded(log_variance: Tensor) -> Tensor:
    """Return log-variances within their bounds."""
    return log_variance.clamp(*LOG_VARIANCE_BOUNDS)


def bounded_backward(gradient: Tensor, log_variance: Tensor) -> Tensor:
    """Return the gradient by log-variances before they were bounded."""
    return torch.ops.aten.hardtanh_backward.default(
        gradient, log_variance, *LOG_VARIANCE_BOUNDS
    )


class NormalParts(NamedTuple):
    """Equal parts of n normal distributions with independent components.

    Attributes
    ----------
    means, log_variances : Tensor of shape (n, K)
    """

    means: Tensor
    log_variances: Tensor

    def log_prob(self, z: Tensor) -> Tensor:
        """Return the log-density of the mixture, (...), of z (..., K)."""
        # Squares of differences, written out: products of matrices need no array of
        # draws by parts by components. Relative to the mean, so that less cancels.
        center = self.means.mean(0)
        z, means = z - center, self.means - center
        precisions = torch.exp(-self.log_variances)
        scaled = means * precisions
        squares = z.square() @ precisions.T - 2.0 * (z @ scaled.T)
        squares = squares + (means * scaled).sum(-1)
        log_det = self.log_variances.sum(-1) + z.shape[-1] * math.log(2 * math.pi)
        return (-0.5 * (squares + log_det)).logsumexp(-1) - math.log(len(means))

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Return n draws of z, (n, K), float64."""
        device = generator.device
        parts = torch.randint(len(self.means), (n,), generator=generator, device=device)
        noise = torch.randn(
            (n, self.means.shape[1]),
            generator=generator,
            dtype=torch.float64,
            device=device,
        )
        stds = torch.exp(0.5 * self.log_variances.double()[parts])
        return self.means.double()[parts] + stds * noise

    def moments(self) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of each component, (K,) each."""
        variance = self.log_variances.exp().mean(0)
        variance = variance + self.means.var(0, correction=0)
        return self.means.mean(0), variance.sqrt()


class Posterior:
    """Base of the families of q(z given x), over K components.

    `outputs` (B, n_outputs(K)) are those of the encoder for B rows; draws of z have
    shape (B, K), or (S, B, K) for S draws of each row.

    Attributes
    ----------
    is_random : bool
        Whether z is drawn. If not, z is a function of the row.
    is_normal : bool
        Whether the components are independent and normal, with the outputs of
        `Normal`: what a start at probabilistic PCA and the written-out gradient need.
    has_linear_start : bool
        Whether the first K outputs of an encoder can start as linear functions of a
        row, from PCA or from clusters.
    categories : tuple of int
        Number of categories of each categorical variable. The last components are
        their columns, which keep their places and signs; those before are real-valued.
    """

    is_random = True
    is_normal = False
    has_linear_start = False
    categories: tuple[int, ...] = ()

    def n_real(self, n_components: int) -> int:
        """Return the number of leading components that are real-valued."""
        return n_components - sum(self.categories)

    def whole(self, values: Tensor) -> Tensor:
        """Return values (..., K) with the sum of a variable's columns at each of them.

        Columns of a categorical variable are one variable; real-valued components are
        one each.
        """
        return values

    def moved(self, z: Tensor, step: Tensor, random: torch.Generator) -> Tensor:
        """Return z moved by a step, with z itself as likely a move from there.

        Parameters
        ----------
        z, step : Tensor of shape (..., K)
        random : torch.Generator
            For moves of what is not real-valued.
        """
        return z + step

    def n_outputs(self, n_components: int) -> int:
        """Return the number of outputs that describe K components."""
        raise NotImplementedError

    def outputs_of(self, mean: Tensor, std: Tensor) -> Tensor:
        """Return the outputs (..., n_outputs) nearest to these moments, (..., K) each.

        An encoder without information gives them, with the moments of the prior.
        """
        raise NotImplementedError

    def draw(self, outputs: Tensor, noise: Tensor) -> Tensor:
        """Return draws of z, differentiable, from standard normal noise (..., B, K)."""
        raise NotImplementedError

    def log_prob(self, outputs: Tensor, z: Tensor) -> Tensor:
        """Return log q(z given x), (..., B), of z (..., B, K)."""
        raise NotImplementedError

    def log_prob_per_component(self, outputs: Tensor, z: Tensor) -> Tensor:
        """Return log q(z_k given x), (..., B, K), of z (..., B, K)."""
        raise ValueError(
            "Densities of single components require a posterior with independent "
            f"components, such as that of prior='normal'. Got {type(self).__name__}. "
            "Use such a prior, or another objective."
        )

    def draw_and_score(self, outputs: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return draws of z and their log q."""
        z = self.draw(outputs, noise)
        return z, self.log_prob(outputs, z)

    def moments(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance, (B, K) each, of normal components."""
        raise NotImplementedError

    def mean(self, outputs: Tensor) -> Tensor:
        """Return the posterior mean, (B, K)."""
        raise NotImplementedError

    def std(self, outputs: Tensor) -> Tensor:
        """Return the standard deviation of each component, (B, K)."""
        raise NotImplementedError


class Normal(Posterior):
    r"""Independent normal components, :math:`\mathcal{N}(\mu, \sigma^2)`.

    The outputs are the means, then the log-variances before they are bounded.
    """

    is_normal = has_linear_start = True

    def n_outputs(self, n_components: int) -> int:
        """Return 2 K."""
        return 2 * n_components

    def outputs_of(self, mean: Tensor, std: Tensor) -> Tensor:
        """Return the means, then the log-variances."""
        return torch.cat((mean, 2.0 * std.log()), dim=-1)

    def moments(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance, (B, K) each."""
        mean, log_variance = outputs.chunk(2, dim=-1)
        return mean, bounded(log_variance)

    def draw(self, outputs: Tensor, noise: Tensor) -> Tensor:
        r"""Return :math:`\mu + \sigma\epsilon` (Kingma & Welling 2013, section 2.4)."""
        mean, log_variance = self.moments(outputs)
        return mean + torch.exp(0.5 * log_variance) * noise

    def log_prob(self, outputs: Tensor, z: Tensor) -> Tensor:
        """Return the normal log-density."""
        return self.log_prob_per_component(outputs, z).sum(-1)

    def log_prob_per_component(self, outputs: Tensor, z: Tensor) -> Tensor:
        """Return the normal log-density of each component."""
        mean, log_variance = self.moments(outputs)
        squares = (z - mean).square() * torch.exp(-log_variance)
        return -0.5 * (squares + log_variance + math.log(2 * math.pi))

    def draw_and_score(self, outputs: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return draws and log q from the noise itself, in which nothing cancels."""
        _, log_variance = self.moments(outputs)
        terms = noise.square() + log_variance + math.log(2 * math.pi)
        return self.draw(outputs, noise), -0.5 * terms.sum(-1)

    def mean(self, outputs: Tensor) -> Tensor:
        """Return the means."""
        return outputs.chunk(2, dim=-1)[0]

    def std(self, outputs: Tensor) -> Tensor:
        """Return the standard deviations."""
        return torch.exp(0.5 * self.moments(outputs)[1])


class Point(Posterior):
    """A single z for each row, as a plain autoencoder gives, without a density."""

    is_random, has_linear_start = False, True

    def n_outputs(self, n_components: int) -> int:
        """Return K."""
        return n_components

    def outputs_of(self, mean: Tensor, std: Tensor) -> Tensor:
        """Return the mean."""
        return mean

    def draw(self, outputs: Tensor, noise: Tensor) -> Tensor:
        """Return the outputs."""
        return outputs

    def log_prob(self, outputs: Tensor, z: Tensor) -> Tensor:
        """Raise ValueError: there is no density."""
        raise ValueError(
            "Densities and draws require a prior whose posterior is random. Got one of "
            "a plain autoencoder. Use another prior, objective='rae', or "
            "AutoencoderTransformer."
        )

    def mean(self, outputs: Tensor) -> Tensor:
        """Return the outputs."""
        return outputs

    def std(self, outputs: Tensor) -> Tensor:
        """Return zeros."""
        return torch.zeros_like(outputs)
