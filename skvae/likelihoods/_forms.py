"""Preparation and link of columns as data: a kind and named arrays.

Each kind is written once, in names that NumPy and torch share, so that both compute the
same, and so does whatever else torch's functions take for a tensor: see `skvae.files`.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import scipy.special
import torch
from torch import Tensor
from torch.overrides import is_tensor_like

LARGEST = 1e15
"""Bound on standardized values, so that squares stay finite in float32."""

LARGEST_LOG = 700.0
"""Bound on logarithms of answers, so that they are finite."""

LARGEST_LOG_MEAN = 40.0
"""Bound on the logarithm of an expected count, so that losses stay finite."""

ROUNDING = 1e-14
"""Relative difference up to which a cell is the constant of its column."""

SMALL = 0.1
"""Below this, series in u are exact to rounding and quotients in u are not."""

LARGEST_LOG_STD = 10.0
"""Bound on the logarithm of learned noise; its negative is the least."""

LARGEST_LOG_FACTOR = 1.5
"""Bound on the logarithm of how far noise of a row is from that of its column."""

FARTHEST_SCORE = 40.0
"""Bound on normal scores: beyond it lies less than the smallest number."""

Array = Any
"""A NumPy array, a torch tensor, or what torch's functions take for one."""

Arrays = Mapping[str, Any]


NUMPY = SimpleNamespace(
    **vars(np)
    | {
        "column": lambda a, j: a[..., j],
        "double": lambda a: a.astype(np.float64, copy=False),
        "like": lambda a, b: np.asarray(a).astype(b.dtype),
        "log_softmax": scipy.special.log_softmax,
        "ndtr": scipy.special.ndtr,
        "select": lambda a, index: a.take(index, axis=-1),
        "sigmoid": scipy.special.expit,
        "softmax": scipy.special.softmax,
        "tensor_split": np.split,
    }
)
TORCH = SimpleNamespace(
    **vars(torch)
    | {
        "column": lambda a, j: a[..., j].contiguous(),
        "double": lambda a: a.double(),
        "like": lambda a, b: (a if is_tensor_like(a) else torch.as_tensor(a)).to(b),
        # In its tails torch.special.ndtr has few digits.
        "ndtr": lambda a: 0.5 * torch.special.erfc(-math.sqrt(0.5) * a),
        "select": lambda a, index: a.index_select(-1, index),
    }
)


def _as_array(value: Any) -> Any:
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else value


@dataclass(frozen=True)
class _Form:
    kind: str
    arrays: Arrays = field(default_factory=dict)

    def _given(self, x: Array) -> tuple[Any, Array, Arrays]:
        """Return the library of an array, the array, and the named arrays in it."""
        if is_tensor_like(x):
            return TORCH, x, self.arrays
        return NUMPY, x, {name: _as_array(a) for name, a in self.arrays.items()}


@dataclass(frozen=True)
class Preparation(_Form):
    """How cells become model units, and how these become what the encoder sees.

    Its methods take NumPy arrays or tensors, and return the same.

    Attributes
    ----------
    kind : str
        A key of `PREPARATIONS`.
    arrays : mapping of str to Tensor
        What the kind needs; of any kind `usual` (n_inputs,), what the encoder sees of
        missing cells, zero by default; and where columns and inputs are not the same,
        `column` (n_inputs,), the position of the column that each input shows.
    """

    def units(self, X: Array) -> Array:
        """Return rows of `X` (B, D) in model units (B, D); NaN stays NaN."""
        return PREPARATIONS[self.kind].units(*self._given(X))

    def fill(self, x: Array, observed: Array) -> Array:
        """Return rows in model units with a value of the domain in missing cells."""
        return PREPARATIONS[self.kind].fill(*self._given(x), observed)

    def inputs(self, x: Array, observed: Array | None = None) -> Array:
        """Return what the encoder sees of rows in model units, (B, n_inputs)."""
        inputs = PREPARATIONS[self.kind].inputs
        if observed is None:
            return inputs(*self._given(x))
        if "parts" in self.arrays:
            return inputs(*self._given(x), observed)
        h = self.inputs(self.fill(x, observed))
        xp, h, a = self._given(h)
        seen = xp.select(observed, a["column"]) if "column" in a else observed
        usual = xp.like(a["usual"], h) if "usual" in a else 0.0
        return xp.where(seen, h, usual)


