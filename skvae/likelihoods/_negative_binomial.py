"""Counts whose variance exceeds their mean."""

import numpy as np
import torch
from torch import Tensor, nn

from skvae.likelihoods._counts import LARGEST_COUNT, CountsLikelihood, CountsModel
from skvae.likelihoods._deviance import (
    log_counts,
    log_factorial_excess,
    log_gamma_excess,
    negative_binomial_deviance,
)
from skvae.likelihoods._draws import gamma
from skvae.likelihoods._forms import TORCH, expected_counts
from skvae.likelihoods._statistics import column_means
from skvae.table import Rows

SPEED = 20.0
"""How much faster than other parameters log(theta) is learned.

It moves by units where other parameters move by hundredths, and Adam moves all
parameters about equally fast. If it lags, fits stop before noise is separated from
signal.
"""

LEAST_LEFT = 0.1
"""Least fraction of the excess variance that is left to noise at the start."""


class NegativeBinomialModel(CountsModel):
    """Counts of variance m + m^2 / theta around a mean m."""

    def __init__(self, n_features: int, size_factor: bool) -> None:
        super().__init__(n_features, size_factor)
        self.slow_log_theta = nn.Parameter(torch.zeros(n_features, dtype=torch.float32))
        self.add_statistics(marginal_log_theta=0.0)

    @torch.no_grad()
    def fit_statistics(self, rows: Rows) -> None:
        """Learn what counts have in common, and theta from each column's variance."""
        super().fit_statistics(rows)
        squares, excess = column_means(rows, self._excess)[0].reshape(2, -1)
        theta = np.divide(
            squares, excess, where=excess > 0.0, out=np.full_like(squares, np.inf)
        )
        theta = torch.from_numpy(theta.clip(1e-2, 1e3))
        self.marginal_log_theta.copy_(theta.log())
        self.set_log_theta(self.marginal_log_theta)

    def _excess(self, X: np.ndarray) -> np.ndarray:
        """Return m^2 and (x - m)^2 - m side by side, with expected counts m."""
        x, arrays = torch.from_numpy(X), self.preparation_arrays()
        means = self.rate.expand_as(x)
        if self.size_factor:
            means = expected_counts(TORCH, x, arrays, ~torch.isnan(x))
        m = np.where(np.isnan(X), np.nan, means.numpy())
        return np.hstack((m**2, (X - m) ** 2 - m))

    @torch.no_grad()
    def start_noise(self, variances: Tensor) -> None:
        """Reduce the excess variance by what the components explain.

        On the scale of log(mean), to first order, the variance of Poisson counts is
        1 / mean, and that of inputs is their variance over the squared slope.
        """
        slope = self.rate / (1.0 + self.rate)
        total, chance = (self.input_std / slope).square(), 1.0 / self.rate
        left = (total * variances.to(total) - chance) / (total - chance)
        left = torch.where(total > chance, left, 1.0).clamp(LEAST_LEFT, 1.0)
        self.set_log_theta(self.marginal_log_theta - left.log())

    @torch.no_grad()
    def set_log_theta(self, log_theta: Tensor) -> None:
        """Set the logarithm of theta, (D,)."""
        self.slow_log_theta.copy_(log_theta / SPEED)

    def theta(self) -> Tensor:
        """Return the learned number of failures of each column, (D,)."""
        return (SPEED * self.slow_log_theta).clamp(-7.0, 12.0).exp()

    def count_log_prob(self, log_mean: Tensor, x: Tensor) -> Tensor:
        """Return log-masses of the negative binomial."""
        theta, log_x = self.theta(), log_counts(x)
        at_mean = log_gamma_excess(x + theta) - log_gamma_excess(theta)
        at_mean = at_mean - log_factorial_excess(x, log_x)
        return at_mean - negative_binomial_deviance(log_mean, theta, x, log_x)

    def cell_log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return the log-masses."""
        return self.count_log_prob(self.log_mean(outputs, x), x)

    def mode(self, outputs: Tensor) -> Tensor:
        """Return the most likely counts."""
        theta, log_mean = self.theta(), self.log_mean(outputs)
        mode = (theta - 1.0) * (log_mean - theta.log()).exp()
        return mode.floor().clamp(0.0, LARGEST_COUNT)

    def draw(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return Poisson draws of gamma draws, float64."""
        log_mean = self.log_mean(outputs).double()
        theta = self.theta().double().expand_as(log_mean)
        rate = gamma(theta, generator) * (log_mean.exp() / theta)
        return self.draw_around(rate, generator)


class NegativeBinomial(CountsLikelihood):  # numpydoc ignore=PR02
    r"""Counts whose variance exceeds their mean.

    .. math:: \log p(X \mid z) = \sum_j \log \frac{\Gamma(X_j + \theta_j)}
        {\Gamma(\theta_j)\, X_j!} + \theta_j \log \frac{\theta_j}{\theta_j + \mu_j}
        + X_j \log \frac{\mu_j}{\theta_j + \mu_j}

    with :math:`\log \mu = a(z)`, the decoder's outputs, and a learned
    :math:`\theta_j` for each column, so that the variance is :math:`\mu_j +
    \mu_j^2 / \theta_j` [1]_. The encoder sees standardized log(1 + X).

    Domain: whole numbers from 0 to 2**53, all of which float64 can hold.
    Link: log.

    Parameters
    ----------
    size_factor : bool, default=False
        Whether rows are samples of different depth, as cells are in sequencing: then
        :math:`\mu_j = l \, \mathrm{softmax}(a(z))_j` with the row's total :math:`l`
        [2]_, the encoder sees rows scaled to the mean total, and generated rows have
        that total. Scores condition on the totals. Missing cells are assumed to have
        had their average fraction of the total.

    See Also
    --------
    Poisson : For counts whose variance equals their mean.
    ZeroInflatedNegativeBinomial : For zero-inflated counts.

    References
    ----------
    .. [1] Hilbe (2011). Negative binomial regression, equation 8.9. Cambridge
       University Press.
    .. [2] Lopez et al. (2018). Deep generative modeling for single-cell
       transcriptomics. Nature Methods 15. https://doi.org/10.1038/s41592-018-0229-2

    Examples
    --------
    >>> NegativeBinomial()
    NegativeBinomial()
    """

    _model = NegativeBinomialModel
