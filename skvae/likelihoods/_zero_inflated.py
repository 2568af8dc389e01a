"""Zero-inflated counts."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from skvae.likelihoods._counts import CountsLikelihood
from skvae.likelihoods._draws import uniform
from skvae.likelihoods._linearization import Linearization
from skvae.likelihoods._negative_binomial import NegativeBinomialModel
from skvae.likelihoods._statistics import bisect, column_means, column_moments
from skvae.table import Rows

LEAST_EXCESS = 1e-3
"""Least fraction of additional zeros at the start of training."""


class _ZeroInflatedModel(NegativeBinomialModel):
    """Outputs are those of the counts, then the log-odds of a zero in their place."""

    link_kind = "inflated_counts"

    def __init__(self, n_features: int, size_factor: bool) -> None:
        super().__init__(n_features, size_factor)
        self.n_outputs = 2 * n_features
        self.add_statistics(zeros=0.0, log_odds=0.0, log_rate=0.0)

    @torch.no_grad()
    def fit_statistics(self, rows: Rows) -> None:
        """Learn how frequent zeros are, and the dispersion without them.

        The variance of all counts includes the zeros as dispersion. That of logarithms
        of positive counts does not: it is about E[1 / x] + 1 / theta.
        """
        super().fit_statistics(rows)
        moments = column_moments(rows, _log_of_positive)
        frequencies, _ = column_means(rows, _chance_and_zeros)
        variance, (chance, zeros) = moments.variance(), frequencies.reshape(2, -1)
        # Rare counts do not determine it.
        known = torch.from_numpy(variance > 2.0 * chance)
        log_theta = -torch.from_numpy(np.maximum(variance - chance, 1e-3)).log()
        log_theta = torch.where(known, log_theta, self.marginal_log_theta.cpu())
        log_theta = torch.maximum(log_theta.to(self.rate), self.marginal_log_theta)
        self.marginal_log_theta.copy_(log_theta)
        self.set_log_theta(self.marginal_log_theta)
        self.zeros.copy_(torch.from_numpy(zeros))
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

        bounds = LEAST_EXCESS, 1.0 - LEAST_EXCESS
        p, _ = bisect(frequency_of_zero, self.zeros, *bounds, n_steps=60)
        self.log_odds.copy_(torch.logit(p))
        self.log_rate.copy_((self.rate / (1.0 - p)).log())

    def start_noise(self, variances: Tensor) -> None:
        """Set the dispersion that is left, and the zeros that it does not explain."""
        super().start_noise(variances)
        self._inflate()

    def cell_log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return the log-masses."""
        counts, log_odds = outputs.chunk(2, dim=-1)
        return self._log_mixture(self.log_mean(counts, x), log_odds, x)

    def _log_mixture(self, log_mean: Tensor, log_odds: Tensor, x: Tensor) -> Tensor:
        """Return log-masses where zeros replace counts with the given log-odds."""
        mass = self.count_log_prob(log_mean, x)
        inflated = torch.where(x == 0.0, torch.logaddexp(log_odds, mass), mass)
        return inflated - F.softplus(log_odds)

    def mode(self, outputs: Tensor) -> Tensor:
        """Return zero, or the most likely count where that is likelier."""
        counts, log_odds = outputs.chunk(2, dim=-1)
        log_mean = self.log_mean(counts)
        mode = super().mode(counts)
        at_mode, at_zero = (
            self._log_mixture(log_mean, log_odds, x) for x in (mode, 0.0 * mode)
        )
        return torch.where(at_zero >= at_mode, 0.0, mode)

    def draw(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return counts."""
        counts, log_odds = outputs.chunk(2, dim=-1)
        draws = super().draw(counts, generator)
        kept = uniform(draws, generator) < torch.sigmoid(-log_odds)
        return draws * kept

    def linearized(self) -> Linearization:
        """Return logarithms of the means, and the log-odds, which z does not move."""
        counts = super().linearized()._replace(outputs=self.log_rate)
        return counts.with_outputs_apart(self.log_odds)


class ZeroInflatedNegativeBinomial(CountsLikelihood):  # numpydoc ignore=PR02
    r"""Zero-inflated counts whose variance otherwise exceeds their mean.

    .. math:: p(X_j \mid z) = \pi_j(z)\, [X_j = 0]
        + (1 - \pi_j(z))\, \mathrm{NB}(X_j; \mu_j(z), \theta_j)

    with two decoder outputs for each column: :math:`\log \mu_j`, and the logit of
    :math:`\pi_j`, the probability that a count was lost [1]_. The rest is as in
    `NegativeBinomial`.

    Domain: whole numbers from 0 to 2**53, all of which float64 can hold.
    Links: log and logit.

    Parameters
    ----------
    size_factor : bool, default=False
        Whether rows are samples of different depth, as in `NegativeBinomial`.

    See Also
    --------
    NegativeBinomial : For counts that are not zero-inflated.

    References
    ----------
    .. [1] Lopez et al. (2018). Deep generative modeling for single-cell
       transcriptomics. Nature Methods 15. https://doi.org/10.1038/s41592-018-0229-2

    Examples
    --------
    >>> ZeroInflatedNegativeBinomial()
    ZeroInflatedNegativeBinomial()
    """

    _model = _ZeroInflatedModel


def _chance_and_zeros(X: np.ndarray) -> np.ndarray:
    """Return 1 / x of positive counts, and 1.0 where a count is zero, side by side."""
    is_zero = 1.0 * (X == 0.0) + 0.0 * X
    return np.hstack((np.exp(-_log_of_positive(X)), is_zero))


def _log_of_positive(X: np.ndarray) -> np.ndarray:
    """Return the logarithm of positive counts, NaN for others."""
    return np.log(np.where(X > 0.0, X, np.nan))