@dataclass(frozen=True)
class Link(_Form):
    """How decoder outputs become the expected cells, in the units of `X`.

    These are means, or else the most likely codes, or median levels.

    Attributes
    ----------
    kind : str
        A key of `LINKS`.
    arrays : mapping of str to Tensor
        What the kind needs.
    """

    def cells(self, outputs: Array, mix: Callable[[Array], Array] | None = None) -> Any:
        """Return the expected cells, (..., D), at outputs (..., n_outputs).

        Parameters
        ----------
        outputs : ndarray or Tensor of shape (..., n_outputs)
        mix : callable, default=None
            Averages means, or masses, over draws of the outputs.
        """
        return LINKS[self.kind](*self._given(outputs), mix or _as_it_is)


# Preparations: f(library, rows, named arrays)


def _as_it_is(values: Array) -> Array:
    return values


def as_they_are(xp: Any, x: Array, a: Arrays) -> Array:
    """Return rows as they are."""
    return x


def _standardized(xp: Any, X: Array, a: Arrays) -> Array:
    x = (xp.double(X) / a["unit"] - a["loc"]) / a["scale"]
    return xp.clip(x, -LARGEST, LARGEST)


def _standardized_log(xp: Any, X: Array, a: Arrays) -> Array:
    return _standardized(xp, xp.log(xp.double(X)), a)


def _normal_scores(xp: Any, X: Array, a: Arrays) -> Array:
    known = [a[name] for name in ("values", "low", "middle", "high")]
    X = xp.double(X)
    columns = (xp.column(X, j) for j in range(X.shape[-1]))
    each = zip(columns, *known, strict=True)
    return xp.stack([_scores(xp, *column) for column in each], -1)


def _scores(xp: Any, X: Array, values: Array, low: Any, middle: Any, high: Any) -> Any:
    """Return the normal scores of the cells of a column.

    Of the values given they are the middle ones; between two values they rise from the
    high end of one to the low end of the next. Where these meet, the nearest counts.
    """
    last = xp.clip(xp.searchsorted(values, X), 1, len(values) - 1)
    run = values[last] - values[last - 1]
    way = xp.clip((X - values[last - 1]) / xp.where(run > 0.0, run, 1.0), 0.0, 1.0)
    rise = low[last] - high[last - 1]
    between = high[last - 1] + way * rise
    nearest = xp.where(way < 0.5, middle[last - 1], middle[last])
    is_end = (way == 0.0) | (way == 1.0) | (rise <= 0.0)
    return xp.where(is_end, nearest, between) + 0.0 * X


def _shared(xp: Any, x: Array, a: Arrays) -> Array:
    return x * xp.like(a["share"], x)


def _clipped(xp: Any, x: Array, a: Arrays) -> Array:
    return xp.clip(x, -a["bound"], a["bound"])


def _one_hot(xp: Any, x: Array, a: Arrays) -> Array:
    return xp.like(xp.select(x, a["column"]) == a["code"], x)


def _scaled(xp: Any, x: Array, a: Arrays) -> Array:
    return (x - xp.like(a["mean"], x)) / xp.like(a["std"], x)


def _scaled_log_counts(xp: Any, x: Array, a: Arrays) -> Array:
    total = None if a["size"] is None else row_totals(xp, x)
    return _scaled(xp, log_counts(xp, x, a["size"], total), a)


def log_counts(xp: Any, x: Array, size: Array | None, total: Array) -> Array:
    """Return log(1 + x), of rows scaled from their total to `size`, if given."""
    return xp.log1p(x if size is None else x * (xp.like(size, x) / total))


def row_totals(xp: Any, x: Array) -> Array:
    """Return the total of each row of counts, (B, 1), at least one."""
    return xp.clip(x.sum(-1)[..., None], 1.0, None)


