"""Intensities in [0, 1], with a density of their own."""

import torch
from torch import Tensor

from skvae.likelihoods._bernoulli import UnitLikelihood, UnitModel
from skvae.likelihoods._draws import uniform
from skvae.likelihoods._forms import SMALL
from skvae.likelihoods._linearization import Linearization
from skvae.likelihoods._statistics import bisect
from skvae.table import Rows


def log_sinhc(u: Tensor) -> Tensor:
    """Return log(sinh(u) / u), with a gradient, for any u; zero at zero."""
    squares = u.square().clamp_max(SMALL**2)
    series = squares / 6 - squares**2 / 180 + squares**3 / 2835 - squares**4 / 37800
    # The branch not taken must have finite gradients, too.
    large = u.abs().clamp_min(SMALL)
    quotient = large + torch.log(-torch.expm1(-2 * large) / (2 * large))
    return torch.where(u.abs() < SMALL, series, quotient)


class _ContinuousBernoulliModel(UnitModel):
    """Intensities with a density proportional to exp(output * x)."""

    link_kind = "continuous_bernoulli"

    def __init__(self, n_features: int) -> None:
        super().__init__(n_features)
        self.add_statistics(logit=0.0)

    def fit_statistics(self, rows: Rows) -> None:
        """Learn each column's mean, and the output that has it as its mean."""
        super().fit_statistics(rows)
        low, high = bisect(self.mean, self.rate, -1e6, 1e6, n_steps=100)
        self.logit.copy_(0.5 * (low + high))

    def cell_log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return log-densities on [0, 1]."""
        return (x - 0.5) * outputs - log_sinhc(0.5 * outputs)

    def draw(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return intensities, the quantiles at uniform numbers."""
        a = outputs.double()
        u = uniform(a, generator)
        # By symmetry only with a negative sign, where exponentials are bounded.
        size = a.abs().clamp_min(1e-9)
        quantile = -torch.log1p(u * torch.expm1(-size)) / size
        return torch.where(a > 0.0, 1.0 - quantile, quantile)

    def linearized(self) -> Linearization:
        """Return means and their outputs, with the variances there as slopes."""
        u = (0.5 * self.logit).abs().clamp(1e-3, 300.0)
        variance = 0.25 * (1.0 / u.square() - 1.0 / torch.sinh(u).square())
        # The floor bounds the outputs of nearly constant columns.
        return Linearization(self.rate, self.logit, variance.clamp_min(0.01))


class ContinuousBernoulli(UnitLikelihood):
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

    _model = _ContinuousBernoulliModel
