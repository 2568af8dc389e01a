"""Numbers in few bits."""

from collections.abc import Callable
from typing import Any

import numpy as np

from skvae.explorer._pack import Pack

MISSING = 255
"""Code of a missing number."""

MOST_LEVELS = 255
"""Numbers that a code of 8 bits can stand for, beside a missing one."""

MOST_LISTED = 256
"""With more columns, levels are not listed for each, which would take more bytes."""

STEPS = 65535
"""Steps of a component of z, in 16 bits."""


def add_levels(
    pack: Pack, values: np.ndarray, *, are_listed: bool = True
) -> dict[str, Any]:
    """Put numbers into a pack as codes of 8 bits; return where, and what codes mean.

    At most `MOST_LEVELS` different numbers are exact. Of more, half of the levels are
    at even distances between the least and the largest, which bounds the error, and
    half at quantiles, where most of the numbers are. Levels that are not listed are all
    at even distances.

    Parameters
    ----------
    pack : Pack
    values : ndarray of shape (n_rows,)
        NaN is missing.
    are_listed : bool, default=True
    """
    levels_of = _levels if are_listed else _even_levels
    codes, levels = coded(values, levels_of)
    if are_listed:
        return {"codes": pack.add(codes), "levels": pack.add(levels)}
    ends = {"low": float(levels[0]), "high": float(levels[-1]), "n": len(levels)}
    return {"codes": pack.add(codes), **ends}


def coded(
    values: np.ndarray, levels_of: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return codes of numbers, uint8, and the sorted numbers that these stand for."""
    observed = np.isfinite(values)
    codes = np.full(len(values), MISSING, dtype=np.uint8)
    known = values[observed].astype(np.float64)
    if not len(known):
        return codes, np.zeros(1)
    levels = levels_of(known)
    middles = 0.5 * levels[:-1] + 0.5 * levels[1:]
    codes[observed] = np.searchsorted(middles, known)
    return codes, levels


def _levels(known: np.ndarray) -> np.ndarray:
    different = np.unique(known)
    if len(different) <= MOST_LEVELS:
        return different
    even = np.linspace(different[0], different[-1], MOST_LEVELS // 2)
    usual = np.quantile(known, np.linspace(0.0, 1.0, MOST_LEVELS - len(even)))
    return np.unique(np.concatenate((even, usual)))


def _even_levels(known: np.ndarray) -> np.ndarray:
    low, high = known.min(), known.max()
    is_whole = high - low < MOST_LEVELS and np.array_equal(known, np.rint(known))
    return np.linspace(low, high, int(high - low) + 1 if is_whole else MOST_LEVELS)


def add_steps(pack: Pack, Z: np.ndarray) -> dict[str, Any]:
    """Put points (n, K) into a pack, in 16 bits between each component's ends."""
    low, high = Z.min(axis=0), Z.max(axis=0)
    run = np.where(high > low, high - low, 1.0)
    codes = np.rint((Z - low) / run * STEPS).astype(np.uint16)
    return {"codes": pack.add(codes.T), "low": low.tolist(), "high": high.tolist()}