def estimated_totals(xp: Any, x: Array, observed: Array, rate: Array) -> Array:
    """Return the total of each row of counts, (B, 1), from its observed cells.

    Missing cells are assumed to have had their average fraction of it.
    """
    total = xp.where(observed, x, 0.0).sum(-1)
    seen = (observed * xp.like(rate / rate.sum(), x)).sum(-1)
    # Without any missing cell the fractions sum to one but for rounding.
    seen = xp.where(observed.all(-1), 1.0, seen)
    return xp.clip(total / xp.clip(seen, 1e-6, None), 1.0, None)[..., None]


def expected_counts(xp: Any, x: Array, a: Arrays, observed: Array) -> Array:
    """Return counts that keep the total that the observed cells of a row imply."""
    total = estimated_totals(xp, x, observed, a["rate"])
    return xp.like(a["rate"], x) * (total / xp.like(a["size"], x))


def _zeros(xp: Any, x: Array, a: Arrays, observed: Array) -> Array:
    return xp.where(observed, x, 0.0)


def _filled_counts(xp: Any, x: Array, a: Arrays, observed: Array) -> Array:
    expected = 0.0 if a["size"] is None else expected_counts(xp, x, a, observed)
    return xp.where(observed, x, expected)


def _each(xp: Any, x: Array, a: Arrays, *others: Array) -> Iterator[Any]:
    """Yield the parts, each with its columns."""
    rows = (xp.select(values, a["columns"]) for values in (x, *others))
    split = [xp.tensor_split(values, a["ends"], -1) for values in rows]
    return zip(a["parts"], *split, strict=True)


def _columns_units(xp: Any, X: Array, a: Arrays) -> Array:
    units = [xp.double(part.units(cells)) for part, cells in _each(xp, X, a)]
    return xp.select(xp.concatenate(units, -1), a["order"])


def _columns_inputs(xp: Any, x: Array, a: Arrays, *observed: Array) -> Array:
    each = _each(xp, x, a, *observed)
    return xp.concatenate([part.inputs(*cells) for part, *cells in each], -1)


def _columns_filled(xp: Any, x: Array, a: Arrays, observed: Array) -> Array:
    filled = [part.fill(*cells) for part, *cells in _each(xp, x, a, observed)]
    return xp.select(xp.concatenate(filled, -1), a["order"])


def _apart_units(xp: Any, X: Array, a: Arrays) -> Array:
    """Return cells of constant columns as 0, or 1 where they have changed."""
    X = xp.double(X)
    differs = xp.abs(X - a["value"]) > ROUNDING * xp.abs(a["value"])
    changed = differs & (X != a["rounded"])
    # NaN stays NaN.
    changed = xp.like(changed, X) + 0.0 * X
    return xp.where(a["varies"], a["others"].units(X), changed)


def _apart_inputs(xp: Any, x: Array, a: Arrays) -> Array:
    return xp.where(a["varies"], a["others"].inputs(x), 0.0)


class _Steps(NamedTuple):
    """Functions of one kind of preparation."""

    units: Callable[..., Array] = as_they_are
    inputs: Callable[..., Array] = as_they_are
    fill: Callable[..., Array] = _zeros

    @property
    def shows_rows(self) -> bool:
        """Whether the encoder sees complete rows in model units as they are."""
        return self.inputs is as_they_are


PREPARATIONS = {
    "none": _Steps(),
    "standard": _Steps(_standardized),
    "standard_shared": _Steps(_standardized, _shared),
    "standard_clipped": _Steps(_standardized, _clipped),
    "standard_log": _Steps(_standardized_log),
    "normal_scores": _Steps(_normal_scores),
    "one_hot": _Steps(inputs=_one_hot),
    "levels": _Steps(inputs=_scaled),
    "log_counts": _Steps(inputs=_scaled_log_counts, fill=_filled_counts),
    "apart": _Steps(_apart_units, _apart_inputs),
    "columns": _Steps(_columns_units, _columns_inputs, _columns_filled),
}


