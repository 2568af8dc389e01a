"""Real-valued columns of any distribution, by ranks."""

import math
from typing import Any

import numpy as np
import torch
from scipy.special import ndtri
from torch import Tensor

from skvae.likelihoods._contract import Likelihood, LikelihoodModel, Where
from skvae.likelihoods._draws import normal
from skvae.likelihoods._forms import FARTHEST_SCORE, TORCH, cells_of_scores
from skvae.likelihoods._gaussian import GaussianModel
from skvae.likelihoods._linearization import Linearization
from skvae.likelihoods._noise import NOISE_OF_ROWS
from skvae.likelihoods._statistics import bisect
from skvae.table import Rows

MOST_KNOTS, LEAST_KNOTS, KNOTS_PER_ROOT = 256, 8, 4.0
"""Values of a column at which its distribution is known: their number grows with the
cube root of the number of values, as that of the bins of a histogram should."""

MOST_LEVELS = 256
"""Most values of a column that are all atoms."""

N_ROWS, N_CENTER = 1 << 17, 1 << 9
"""Most rows from which distributions, and their centers, are learned."""

LEAST_TIES, LEAST_FRACTION = 5, 0.02
"""An atom is so much more frequent than other values are in the mean, and has so great
a fraction of all cells; levels have so many cells in the mean."""

SIZE = MOST_KNOTS + MOST_LEVELS + 4
"""Values of a column that are kept: quantiles, atoms, both ends and the farthest."""

MOST_PLACES = 6
"""Decimal places that a column may have for its draws to be rounded to."""

TAIL = 0.1
"""Fraction of the cells by which a tail is as steep as between its ends."""

ROUNDING = 1e-6
"""Relative rounding of scores in float32, or more."""

NARROW = 0.05
"""Width of intervals, in standard deviations, whose mass is better by a series."""


class Distribution:
    """The distribution of one column: values with the scores of their ranks.

    A value has the scores from `low` to `high`, those of the fractions of the cells
    below it and up to it, and in between `middle`, that of the mean rank. Other values
    have one score, the middle, for all three.

    Parameters
    ----------
    cells : ndarray of shape (n,)
        Observed cells, not all equal.
    weights : ndarray of shape (n,)

    Attributes
    ----------
    values : ndarray of shape (m,)
    scores : ndarray of shape (3, m)
        Low, middle and high.
    has_atoms : bool
    resolution : float
        Least difference between two values.
    places : float
        Number of decimal places, or infinity.
    spacing : float
        Difference between the scores of neighbors among the values, near the median.
    """

    def __init__(self, cells: np.ndarray, weights: np.ndarray) -> None:
        values, places = np.unique(cells, return_inverse=True)
        counts = np.bincount(places, weights)
        above = np.minimum(counts.cumsum() / counts.sum(), 1.0)
        below = np.concatenate(([0.0], above[:-1]))
        is_level = len(values) <= MOST_LEVELS and counts.mean() >= LEAST_TIES
        least = max(LEAST_FRACTION, LEAST_TIES / len(values)) * counts.sum()
        is_atom = (counts >= least) | is_level
        knots = np.union1d(_quantiles(above), np.flatnonzero(is_atom))
        middle, is_atom = ndtri(0.5 * (below + above))[knots], is_atom[knots]
        edges = (np.where(is_atom, ndtri(f[knots]), middle) for f in (below, above))
        low, high = (edge.clip(-FARTHEST_SCORE, FARTHEST_SCORE) for edge in edges)
        self.resolution = float(np.diff(values).min())
        self.places = _decimal_places(values)
        self.spacing = math.sqrt(2.0 * math.pi) / len(values)
        self.values, self.has_atoms = values[knots], bool(is_atom.any())
        self.scores = np.stack((low, middle, high))
        self._add_tails()

    def _add_tails(self) -> None:
        """Add values at the farthest scores."""
        ends = [self._tail(side, end) for side, end in ((-1, 0), (1, -1))]
        (first, below), (last, above) = ends
        self.values = np.concatenate(([first], self.values, [last]))
        self.scores = np.column_stack((below, self.scores, above))

    def _tail(self, side: int, end: int) -> tuple[float, list[float]]:
        """Return the value at the farthest score on one side, and its scores.

        Beyond an atom it counts as the atom.
        """
        values, (low, middle, high) = self.values, self.scores
        far = side * FARTHEST_SCORE
        if low[end] < high[end]:
            return values[end] + side * self.resolution, [far, middle[end], far]
        inside = np.flatnonzero(side * middle > ndtri(1.0 - TAIL))
        inner = inside[min(0, side)] if len(inside) > 1 else end - side
        steps = (values[inner] - values[end]) / (middle[inner] - middle[end])
        return values[end] + steps * (far - middle[end]), [far] * 3

    def padded(self) -> np.ndarray:
        """Return values and scores, (4, SIZE), with the last ones repeated."""
        both = np.vstack((self.values, self.scores))
        return np.pad(both, ((0, 0), (0, SIZE - both.shape[1])), mode="edge")


