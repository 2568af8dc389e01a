"""Statistics of the observed cells of each column, in float64 and in chunks."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from skvae.table import Cells, Rows, row_slices

MOST_LEVELS = 256
"""Values of columns that may have a common scale: those of an 8-bit pixel."""

N_ROWS_FOR_GAPS, N_VALUES_FOR_GAPS = 4096, 1 << 22
"""Most rows, and values, in which the resolution of columns is looked for."""

Function = Callable[[np.ndarray], np.ndarray]


class Moments(NamedTuple):
    """Total weight, mean and sum of squared deviations of columns, each (D,)."""

    weight: np.ndarray
    mean: np.ndarray
    squares: np.ndarray

    def variance(self) -> np.ndarray:
        """Return the variances; zero without any observed cell."""
        return self.squares / _not_zero(self.weight)


def _not_zero(values: np.ndarray) -> np.ndarray:
    return np.where(values == 0.0, 1.0, values)


def _sums(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return sums of observed values and of their weights, (2, D)."""
    observed = ~np.isnan(values)
    return np.stack((weights @ np.where(observed, values, 0.0), weights @ observed))


def _moments(values: np.ndarray, weights: np.ndarray) -> Moments:
    """Return the moments of observed values of a chunk."""
    total, weight = _sums(values, weights)
    mean = total / _not_zero(weight)
    squares, _ = _sums((values - mean) ** 2, weights)
    return Moments(weight, mean, squares)


def _merged(a: Moments, b: Moments) -> Moments:
    """Return the moments of two chunks (Chan, Golub & LeVeque 1979, equation 2.1)."""
    weight = a.weight + b.weight
    fraction = b.weight / _not_zero(weight)
    change = b.mean - a.mean
    squares = a.squares + b.squares + change**2 * a.weight * fraction
    return Moments(weight, a.mean + change * fraction, squares)


def column_means(rows: Rows, function: Function = np.asarray) -> np.ndarray:
    """Return the mean of function(X) over observed cells, and their weight, (2, D).

    D columns of function(X), in which NaN is a missing cell; without any observed cell
    both are zero.
    """
    total, weight = rows.reduce(lambda X, weights: _sums(function(X), weights))
    return np.stack((total / _not_zero(weight), weight))


def column_moments(rows: Rows, function: Function) -> Moments:
    """Return the moments of the observed cells of function(X)."""
    return rows.reduce(lambda X, weights: _moments(function(X), weights), _merged)


class _Scaled(NamedTuple):
    """Moments of columns over a magnitude, that of the largest cell, (D,)."""

    unit: np.ndarray
    moments: Moments

    def over(self, unit: np.ndarray) -> Moments:
        """Return the moments over another magnitude, which is no smaller."""
        weight, mean, squares = self.moments
        ratio = self.unit / _not_zero(unit)
        return Moments(weight, mean * ratio, squares * ratio**2)

    @classmethod
    def of(cls, values: np.ndarray, weights: np.ndarray) -> "_Scaled":
        """Return the moments of a chunk."""
        unit = np.nan_to_num(np.fmax.reduce(np.abs(values), axis=0))
        # Dividing by the largest magnitude first keeps columns of any finite size away
        # from overflow.
        divisor = _not_zero(unit)
        position = (~np.isnan(values)).argmax(axis=0)
        first = np.nan_to_num(values[position, np.arange(len(unit))]) / divisor
        # Deviations from a row, not from zero: exact zeros for constant columns, and no
        # cancellation for columns with a large offset.
        moments = _moments(values / divisor - first, weights)
        return cls(unit, moments._replace(mean=first + moments.mean))

    def merged(self, other: "_Scaled") -> "_Scaled":
        """Return the moments of two chunks."""
        unit = np.maximum(self.unit, other.unit)
        return _Scaled(unit, _merged(self.over(unit), other.over(unit)))


def standardization(rows: Rows, transform: Function) -> tuple[np.ndarray, ...]:
    """Return (unit, loc, scale, weight) of transform(X) = (loc + scale * x) * unit.

    Each (D,): magnitude, mean and standard deviation over it, and weight of the
    observed cells. Constant columns have scale zero; those without any observed cell
    have magnitude one, and mean zero, too.
    """
    unit, moments = rows.reduce(
        lambda X, weights: _Scaled.of(transform(X), weights), _Scaled.merged
    )
    scale = np.sqrt(moments.variance())
    return _not_zero(unit), moments.mean, scale, moments.weight


def rounding_noise(rows: Rows, prepare: Function) -> np.ndarray:
    """Return the noise of rounding of each prepared column, (D,).

    The standard deviation of a uniform distribution as wide as the least gap between
    distinct values of some of the rows; zero where a column does not vary in them.
    """
    n_rows = max(2, min(N_ROWS_FOR_GAPS, N_VALUES_FOR_GAPS // rows.n_features))
    some = rows.take(np.arange(min(n_rows, len(rows))))
    values = some.reduce(lambda X, _: prepare(X), lambda a, b: np.concatenate((a, b)))
    gaps = np.diff(np.sort(values, axis=0), axis=0)
    least = np.where(gaps > 0.0, gaps, np.inf).min(axis=0, initial=np.inf)
    return np.where(np.isfinite(least), least, 0.0) / math.sqrt(12.0)


def have_common_scale(X: Cells | np.ndarray) -> bool:
    """Return whether columns are measured on one scale of few values, as pixels are.

    Their values are the same `MOST_LEVELS` numbers or fewer, and most of the columns
    that vary, at least two, take both the least and the greatest of these.

    Parameters
    ----------
    X : Cells or ndarray of shape (n_samples, n_features)
        NaN is a missing cell.
    """
    parts = list(row_slices(*X.shape))
    low = np.fmin.reduce([np.fmin.reduce(X[part]) for part in parts])
    high = np.fmax.reduce([np.fmax.reduce(X[part]) for part in parts])
    varies = low < high
    spans = varies & (low == np.fmin.reduce(low)) & (high == np.fmax.reduce(high))
    if np.sum(spans) <= max(1, 0.5 * np.sum(varies)):
        return False
    levels: np.ndarray = np.empty(0)
    for part in parts:
        levels = np.union1d(levels, X[part])
        if np.count_nonzero(~np.isnan(levels)) > MOST_LEVELS:
            return False
    return True


def bisect(
    function: Callable, target: Tensor, low: float, high: float, n_steps: int
) -> tuple[Tensor, Tensor]:
    """Return bounds on the arguments at which increasing functions reach their targets.

    Parameters
    ----------
    function : callable
        (D,) → (D,), a function of each argument.
    target : Tensor of shape (D,)
    low, high : float
        First bounds.
    n_steps : int
        How often the interval is halved.
    """
    below, above = torch.full_like(target, low), torch.full_like(target, high)
    for _ in range(n_steps):
        middle = 0.5 * (below + above)
        is_below = function(middle) < target
        below = torch.where(is_below, middle, below)
        above = torch.where(is_below, above, middle)
    return below, above