# Links: f(library, outputs, named arrays, mix), where `mix` averages over draws of the
# outputs what may be averaged: means, or masses

Mix = Callable[[Array], Array]


def affine(xp: Any, outputs: Array, a: Arrays) -> Array:
    """Return (loc + scale * outputs) * unit, float64."""
    # Outputs beyond those of the columns are of the noise.
    outputs = outputs[..., : len(a["log_std"])] if "log_std" in a else outputs
    return (a["loc"] + a["scale"] * xp.double(outputs)) * a["unit"]


def log_noise(xp: Any, outputs: Array | None, a: Arrays) -> Array:
    """Return the logarithm of learned noise, (1,) or (D,), or (..., D) at outputs.

    Of a row it is the column's, plus outputs within bounds.
    """
    learned = a["log_std"]
    if outputs is not None:
        factor = LARGEST_LOG_FACTOR * xp.tanh(outputs / LARGEST_LOG_FACTOR)
        learned = xp.like(learned, outputs) + factor
    learned = xp.clip(learned, -LARGEST_LOG_STD, LARGEST_LOG_STD)
    return 0.5 * xp.logaddexp(2.0 * learned, xp.like(a["log_floor"], learned))


def _std(xp: Any, outputs: Array, a: Arrays) -> Array:
    """Return the noise, (D,) or (..., D), in the units of the link, float64."""
    if "log_std" not in a:
        return a["std"]
    of_noise = xp.double(outputs[..., len(a["log_std"]) :])
    return xp.exp(log_noise(xp, of_noise, a)) * a["std"]


def _affine(xp: Any, outputs: Array, a: Arrays, mix: Mix) -> Array:
    return mix(affine(xp, outputs, a))


def _breakpoints(xp: Any, a: Arrays) -> Iterator[tuple[Array, Array]]:
    """Yield each column's scores, sorted, between which cells rise linearly; and these.

    Where scores are equal, cells jump.
    """
    each = (xp.tensor_split(a[name], a["ends"]) for name in ("scores", "cells"))
    return zip(*each, strict=True)


def cells_of_scores(xp: Any, scores: Array, a: Arrays) -> Array:
    """Return the cells (..., D) that have normal scores, in the units of `X`."""
    found = []
    for j, (known, cells) in enumerate(_breakpoints(xp, a)):
        at, last = xp.column(scores, j), len(known) - 1
        above = xp.clip(xp.searchsorted(known, at), 1, last)
        rise = known[above] - known[above - 1]
        way = (at - known[above - 1]) / xp.where(rise > 0.0, rise, 1.0)
        run = cells[above] - cells[above - 1]
        found.append(cells[above - 1] + run * xp.clip(way, 0.0, 1.0))
    return xp.stack(found, -1)


def _mean_of_scores(xp: Any, outputs: Array, a: Arrays, mix: Mix) -> Array:
    """Return means of cells whose scores are normal around outputs.

    Cells are piecewise linear in scores: between two of them, c + d s has the mean
    (c + d m) P + d v (p - q), with mean m and variance v of s, its probability P of
    lying between them, and its density p and q at the ends.
    """
    noise, means = _std(xp, outputs, a), []
    for j, (known, cells) in enumerate(_breakpoints(xp, a)):
        location, std = xp.double(outputs)[..., j, None], noise[..., j, None]
        ends = (known - location) / std
        low, high = ends[..., :-1], ends[..., 1:]
        # In the tail where both lie: differences of numbers near one would round.
        side = xp.where(low > 0.0, -1.0, 1.0)
        mass = side * (xp.ndtr(side * high) - xp.ndtr(side * low))
        density = xp.exp(-0.5 * xp.square(ends)) / math.sqrt(2.0 * math.pi)
        rise, run = (v[1:] - v[:-1] for v in (known, cells))
        slope = run / xp.where(rise > 0.0, rise, 1.0)
        at_mean = cells[:-1] + slope * (location - known[:-1])
        tilt = std * slope * (density[..., :-1] - density[..., 1:])
        means.append((at_mean * mass + tilt).sum(-1))
    return mix(xp.stack(means, -1))


