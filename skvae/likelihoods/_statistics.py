"""Statistics of the observed cells of each column, in float64 and in chunks."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from skvae._batches import Rows, column_ranges

__all__ = [
    "Standard",
    "as_they_are",
    "column_means",
    "column_ranges",
    "resolution",
    "rounding_noise",
    "standardization",
]

N_ROWS_FOR_GAPS, N_VALUES_FOR_GAPS = 4096, 1 << 22
"""Most rows, and values, in which the resolution of columns is looked for."""

Function = Callable[[np.ndarray], np.ndarray]


class Standard(NamedTuple):
    """Columns as (loc + scale * x) * unit, each of shape (D,)."""

    unit: np.ndarray
    loc: np.ndarray
    scale: np.ndarray


def as_they_are(X: np.ndarray) -> np.ndarray:
    """Return `X`."""
    return X


def column_means(rows: Rows, function: Function) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of function(X) over observed cells, and their total weight.

    Both have a value for each column of function(X), in which NaN is a missing cell;
    without any observed cell they are zero.
    """
    sums: np.ndarray | float = 0.0
    totals: np.ndarray | float = 0.0
    for X, weights in rows.chunks():
        values = function(X)
        observed = ~np.isnan(values)
        sums = sums + weights @ np.where(observed, values, 0.0)
        totals = totals + weights @ observed
    totals = np.asarray(totals)
    return sums / np.where(totals > 0.0, totals, 1.0), totals


def _first_and_largest(
    rows: Rows, transform: Function
) -> tuple[np.ndarray, np.ndarray]:
    """Return the first observed cell of each column, and the largest magnitude."""
    first = np.full(rows.n_features, np.nan)
    largest = np.zeros(rows.n_features)
    for X, _ in rows.chunks():
        values = transform(X)
        position = (~np.isnan(values)).argmax(axis=0)
        candidate = values[position, np.arange(len(first))]
        first = np.where(np.isnan(first), candidate, first)
        np.fmax(largest, np.fmax.reduce(np.abs(values), axis=0), out=largest)
    return np.nan_to_num(first), largest


def standardization(rows: Rows, transform: Function = as_they_are) -> Standard:
    """Return magnitude, mean and standard deviation of transform(X).

    Constant columns have magnitude and scale one; so have those without any observed
    cell, around zero.
    """
    # Dividing by the largest magnitude first keeps columns of any finite size away
    # from overflow.
    first, unit = _first_and_largest(rows, transform)
    unit[unit == 0.0] = 1.0
    # Deviations from a row, not from zero: exact zeros for constant columns, and no
    # cancellation for columns with a large offset.
    first = first / unit
    shift, _ = column_means(rows, lambda X: transform(X) / unit - first)
    variance, _ = column_means(
        rows, lambda X: (transform(X) / unit - first - shift) ** 2
    )
    return Standard(unit, first + shift, np.sqrt(variance))


def resolution(rows: Rows, prepare: Function) -> np.ndarray:
    """Return the least gap between distinct values of each prepared column, (D,).

    Of some of the rows; zero where a column does not vary in them.
    """
    n_rows = max(2, min(N_ROWS_FOR_GAPS, N_VALUES_FOR_GAPS // rows.n_features))
    values = np.sort(prepare(rows.X[rows.index[:n_rows]]), axis=0)
    gaps = np.diff(values, axis=0)
    least = np.where(gaps > 0.0, gaps, np.inf).min(axis=0, initial=np.inf)
    return np.where(np.isfinite(least), least, 0.0)


def rounding_noise(gaps: np.ndarray) -> np.ndarray:
    """Return the standard deviation of a uniform distribution as wide as each gap."""
    return gaps / math.sqrt(12.0)
