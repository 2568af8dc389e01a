"""Positive columns whose logarithm is normal."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from skvae.likelihoods._contract import Likelihood, Where
from skvae.likelihoods._draws import normal
from skvae.likelihoods._forms import LARGEST_LOG
from skvae.likelihoods._gaussian import GaussianModel
from skvae.likelihoods._noise import NOISE_OF_ROWS


class _LogNormalModel(GaussianModel):
    """Columns whose standardized logarithm is normal around the outputs."""

    preparation_kind = "standard_log"
    link_kind = "log_normal"

    transform = staticmethod(np.log)
    empty = 1.0

    def _log(self, x: Tensor) -> Tensor:
        """Return log X of rows in model units, zero in place of constants."""
        unit, loc, scale = (t.to(x.dtype) for t in (self.unit, self.loc, self.scale))
        return self.constants.hide((loc + scale * x) * unit)

    def log_prob(self, outputs: Tensor, x: Tensor, observed: Where = None) -> Tensor:
        """Return the log-density in the units of `X`, (..., B)."""
        log_prob = super().log_prob(outputs, x, observed)
        # A sum over cells has their Jacobian.
        is_sum = observed is not None or self.noise.n_outputs
        return log_prob if is_sum else log_prob - self._log(x).sum(-1)

    def loss_and_gradient(
        self, outputs: Tensor, x: Tensor, sample_weights: Tensor, observed: Where = None
    ) -> tuple[Tensor, Tensor]:
        """Return minus the log-density, and its gradients in closed form."""
        arguments = outputs, x, sample_weights, observed
        loss, gradient = super().loss_and_gradient(*arguments)
        log = self._log(x)
        log = log if observed is None else torch.where(observed, log, 0.0)
        return loss + log.sum(-1), gradient

    def cell_density(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return log-densities in the units of `X`."""
        return super().cell_density(outputs, x) - self._log(x)

    def mode(self, outputs: Tensor) -> Tensor:
        """Return the modes, exp(loc - std^2), float64."""
        loc = self.location(outputs).clamp(-LARGEST_LOG, LARGEST_LOG)
        return self.constants.put(torch.exp(loc - self.std(outputs).square()))

    def link_arrays(self) -> dict[str, Any]:
        """Return location and scale of the logarithm, and the noise."""
        return {**self.preparation_arrays(), **self.noise_arrays()}

    def draw(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return the exponential of a draw of the logarithm."""
        loc = self.location(outputs)
        log = loc + self.std(outputs) * normal(loc, generator)
        return self.constants.put(log.clamp(-LARGEST_LOG, LARGEST_LOG).exp())


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
    noise : {"shared", "column", "decoder"} or float, default="shared"
        `"shared"` learns one noise for all standardized logarithms, `"column"` one
        for each, and `"decoder"` one that differs among rows, as in `Gaussian`. A
        number is the standard deviation of log X, not learned.

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

    _model = _LogNormalModel
    _parameter_constraints: dict = {"noise": NOISE_OF_ROWS}
    _remedy = (
        "Use likelihood='gaussian', or 'poisson' or 'negative_binomial' for counts, or "
        "add a constant to the column."
    )

    def __init__(self, noise: str | float = "shared") -> None:
        self.noise = noise

    def admits(self, low: float, high: float) -> bool:
        """Return whether values are positive."""
        return low > 0

    def _outside(self, X: np.ndarray) -> np.ndarray:
        return X <= 0

    def _domain(self, column: int) -> str:
        return "X > 0"
