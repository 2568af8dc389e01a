"""Counts with zeros of another kind."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Distribution

from skvae._batches import Rows
from skvae.likelihoods._contract import LikelihoodModel
from skvae.likelihoods._counts import CountsLikelihood
from skvae.likelihoods._draws import uniform
from skvae.likelihoods._negative_binomial import NegativeBinomialModel
from skvae.likelihoods._statistics import column_means

LEAST_EXCESS = 1e-3
"""Least part of zeros of another kind where training starts."""


def _log_mixture(log_odds: Tensor, log_mass: Tensor, x: Tensor) -> Tensor:
    """Return log-masses where zeros replace draws with the given log-odds."""
    inflated = torch.where(x == 0.0, torch.logaddexp(log_odds, log_mass), log_mass)
    return inflated - F.softplus(log_odds)


class ZeroInflated(Distribution):
    """Draws of a distribution of counts, some of them replaced by zero.

    Parameters
    ----------
    base : Distribution
    log_odds : Tensor
        Of a replacement.
    """

    arg_constraints: Any = {}

    def __init__(self, base: Distribution, log_odds: Tensor) -> None:
        self.base, self.log_odds = base, log_odds
        super().__init__(base.batch_shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """Mean."""
        return torch.sigmoid(-self.log_odds) * self.base.mean

    @property
    def variance(self) -> Tensor:
        """Variance."""
        kept, mean = torch.sigmoid(-self.log_odds), self.base.mean
        return kept * (self.base.variance + (1.0 - kept) * mean.square())

    @property
    def mode(self) -> Tensor:
        """Mode: zero, or that of the counts."""
        mode = self.base.mode
        is_zero = self.log_prob(torch.zeros_like(mode)) >= self.log_prob(mode)
        return torch.where(is_zero, 0.0, mode)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log-masses."""
        return _log_mixture(self.log_odds, self.base.log_prob(value), value)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Return draws, from torch's global generator."""
        draws = self.base.sample(sample_shape)
        kept = torch.bernoulli(torch.sigmoid(-self.log_odds).expand_as(draws))
        return draws * kept