def _decimal_places(values: np.ndarray) -> float:
    """Return how many decimal places values have, or infinity if more than a few."""
    for places in range(MOST_PLACES + 1):
        if (np.abs(values - values.round(places)) <= 1e-9 * np.abs(values)).all():
            return float(places)
    return math.inf


def _quantiles(above: np.ndarray) -> np.ndarray:
    """Return positions of values: the first, the last, and quantiles between them.

    Parameters
    ----------
    above : ndarray of shape (n_values,)
        Fraction of the cells up to each value.
    """
    n_knots = round(KNOTS_PER_ROOT * len(above) ** (1 / 3))
    n_knots = min(max(n_knots, LEAST_KNOTS), MOST_KNOTS)
    inner = np.searchsorted(above, (np.arange(n_knots) + 0.5) / n_knots)
    return np.concatenate(([0], inner, [len(above) - 1]))


class NormalScoresModel(GaussianModel):
    """Columns whose normal scores are normal around the outputs."""

    preparation_kind = link_kind = "normal_scores"
    linear_start_is_exact = False

    def __init__(self, n_features: int, noise: str | float) -> None:
        super().__init__(n_features, noise)
        knots = torch.linspace(-1.0, 1.0, SIZE, dtype=torch.float64)
        for name in ("values", "low", "middle", "high"):
            self.register_buffer(name, knots.expand(n_features, -1).clone())
        self.add_statistics(resolution=1.0, center=0.0, places=math.inf)
        self.register_buffer("has_atoms", torch.zeros((), dtype=torch.bool))

    @property
    def rounds_draws(self) -> bool:
        """Whether the cells of a column have few decimal places."""
        return bool((self.places < math.inf).any())

    @property
    def width(self) -> int:
        """Most values of a row that a method computes together: columns take turns."""
        return max(super().width, 2 * SIZE)

    def fit_statistics(self, rows: Rows) -> None:
        """Learn the distribution of each column."""
        self.constants.fit(rows, self.empty)
        some = rows.take(np.arange(min(len(rows), N_ROWS)))
        cells, weights = some.reduce(lambda X, w: (X.copy(), w.copy()), _joined)
        spacing = np.full(self.n_features, np.inf)
        for j in np.flatnonzero(~self.constants.where()).tolist():
            observed = ~np.isnan(cells[:, j])
            found = Distribution(cells[observed, j], weights[observed])
            known = torch.from_numpy(found.padded())
            for name, values in zip(
                ("values", "low", "middle", "high"), known, strict=True
            ):
                getattr(self, name)[j] = values
            self.resolution[j], self.places[j] = found.resolution, found.places
            self.has_atoms |= found.has_atoms
            spacing[j] = found.spacing
        # Ranks tell scores no better than this; columns that follow from others would
        # have no noise but for the rows that are exceptions.
        self.noise.fit(self.log_scale(), spacing / math.sqrt(12.0))
        self._fit_center(cells[:N_CENTER], weights[:N_CENTER])

    @torch.no_grad()
    def _fit_center(self, cells: np.ndarray, weights: np.ndarray) -> None:
        """Learn the outputs that fit best without any z: near zero."""
        x = torch.from_numpy(self.prepare(cells)).to(self.center)
        observed = ~torch.isnan(x)
        x, w = self.fill(x, observed), torch.from_numpy(weights).to(self.center)

        def minus_slope(outputs: Tensor) -> Tensor:
            _, by_location, _ = self._density(outputs, self.noise(), x)
            return -w @ torch.where(observed, by_location, 0.0)

        zeros = torch.zeros_like(self.center)
        self.center.copy_(bisect(minus_slope, zeros, -4.0, 4.0, 40)[0])
        self.center.copy_(self.constants.hide(self.center))

    def _moments(self) -> dict[str, Any]:
        names = ("values", "low", "middle", "high")
        return {name: getattr(self, name) for name in names}

    def link_arrays(self) -> dict[str, Any]:
        """Return where cells are linear in scores, and the noise."""
        return {**self._breakpoints(), **self.noise_arrays()}

    def _breakpoints(self) -> dict[str, Any]:
        """Return the scores between which cells are linear in them, and these cells.

        Those of all columns after one another, with the positions where columns end.
        """
        scores = torch.stack((self.low, self.high), -1).flatten(1)
        cells = self.values.repeat_interleave(2, dim=1)
        differs = (scores.diff(dim=1) != 0.0) | (cells.diff(dim=1) != 0.0)
        kept = torch.nn.functional.pad(differs, (1, 0), value=True)
        ends = kept.sum(1).cumsum(0)[:-1].tolist()
        return {"scores": scores[kept], "cells": cells[kept], "ends": ends}

    def log_scale(self) -> Tensor:
        """Return zeros: scores have units of their own."""
        return torch.zeros_like(self.resolution)

    def linearized(self) -> Linearization:
        """Return zeros, and outputs near them."""
        linearized = super().linearized()
        of_noise = linearized.outputs[self.n_features :]
        return linearized._replace(outputs=torch.cat((self.center, of_noise)))

    def location(self, outputs: Tensor) -> Tensor:
        """Return the outputs, which are scores, float64."""
        return outputs[..., : self.n_features].double()

    def log_prob(self, outputs: Tensor, x: Tensor, observed: Where = None) -> Tensor:
        """Return the log-density in the units of `X`, (..., B)."""
        return LikelihoodModel.log_prob(self, outputs, x, observed)

    def loss_and_gradient(
        self, outputs: Tensor, x: Tensor, sample_weights: Tensor, observed: Where = None
    ) -> tuple[Tensor, Tensor]:
        """Return minus the log-density, and its gradients in closed form."""
        x = x if observed is None else self.fill(x, observed)
        location, log_noise = self.split(outputs)
        log_density, *slopes = self._density(location, log_noise, x)
        loss = -self.constants.put_masses(log_density, x)
        weights = self.constants.hide(-sample_weights[:, None])
        if observed is not None:
            loss, weights = torch.where(observed, loss, 0.0), weights * observed
        by_location, by_noise = (slope * weights for slope in slopes)
        gradient = self.noise.joined(by_location, by_noise, log_noise, outputs)
        return loss.sum(-1), gradient

    def cell_density(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return log-densities in the units of `X`: of atoms, mass over resolution."""
        return self._density(*self.split(outputs), x)[0]

    def _density(
        self, location: Tensor, log_noise: Tensor, x: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return log-densities, and their slopes by location and by log-noise."""
        precision = torch.exp(-log_noise)
        deviations = (x - location) * precision
        squares = deviations.square()
        low, high, log_slopes = self._places(x)
        constant = log_noise + 0.5 * math.log(2.0 * math.pi)
        density = log_slopes - 0.5 * squares - constant
        if not self.has_atoms:
            return density, deviations * precision, squares - 1.0
        is_atom = low < high
        # Intervals of others are any that have a mass.
        ends = torch.where(is_atom, low, -1.0), torch.where(is_atom, high, 1.0)
        low, high = ((end - location) * precision for end in ends)
        mass = log_mass(low, high)
        by_location, by_noise = slopes_of_mass(low, high, mass)
        return (
            torch.where(is_atom, mass - self.resolution.log().to(mass), density),
            torch.where(is_atom, by_location, deviations) * precision,
            torch.where(is_atom, by_noise, squares - 1.0),
        )

    def _places(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return where scores (B, D) lie among those that are known, (B, D) each.

        For the model's rows, whose atoms have the middle of their scores: the scores
        between which an atom lies, equal ones of others, and the logarithm of how fast
        scores rise with cells there. Scores are lowered by the rounding of float32, so
        that one that is a value's does not count as the next one's.
        """
        scores = (x - ROUNDING * (1.0 + x.abs())).double().T.contiguous()
        found = torch.searchsorted(self.high, scores).clamp_(1, SIZE - 1)
        low, high = self.low.gather(1, found), self.high.gather(1, found)
        log_slopes = self._slopes().gather(1, found - 1).log()
        high = torch.where(low <= scores, high, low)
        low, high, log_slopes = (t.T.to(x.dtype) for t in (low, high, log_slopes))
        return low, high, self.constants.hide(log_slopes)

    def _slopes(self) -> Tensor:
        """Return how fast scores rise between values, (D, SIZE - 1), or 1."""
        rise = self.low[:, 1:] - self.high[:, :-1]
        run = self.values.diff(dim=1)
        is_steep = (rise > 0.0) & (run > 0.0)
        return (rise / run).where(is_steep, 1.0)

    def mode(self, outputs: Tensor) -> Tensor:
        """Return the most likely cells, float64."""
        shape = *outputs.shape[:-1], self.n_features
        location, std = self.location(outputs), self.std(outputs).expand(shape)
        flat = (t.reshape(-1, self.n_features).T for t in (location, std))
        each = enumerate(zip(*flat, self._slopes(), strict=True))
        modes = [self._modes(j, *column) for j, column in each]
        return self.constants.put(torch.stack(modes, 1).reshape(shape))

    def _modes(self, j: int, location: Tensor, std: Tensor, slope: Tensor) -> Tensor:
        """Return the most likely values of a column, given where its scores lie."""
        values, low, high = self.values[j], self.low[j], self.high[j]
        location, std = location[:, None], std[:, None]
        # The most likely score of each slope, and its density in the units of X. Where
        # two slopes meet, the lower one counts.
        rise, run = low[1:] - high[:-1], values[1:] - values[:-1]
        score = location.clamp(high[:-1] + 1e-9 * rise, low[1:])
        is_slope = (rise > 0.0) & (run > 0.0)
        constant = std.log() + 0.5 * math.log(2.0 * math.pi)
        density = slope.log() - 0.5 * ((score - location) / std).square() - constant
        at_slopes = values[:-1] + (score - high[:-1]) / slope
        masses = log_mass((low - location) / std, (high - location) / std)
        is_atom = (low < high).expand_as(masses)
        masses = masses - self.resolution[j].log()
        none = -torch.inf
        likely = torch.cat(
            (density.where(is_slope, none), masses.where(is_atom, none)), 1
        )
        cells = torch.cat((at_slopes, values.expand_as(masses)), 1)
        return cells.gather(1, likely.argmax(1, keepdim=True))[:, 0]

    def draw(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return the cells of scores that are outputs + std * normal noise."""
        location = self.location(outputs)
        scores = location + self.std(outputs) * normal(location, generator)
        cells = cells_of_scores(TORCH, scores, self._breakpoints())
        # Over a power of ten: times its inverse is not the float nearest to a decimal.
        power = 10.0**self.places
        rounded = (cells * power).round() / power
        return self.constants.put(torch.where(self.places < math.inf, rounded, cells))


def _joined(a: Any, b: Any) -> Any:
    return tuple(map(np.concatenate, zip(a, b, strict=True)))


def log_mass(a: Tensor, b: Tensor) -> Tensor:
    """Return the logarithm of the standard normal mass from a to b, which is above a.

    In the tail where both lie, and by a series where they are close, since differences
    of nearly equal numbers would be lost in rounding.
    """
    middle, width = 0.5 * (a + b), b - a
    is_narrow = width < NARROW
    a, b = (torch.where(is_narrow, other, end) for end, other in ((a, -1.0), (b, 1.0)))
    low, high = torch.where(a > 0.0, -b, a), torch.where(a > 0.0, -a, b)
    whole, rest = torch.special.log_ndtr(high), torch.special.log_ndtr(low)
    wide = whole + torch.log1p(-torch.exp(rest - whole))
    middle, width = (torch.where(is_narrow, t, 0.1) for t in (middle, width))
    series = torch.log1p((middle.square() - 1.0) * width.square() / 24.0)
    density = -0.5 * middle.square() - 0.5 * math.log(2.0 * math.pi)
    return torch.where(is_narrow, density + width.log() + series, wide)


def slopes_of_mass(a: Tensor, b: Tensor, log_mass: Tensor) -> tuple[Tensor, Tensor]:
    """Return how log_mass(a, b) changes as both move down, and as both grow in size.

    These are (p(a) - p(b)) / mass and (a p(a) - b p(b)) / mass with the normal density
    p. Both have the density at the end that is nearer to zero as a factor; what is left
    is written without differences of nearly equal numbers.
    """
    middle, half = 0.5 * (a + b), 0.5 * (b - a)
    size = middle.abs()
    near, far = size - half, size + half
    ratio = torch.exp(-0.5 * near.square() - 0.5 * math.log(2.0 * math.pi) - log_mass)
    fall = -torch.expm1(-2.0 * size * half)
    of_narrow = size * fall - half * (2.0 - fall)
    of_wide = near - far * (1.0 - fall)
    by_size = ratio * torch.where(half < 1.0, of_narrow, of_wide)
    return torch.sign(middle) * ratio * fall, by_size


class NormalScores(Likelihood):
    r"""Real-valued columns of any distribution: skewed, heavy-tailed, with many zeros.

    .. math:: \log p(X \mid z) = \sum_j \log \mathcal{N}(T_j(X_j); a_j(z), \sigma_j^2)
        + \log T_j'(X_j)

    with decoder outputs :math:`a(z)`. :math:`T_j` gives a cell its normal score [1]_,
    the quantile of the standard normal distribution at its rank among the training
    rows: linear between quantiles of the column, four times the cube root of the number
    of its values but from 8 to 256, and beyond its range as steep as in its outer
    tenth. So every column is normal before the model sees it, whatever its shape, and
    outliers count by their rank. Draws have no more decimal places than the column.

    A value that many cells share, such as zero, is an atom: all scores between those
    of the ranks below it and up to it give this value, and its density is its mass
    divided by the resolution, the least difference between two cells of the column. A
    column of at most 256 values that have five cells each in the mean has atoms only.
    What lies between atoms that are neighbors, or beyond one that is the last, counts
    as the nearest.

    Domain: real numbers. Link: identity in normal scores, so that the expected cell is
    the mean of :math:`T_j^{-1}(a_j + \sigma_j \epsilon)`, in closed form.

    Parameters
    ----------
    noise : {"shared", "column", "decoder"} or float, default="decoder"
        `"shared"` learns one noise for the scores of all columns, `"column"` one for
        each, and `"decoder"` one that differs among rows, as in `Gaussian`. A number
        is the standard deviation of scores, not learned.

    See Also
    --------
    Gaussian : Without the transform, for columns that are about normal.
    StudentT : For outliers whose size matters.

    References
    ----------
    .. [1] van der Waerden (1952). Order tests for the two-sample problem and their
       power. Indagationes Mathematicae 14. Compare
       :class:`sklearn.preprocessing.QuantileTransformer`.

    Examples
    --------
    >>> NormalScores(noise="shared")
    NormalScores(noise='shared')
    """

    _model = NormalScoresModel
    _parameter_constraints: dict = {"noise": NOISE_OF_ROWS}

    def __init__(self, noise: str | float = "decoder") -> None:
        self.noise = noise

    def admits(self, low: float, high: float) -> bool:
        """Return whether these are numbers: the domain holds them all."""
        return low <= high
