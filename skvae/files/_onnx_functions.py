"""Special functions that ONNX lacks, made of operators that it has, in float64."""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import scipy.special
import torch

Array = Any

DEGREE, MIDDLE = 20, 3.0
"""Of the polynomial for erfc, and the argument at the middle of its range."""

SHIFT = 8
"""By how much log Gamma's argument is raised to where Stirling's series is exact."""

STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)
"""Coefficients of the odd powers of 1 / z (Abramowitz & Stegun 6.1.41)."""

FAR = 1e8
"""Arguments beyond which scaled functions do not change any more."""


def _log1p(x: Array) -> Array:
    """Return log(1 + x), exact for small x (Goldberg 1991, theorem 4)."""
    u = 1.0 + x
    is_one = u == 1.0
    return torch.where(is_one, x, torch.log(u) * x / torch.where(is_one, 1.0, u - 1.0))


def _expm1(x: Array) -> Array:
    """Return exp(x) - 1: for small x as `_log1p` is made, with exp(x) for 1 + x."""
    is_small = torch.abs(x) < 1.0
    small = torch.where(is_small, x, 0.5)
    u = torch.exp(small)
    is_one = u == 1.0
    near = torch.where(
        is_one, small, (u - 1.0) * small / torch.where(is_one, 1.0, torch.log(u))
    )
    return torch.where(is_small, near, torch.exp(x) - 1.0)


@cache
def _erfcx_polynomial() -> tuple[float, ...]:
    """Return the coefficients of (1 + 2x) exp(x^2) erfc(x) as powers of the way to x.

    The way is (x - m) / (x + m), from -1 at zero to 1 at infinity, as in Shepherd &
    Laframboise (1981), Mathematics of Computation 36. Interpolated at Chebyshev points.
    """

    def function(way: np.ndarray) -> np.ndarray:
        x = MIDDLE * (1.0 + way) / (1.0 - way)
        return (1.0 + 2.0 * x) * scipy.special.erfcx(x)

    series = np.polynomial.Chebyshev.interpolate(function, DEGREE)
    return tuple(series.convert(kind=np.polynomial.Polynomial).coef.tolist())


def _erfcx(x: Array) -> Array:
    """Return exp(x^2) erfc(x) of x >= 0, with a relative error of about 1e-14."""
    x = torch.where(x > FAR, FAR, x)
    way = (x - MIDDLE) / (x + MIDDLE)
    *lower, total = _erfcx_polynomial()
    for coefficient in reversed(lower):
        total = total * way + coefficient
    return total / (1.0 + 2.0 * x)


def _erfc(x: Array) -> Array:
    tail = torch.exp(-(x * x)) * _erfcx(torch.abs(x))
    return torch.where(x < 0.0, 2.0 - tail, tail)


def _log_ndtr(x: Array) -> Array:
    """Return the logarithm of the normal distribution function."""
    size = math.sqrt(0.5) * torch.abs(x)
    log_tail = torch.log(0.5 * _erfcx(size)) - 0.5 * x * x
    rest = torch.log1p(-0.5 * _erfc(size))
    return torch.where(x < 0.0, log_tail, rest)


def _lgamma(z: Array) -> Array:
    """Return log Gamma(z) of z > 0, with an error of about 1e-14 up to z = 30.

    By Gamma(z) = Gamma(z + n) / (z (z + 1) ... (z + n - 1)) and Stirling's series.
    """
    shifted, product = z + SHIFT, z
    for i in range(1, SHIFT):
        product = product * (z + i)
    inverse = 1.0 / shifted
    squares, series = inverse * inverse, 0.0
    for coefficient in reversed(STIRLING):
        series = series * squares + coefficient
    log = torch.log(shifted)
    leading = (shifted - 0.5) * log - shifted + 0.5 * math.log(2.0 * math.pi)
    return leading + series * inverse - torch.log(product)


def _addcmul(a: Array, b: Array, c: Array, *, value: float = 1.0) -> Array:
    return a + value * b * c


def _logaddexp(a: Array, b: Array) -> Array:
    difference = torch.abs(a - b)
    return torch.maximum(a, b) + torch.log1p(torch.exp(-difference))


def _logsumexp(a: Array, dim: int, keepdim: bool = False) -> Array:
    # Finite, so that differences of infinite numbers are not computed.
    largest = torch.clamp(torch.amax(a, dim, True), -np.finfo(float).max, None)
    total = torch.log(torch.exp(a - largest).sum(dim, True)) + largest
    return total if keepdim else torch.squeeze(total, dim)


def _log_sigmoid(a: Array) -> Array:
    return torch.clamp(a, max=0.0) - torch.log1p(torch.exp(-torch.abs(a)))


def _softplus(a: Array, beta: float = 1.0, threshold: float = 20.0) -> Array:
    a = a * beta
    soft = torch.clamp(a, 0.0) + torch.log1p(torch.exp(-torch.abs(a)))
    return torch.where(a > threshold, a, soft) / beta


def _cross_entropy(
    outputs: Array, target: Array, *args: Any, reduction: str = "mean", **options: Any
) -> Array:
    if reduction != "none" or any(value is not None for value in options.values()):
        raise NotImplementedError("a cross-entropy with options has none")
    zero = torch.clamp(outputs, 0.0) - outputs * target
    return zero + torch.log1p(torch.exp(-torch.abs(outputs)))


def _gelu(a: Array, approximate: str = "none") -> Array:
    if approximate != "none":
        raise NotImplementedError(f"gelu(approximate={approximate!r}) has none")
    return 0.5 * a * torch.erfc(-math.sqrt(0.5) * a)


def _leaky_relu(a: Array, negative_slope: float = 0.01) -> Array:
    return torch.where(a > 0.0, a, negative_slope * a)


def _elu(a: Array, alpha: float = 1.0) -> Array:
    return torch.where(a > 0.0, a, alpha * torch.expm1(torch.clamp(a, max=0.0)))


def _searchsorted(values: Any, x: Array, *, right: bool = False) -> Array:
    """Return how many sorted values lie below each number, of the same row or of all.

    NaN, which has no place, gets zero.
    """
    values, x = values[..., None, :], x[..., None]
    return (values <= x if right else values < x).sum(-1)


FUNCTIONS: dict[str, Callable] = {
    "log1p": _log1p,
    "expm1": _expm1,
    "erfc": _erfc,
    "erf": lambda a: 1.0 - torch.erfc(a),
    "ndtr": lambda a: 0.5 * torch.erfc(-math.sqrt(0.5) * a),
    "log_ndtr": _log_ndtr,
    "lgamma": _lgamma,
    "gammaln": _lgamma,
    "addcmul": _addcmul,
    "logaddexp": _logaddexp,
    "logsumexp": _logsumexp,
    "log_sigmoid": _log_sigmoid,
    "expit": torch.sigmoid,
    "softplus": _softplus,
    "binary_cross_entropy_with_logits": _cross_entropy,
    "gelu": _gelu,
    # Not as a product, which older runtimes replace by one that they lack in float64.
    "silu": lambda a: a / (1.0 + torch.exp(-a)),
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "searchsorted": _searchsorted,
}
