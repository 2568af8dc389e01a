"""Intensities in [0, 1], with a density of their own."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from skvae._batches import Rows
from skvae.likelihoods._bernoulli import UnitModel, check_unit_interval
from skvae.likelihoods._contract import Likelihood, LikelihoodModel
from skvae.likelihoods._draws import uniform

SMALL = 0.1
"""Below this, series in u are exact to rounding and quotients in u are not."""


def log_sinhc(u: Tensor) -> Tensor:
    """Return log(sinh(u) / u), with a gradient, for any u; zero at zero."""
    squares = u.square().clamp_max(SMALL**2)
    series = squares / 6 - squares**2 / 180 + squares**3 / 2835 - squares**4 / 37800
    # The branch not taken must have finite gradients, too.
    large = u.abs().clamp_min(SMALL)
    quotient = large + torch.log(-torch.expm1(-2 * large) / (2 * large))
    return torch.where(u.abs() < SMALL, series, quotient)


def langevin(u: Tensor) -> Tensor:
    """Return coth(u) - 1 / u, the slope of `log_sinhc`."""
    small = u.clamp(-SMALL, SMALL)
    squares = small.square()
    series = 1 / 3 - squares / 45 + 2 * squares**2 / 945 - squares**3 / 4725
    large = torch.where(u.abs() < SMALL, SMALL, u)
    quotient = 1.0 / torch.tanh(large) - 1.0 / large
    return torch.where(u.abs() < SMALL, small * series, quotient)


class _ContinuousBernoulliModel(UnitModel):
    """Intensities with a density proportional to exp(output * x)."""

    logit: Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__(n_features)
        logit = torch.zeros(n_features, dtype=torch.float64)
        self.register_buffer("logit", logit)

    def fit_statistics(self, rows: Rows) -> None:
        """Learn each column's mean, and the output that has it as its mean."""
        super().fit_statistics(rows)
        low = torch.full_like(self.rate, -1e6)
        high = -low
        for _ in range(100):
            middle = 0.5 * (low + high)
            below = self.mean(middle) < self.rate
            low = torch.where(below, middle, low)
            high = torch.where(below, high, middle)
        self.logit.copy_(0.5 * (low + high))

    def cell_log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return log-densities on [0, 1]."""
        return (x - 0.5) * outputs - log_sinhc(0.5 * outputs)

    def distribution(self, outputs: Tensor) -> torch.distributions.Distribution:
        """Return continuous Bernoulli distributions, float64."""
        logits = outputs.double()
        return torch.distributions.ContinuousBernoulli(logits=logits)

    def mean(self, outputs: Tensor) -> Tensor:
        """Return the expected intensities."""
        return 0.5 + 0.5 * langevin(0.5 * outputs)

    def mode(self, outputs: Tensor) -> Tensor:
        """Return one where intensities above a half are likelier, else zero."""
        return (outputs > 0.0).to(outputs.dtype)

    def draw(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return intensities, the quantiles at uniform numbers."""
        a = outputs.double()
        u = uniform(a, generator)
        # By symmetry only with a negative sign, where exponentials are bounded.
        size = a.abs().clamp_min(1e-9)
        quantile = -torch.log1p(u * torch.expm1(-size)) / size
        return torch.where(a > 0.0, 1.0 - quantile, quantile)

    def marginal_outputs(self) -> Tensor:
        """Return the outputs whose mean is each column's."""
        return self.logit

    def linear_outputs(self, loadings: Tensor) -> Tensor:
        """Return the loadings over the slope of the mean, the variance of a cell."""
        u = (0.5 * self.logit).abs().clamp(1e-3, 300.0)
        variance = 0.25 * (1.0 / u.square() - 1.0 / torch.sinh(u).square())
        # The floor keeps nearly constant columns from asking for unbounded outputs.
        return loadings / variance.clamp_min(0.01)


class ContinuousBernoulli(Likelihood):
    r"""Intensities in [0, 1], with a density that integrates to one.

    .. math:: \log p(X \mid z) = \sum_j X_j a_j(z) - \log \frac{e^{a_j(z)} - 1}{a_j(z)}

    the Bernoulli's cross-entropy plus the logarithm of the normalizer that it lacks for
    values between 0 and 1 [1]_, with decoder outputs :math:`a(z)`, the logits. It is
    evaluated without cancellation around :math:`a = 0`.

    Domain: [0, 1]. Link: :math:`\mathrm{E}[X] = 1 / (1 - e^{-a}) - 1 / a`.

    See Also
    --------
    Bernoulli : For zeros and ones.

    References
    ----------
    .. [1] Loaiza-Ganem & Cunningham (2019). The continuous Bernoulli: fixing a
       pervasive error in variational autoencoders. NeurIPS.
       https://arxiv.org/abs/1907.06845

    Examples
    --------
    >>> ContinuousBernoulli()
    ContinuousBernoulli()
    """

    def build(self, n_features: int) -> LikelihoodModel:
        """Return a model for `n_features` columns, without statistics yet."""
        return _ContinuousBernoulliModel(n_features)

    def admits(self, low: float, high: float) -> bool:
        """Return whether values are in [0, 1]."""
        return low >= 0 and high <= 1

    def check_domain(self, X: np.ndarray, name_of: Callable[[int], str]) -> None:
        """Raise ValueError where an observed value of `X` is outside [0, 1]."""
        check_unit_interval(X, name_of, "ContinuousBernoulli")