class _ZeroInflatedModel(NegativeBinomialModel):
    """Outputs are those of the counts, then the log-odds of a zero in their place."""

    zeros: Tensor
    log_odds: Tensor
    log_rate: Tensor

    def __init__(self, n_features: int, size_factor: bool) -> None:
        super().__init__(n_features, size_factor)
        self.n_outputs = 2 * n_features
        for name in ("zeros", "log_odds", "log_rate"):
            zeros = torch.zeros(n_features, dtype=torch.float64)
            self.register_buffer(name, zeros)

    @torch.no_grad()
    def _fit_shape(self, rows: Rows) -> None:
        """Learn how frequent zeros are, and the dispersion without them.

        The variance of all counts takes the zeros for dispersion. That of logarithms
        of positive counts does not: it is about E[1 / x] + 1 / theta.
        """
        super()._fit_shape(rows)
        center, _ = column_means(rows, _log_of_positive)
        variance, _ = column_means(rows, lambda X: (_log_of_positive(X) - center) ** 2)
        chance, _ = column_means(rows, lambda X: np.exp(-_log_of_positive(X)))
        # Rare counts say nothing of it.
        known = torch.from_numpy(variance > 2.0 * chance)
        log_theta = -torch.from_numpy(np.maximum(variance - chance, 1e-3)).log()
        log_theta = torch.where(known, log_theta, self.marginal_log_theta.cpu())
        log_theta = torch.maximum(log_theta.to(self.rate), self.marginal_log_theta)
        self.marginal_log_theta.copy_(log_theta)
        self.set_log_theta(self.marginal_log_theta)
        self.zeros.copy_(torch.from_numpy(column_means(rows, _is_zero)[0]))
        self._inflate()

    @torch.no_grad()
    def _inflate(self) -> None:
        """Set how many zeros there are beyond those of a negative binomial.

        At the optimum of both, zeros are as frequent as observed and the mean is the
        observed one, (1 - p) m; p is found by bisection.
        """
        theta = self.theta().to(self.rate)

        def frequency_of_zero(p: Tensor) -> Tensor:
            mean = self.rate / (1.0 - p)
            return p + (1.0 - p) * (-theta * torch.log1p(mean / theta)).exp()

        low = torch.full_like(self.rate, LEAST_EXCESS)
        high = torch.full_like(self.rate, 1.0 - LEAST_EXCESS)
        for _ in range(60):
            middle = 0.5 * (low + high)
            too_few = frequency_of_zero(middle) < self.zeros
            low = torch.where(too_few, middle, low)
            high = torch.where(too_few, high, middle)
        self.log_odds.copy_(torch.logit(low))
        self.log_rate.copy_((self.rate / (1.0 - low)).log())

    def start_noise(self, variances: Tensor) -> None:
        """Set the dispersion that is left, and the zeros that it does not explain."""
        super().start_noise(variances)
        self._inflate()

    def cell_log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return the log-masses."""
        counts, log_odds = outputs.chunk(2, dim=-1)
        log_mass = self.count_log_prob(self.log_mean(counts, x), x)
        return _log_mixture(log_odds, log_mass, x)

    def distribution(self, outputs: Tensor) -> Distribution:
        """Return zero-inflated negative binomial distributions."""
        counts, log_odds = outputs.chunk(2, dim=-1)
        return ZeroInflated(super().distribution(counts), log_odds)

    def mean(self, outputs: Tensor) -> Tensor:
        """Return the expected counts, zeros of both kinds included."""
        counts, log_odds = outputs.chunk(2, dim=-1)
        return torch.sigmoid(-log_odds) * super().mean(counts)

    def draw(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return counts."""
        counts, log_odds = outputs.chunk(2, dim=-1)
        draws = self.draw_counts(self.log_mean(counts), generator)
        kept = uniform(draws, generator) < torch.sigmoid(-log_odds)
        return draws * kept

    def marginal_outputs(self) -> Tensor:
        """Return the logarithms of the means, then the log-odds of a zero."""
        return torch.cat((self.log_rate, self.log_odds))

    def linear_outputs(self, loadings: Tensor) -> Tensor:
        """Return directions of the means; the log-odds stay."""
        directions = super().linear_outputs(loadings)
        return torch.cat((directions, torch.zeros_like(directions)), dim=-1)


class ZeroInflatedNegativeBinomial(CountsLikelihood):
    r"""Counts that vary more than chance makes them, with zeros of another kind.

    .. math:: p(X_j \mid z) = \pi_j(z)\, [X_j = 0]
        + (1 - \pi_j(z))\, \mathrm{NB}(X_j; \mu_j(z), \theta_j)

    with two decoder outputs for each column: :math:`\log \mu_j`, and the logit of
    :math:`\pi_j`, the probability that a count was lost [1]_. The rest is as in
    `NegativeBinomial`.

    Domain: whole numbers >= 0. Links: log and logit.

    Parameters
    ----------
    size_factor : bool, default=False
        Whether rows are samples of different depth, as in `NegativeBinomial`.

    See Also
    --------
    NegativeBinomial : For counts without such zeros.

    References
    ----------
    .. [1] Lopez et al. (2018). Deep generative modeling for single-cell
       transcriptomics. Nature Methods 15. https://doi.org/10.1038/s41592-018-0229-2

    Examples
    --------
    >>> ZeroInflatedNegativeBinomial()
    ZeroInflatedNegativeBinomial()
    """

    def __init__(self, size_factor: bool = False) -> None:
        self.size_factor = size_factor

    def build(self, n_features: int) -> LikelihoodModel:
        """Return a model for `n_features` columns, without statistics yet."""
        return _ZeroInflatedModel(n_features, self.size_factor)


def _is_zero(X: np.ndarray) -> np.ndarray:
    """Return 1.0 where a cell is zero, NaN where it is missing."""
    return 1.0 * (X == 0.0) + 0.0 * X


def _log_of_positive(X: np.ndarray) -> np.ndarray:
    """Return the logarithm of positive counts, NaN for others."""
    return np.log(np.where(X > 0.0, X, np.nan))