def _log_normal(xp: Any, outputs: Array, a: Arrays, mix: Mix) -> Array:
    log_mean = affine(xp, outputs, a) + 0.5 * xp.square(_std(xp, outputs, a))
    return mix(xp.exp(xp.clip(log_mean, -LARGEST_LOG, LARGEST_LOG)))


def _sigmoid(xp: Any, outputs: Array, a: Arrays, mix: Mix) -> Array:
    return mix(xp.sigmoid(outputs))


def _continuous_bernoulli(xp: Any, outputs: Array, a: Arrays, mix: Mix) -> Array:
    return mix(0.5 + 0.5 * _langevin(xp, 0.5 * outputs))


def _langevin(xp: Any, u: Array) -> Array:
    """Return coth(u) - 1 / u."""
    small = xp.clip(u, -SMALL, SMALL)
    squares = xp.square(small)
    series = 1 / 3 - squares / 45 + 2 * squares**2 / 945 - squares**3 / 4725
    large = xp.where(xp.abs(u) < SMALL, SMALL, u)
    quotient = 1.0 / xp.tanh(large) - 1.0 / large
    return xp.where(xp.abs(u) < SMALL, small * series, quotient)


def log_mean_counts(xp: Any, outputs: Array, size: Array | None) -> Array:
    """Return logarithms of expected counts, of rows of a total `size` if given."""
    if size is not None:
        outputs = xp.log_softmax(outputs, -1) + xp.log(xp.like(size, outputs))
    return xp.clip(outputs, -LARGEST_LOG_MEAN, LARGEST_LOG_MEAN)


def _counts(xp: Any, outputs: Array, a: Arrays, mix: Mix) -> Array:
    return mix(xp.exp(log_mean_counts(xp, outputs, a["size"])))


def _inflated_counts(xp: Any, outputs: Array, a: Arrays, mix: Mix) -> Array:
    counts, log_odds = xp.tensor_split(outputs, 2, -1)
    mean = xp.exp(log_mean_counts(xp, counts, a["size"]))
    return mix(xp.sigmoid(-log_odds) * mean)


def _categories(xp: Any, outputs: Array, a: Arrays, mix: Mix) -> Array:
    position = a["position"]
    if math.prod(position.shape) == outputs.shape[-1]:
        logits = outputs.reshape(*outputs.shape[:-1], *position.shape)
    else:
        logits = xp.where(a["is_padding"], -xp.inf, outputs[..., position])
    masses = mix(xp.softmax(logits, -1))
    return xp.like(xp.argmax(masses, -1), masses)


def _levels(xp: Any, outputs: Array, a: Arrays, mix: Mix) -> Array:
    """Return the first levels that, with those below, have half of the mass."""
    cumulated = mix(xp.sigmoid(a["cuts"] - outputs[..., None]))
    return xp.like((cumulated < 0.5).sum(-1), cumulated)


def _apart(xp: Any, outputs: Array, a: Arrays, mix: Mix) -> Array:
    return xp.where(a["varies"], a["others"].cells(outputs, mix), a["value"])


def _columns(xp: Any, outputs: Array, a: Arrays, mix: Mix) -> Array:
    parts = zip(a["parts"], xp.tensor_split(outputs, a["ends"], -1), strict=True)
    cells = [xp.double(part.cells(values, mix)) for part, values in parts]
    return xp.select(xp.concatenate(cells, -1), a["order"])


LINKS: dict[str, Callable[[Any, Array, Arrays, Mix], Array]] = {
    "affine": _affine,
    "log_normal": _log_normal,
    "normal_scores": _mean_of_scores,
    "sigmoid": _sigmoid,
    "continuous_bernoulli": _continuous_bernoulli,
    "counts": _counts,
    "inflated_counts": _inflated_counts,
    "categories": _categories,
    "levels": _levels,
    "apart": _apart,
    "columns": _columns,
}
