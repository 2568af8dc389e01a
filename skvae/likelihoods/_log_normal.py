"""Positive columns whose logarithm is normal."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from skvae.likelihoods._contract import Likelihood, LikelihoodModel
from skvae.likelihoods._gaussian import GaussianModel
from skvae.likelihoods._noise import check_noise
from skvae.likelihoods._statistics import column_ranges

LARGEST_LOG = 700.0
"""Bound on logarithms of answers, so that they are finite."""


class _LogNormalModel(GaussianModel):
    """Columns whose standardized logarithm is normal around the outputs."""

    @staticmethod
    def transform(X: np.ndarray) -> np.ndarray:
        """Return the logarithm."""
        return np.log(X.astype(np.float64, copy=False))

    def _log(self, x: Tensor) -> Tensor:
        """Return log X of rows in model units."""
        unit, loc, scale = (t.to(x.dtype) for t in (self.unit, self.loc, self.scale))
        return (loc + scale * x) * unit

    def log_prob(
        self, outputs: Tensor, x: Tensor, observed: Tensor | None = None
    ) -> Tensor:
        """Return the log-density in the units of `X`, (..., B)."""
        log_prob = super().log_prob(outputs, x, observed)
        # With missing cells it is a sum over cells, which have their Jacobian.
        return log_prob if observed is not None else log_prob - self._log(x).sum(-1)

    def loss_and_gradient(
        self, outputs: Tensor, x: Tensor, row_weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return minus the log-density, and its gradients in closed form."""
        loss, gradient = super().loss_and_gradient(outputs, x, row_weights)
        return loss + self._log(x).sum(-1), gradient

    def cell_log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return log-densities in the units of `X`."""
        return super().cell_log_prob(outputs, x) - self._log(x)

    def distribution(self, outputs: Tensor) -> torch.distributions.Distribution:
        """Return log-normal distributions in the units of `X`, float64."""
        loc = self.location(outputs).clamp(-LARGEST_LOG, LARGEST_LOG)
        return torch.distributions.LogNormal(loc, self.spread_of(loc))

    def mean(self, outputs: Tensor) -> Tensor:
        """Return exp(m + s^2 / 2) for logarithms of mean m and deviation s."""
        loc = self.location(outputs)
        log_mean = loc + 0.5 * self.spread_of(loc).square()
        return log_mean.clamp(-LARGEST_LOG, LARGEST_LOG).exp()

    def draw(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return the exponential of a draw of the logarithm."""
        log = super().draw(outputs, generator)
        return log.clamp(-LARGEST_LOG, LARGEST_LOG).exp()


class LogNormal(Likelihood):
    r"""Positive columns of any magnitude: incomes, concentrations, durations.

    .. math:: \log p(X \mid z) = \sum_j \log \mathcal{N}(\log X_j;
        m_j + s_j a_j(z), (s_j \sigma_j)^2) - \log X_j

    with decoder outputs :math:`a(z)`, and mean :math:`m_j` and scale :math:`s_j` of
    the column's logarithm [1]_. The encoder sees standardized logarithms.

    Domain: X > 0. Link: log of the median, so that the expected cell is
    :math:`\exp(m_j + s_j a_j + (s_j \sigma_j)^2 / 2)`.

    Parameters
    ----------
    noise : {"shared", "column"} or float, default="shared"
        `"shared"` learns one noise for all standardized logarithms, `"column"` one
        for each. A number is the standard deviation of log X, not learned.

    See Also
    --------
    Gaussian : For real-valued columns.
    Poisson : For counts.

    References
    ----------
    .. [1] Johnson, Kotz & Balakrishnan (1994). Continuous univariate distributions,
       volume 1, chapter 14. Wiley.

    Examples
    --------
    >>> LogNormal(noise="column")
    LogNormal(noise='column')
    """

    def __init__(self, noise: str | float = "shared") -> None:
        self.noise = noise

    def build(self, n_features: int) -> LikelihoodModel:
        """Return a model for `n_features` columns, without statistics yet."""
        check_noise(self.noise, "LogNormal")
        return _LogNormalModel(n_features, self.noise, "column")

    def admits(self, low: float, high: float) -> bool:
        """Return whether values are positive."""
        return low > 0

    def check_domain(self, X: np.ndarray, name_of: Callable[[int], str]) -> None:
        """Raise ValueError where an observed value of `X` is not positive."""
        low, _ = column_ranges(X)
        outside = np.flatnonzero(low <= 0)
        if len(outside):
            column = int(outside[0])
            raise ValueError(
                f"LogNormal likelihood requires X > 0. Got {low[column]:.6g} in column "
                f"{name_of(column)}. Use likelihood='gaussian', or 'poisson' or "
                "'negative_binomial' for counts, or add a constant to the column."
            )
