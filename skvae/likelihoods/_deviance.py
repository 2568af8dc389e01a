r"""Log-masses of counts of any size, in forms in which nothing large cancels.

.. math:: \log p(x \mid \mu) = \log p(x \mid \mu = x) - d(x, \mu)

The first term is a logarithm of about the standard deviation, by Stirling's series. The
second, half the deviance, is written in :math:`\log \mu - \log x` (Loader 2000, "Fast
and accurate computation of binomial probabilities"). Derivatives are written out, since
automatic ones cancel again, and take longer.
"""

import math
from functools import cache
from typing import Any

import torch
from torch import Tensor

LARGE = 20
"""From here on Stirling's series is exact to rounding."""

HALF_LOG_2_PI = 0.5 * math.log(2.0 * math.pi)


def _stirling(z: Tensor) -> Tensor:
    """Return Stirling's series for log Gamma beyond its leading terms."""
    inverse = z.reciprocal()
    squares = inverse.square()
    series = squares.mul(1 / 1260).sub_(1 / 360)
    return series.mul_(squares).add_(1 / 12).mul_(inverse)


@cache
def _corrections(dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return what Stirling's formula lacks of log(x!) at x = 0, ..., LARGE."""
    with torch.inference_mode(False):
        x = torch.arange(LARGE + 1.0, dtype=torch.float64, device=device)
        y = x.clamp_min(1.0)
        exact = torch.lgamma(x + 1.0) - x * y.log() + x
        table = exact - 0.5 * y.log() - _stirling(y)
        table[-1] = HALF_LOG_2_PI
        return table.to(dtype)


def log_counts(x: Tensor) -> Tensor:
    """Return logarithms of counts, and zero for zero."""
    return x.clamp_min(1.0).log_()


def log_factorial_excess(x: Tensor, log_x: Tensor) -> Tensor:
    """Return log(x!) - x log(x) + x of counts, given their logarithms."""
    k = x.clamp_max(LARGE).int().flatten()
    lacking = _corrections(x.dtype, x.device).index_select(0, k).view_as(x)
    return _stirling(x.clamp_min(1.0)).add_(log_x, alpha=0.5).add_(lacking)


class _LogGammaExcess(torch.autograd.Function):
    """log Gamma(z) - z log(z) + z, of z > 0."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        ctx.save_for_backward(z)
        log = z.log()
        small = torch.lgamma(z).addcmul_(z, log, value=-1.0).add_(z)
        large = _stirling(z).add_(log, alpha=-0.5).add_(HALF_LOG_2_PI)
        return torch.where(z < LARGE, small, large)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (z,) = ctx.saved_tensors
        inverse = z.reciprocal()
        squares = inverse.square()
        series = squares.mul(-1 / 252).add_(1 / 120).mul_(squares).sub_(1 / 12)
        large = series.mul_(inverse).sub_(0.5).mul_(inverse)
        small = torch.digamma(z).sub_(z.log())
        return torch.where(z < LARGE, small, large).mul_(gradient)


def poisson_deviance_and_residual(
    log_mean: Tensor, x: Tensor, log_x: Tensor
) -> tuple[Tensor, Tensor]:
    r"""Return half the deviance of Poisson counts, and its derivative, the residual.

    With :math:`t = \log \mu - \log x` they are :math:`x (e^t - 1 - t)` and
    :math:`\mu - x = x (e^t - 1)`.
    """
    # Zero has no logarithm; one in its place is taken away again.
    y, t = x.clamp_min(1.0), log_mean - log_x
    residual = torch.expm1(t).mul_(y).add_(y - x)
    return residual - t.mul_(x), residual


class _PoissonDeviance(torch.autograd.Function):
    """Half the deviance of Poisson counts."""

    @staticmethod
    def forward(ctx: Any, log_mean: Tensor, x: Tensor, log_x: Tensor) -> Tensor:
        deviance, residual = poisson_deviance_and_residual(log_mean, x, log_x)
        ctx.save_for_backward(residual)
        return deviance

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (residual,) = ctx.saved_tensors
        return gradient * residual, None, None


class _NegativeBinomialDeviance(torch.autograd.Function):
    r"""Half the deviance of negative binomial counts.

    With :math:`n = x + \theta` and :math:`t = \log \mu - \log x` it is

    .. math:: n \log(1 + (e^t - 1) x / n) - x t
        = n \log(1 + (e^{-t} - 1) \theta / n) + \theta t

    of which the form with the smaller of x and theta has no large terms. In float32,
    t must be below 88, which `LARGEST_LOG_MEAN` sees to.
    """

    @staticmethod
    def forward(
        ctx: Any, log_mean: Tensor, theta: Tensor, x: Tensor, log_x: Tensor
    ) -> Tensor:
        n, y, by_x = x + theta, x.clamp_min(1.0), x <= theta
        sign = by_x.to(x.dtype).mul_(2.0).sub_(1.0)
        t = (log_mean - log_x).mul_(sign)
        # As in Poisson deviances, one is taken away again where x is zero.
        u = torch.expm1(t).mul_(torch.where(by_x, y, theta) / n).add_((y - x) / n)
        log = torch.log1p(u)
        ctx.save_for_backward(theta, x, sign, t, u, log)
        return log.mul(n).sub_(t * torch.minimum(x, theta))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        theta, x, sign, t, u, log = ctx.saved_tensors
        by_log_mean = (torch.maximum(x, theta) * sign).mul(u / (1.0 + u))
        by_theta = torch.where(sign > 0.0, log, log - t).sub_(by_log_mean / theta)
        by_theta = by_theta.mul_(gradient).sum_to_size(theta.shape)
        return by_log_mean.mul_(gradient), by_theta, None, None


log_gamma_excess = _LogGammaExcess.apply
poisson_deviance = _PoissonDeviance.apply
negative_binomial_deviance = _NegativeBinomialDeviance.apply
