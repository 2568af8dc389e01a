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
from skvae.likelihoods._noise import NOISE
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
        """Most values of a row that a method computes together."""
        return self.n_features * 2 * SIZE

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

    def _fit_center(self, cells: np.ndarray, weights: np.ndarray) -> None:
        """Learn the outputs that fit best without any z: near zero."""
        x = torch.from_numpy(self.prepare(cells)).to(self.center)
        observed = ~torch.isnan(x)
        x, w = self.fill(x, observed), torch.from_numpy(weights).to(self.center)

        def minus_slope(outputs: Tensor) -> Tensor:
            # Tensors made in inference mode take no part in gradients.
            with torch.inference_mode(False), torch.enable_grad():
                outputs = outputs.clone().requires_grad_()
                cells = self.cell_density(outputs.expand_as(x), x.clone())
                total = w.clone() @ torch.where(observed, cells, 0.0)
                return -torch.autograd.grad(total.sum(), outputs)[0]

        zeros = torch.zeros_like(self.center)
        self.center.copy_(bisect(minus_slope, zeros, -4.0, 4.0, 40)[0])
        self.center.copy_(self.constants.hide(self.center))

    def _moments(self) -> dict[str, Any]:
        names = ("values", "low", "middle", "high")
        return {name: getattr(self, name) for name in names}

    def link_arrays(self) -> dict[str, Any]:
        """Return the distributions, and the noise."""
        return {**self._moments(), "std": self.std()}

    def log_scale(self) -> Tensor:
        """Return zeros: scores have units of their own."""
        return torch.zeros_like(self.resolution)

    def linearized(self) -> Linearization:
        """Return zeros, and outputs near them."""
        return super().linearized()._replace(outputs=self.center)

    def location(self, outputs: Tensor) -> Tensor:
        """Return the outputs, which are scores, float64."""
        return outputs.double()

    def std(self) -> Tensor:
        """Return the noise of scores, (D,), float64."""
        return torch.exp(self.noise().double()).expand(self.n_features)

    def log_prob(self, outputs: Tensor, x: Tensor, observed: Where = None) -> Tensor:
        """Return the log-density in the units of `X`, (..., B)."""
        if self.has_atoms or observed is not None:
            return LikelihoodModel.log_prob(self, outputs, x, observed)
        return super().log_prob(outputs, x) + self._log_slopes(x).sum(-1)

    def loss_and_gradient(
        self, outputs: Tensor, x: Tensor, sample_weights: Tensor, observed: Where = None
    ) -> tuple[Tensor, Tensor]:
        """Return minus the log-density, and its gradients: by autograd with atoms."""
        arguments = outputs, x, sample_weights, observed
        if self.has_atoms:
            return LikelihoodModel.loss_and_gradient(self, *arguments)
        loss, gradient = super().loss_and_gradient(*arguments)
        slopes = self._log_slopes(x if observed is None else self.fill(x, observed))
        slopes = slopes if observed is None else torch.where(observed, slopes, 0.0)
        return loss - slopes.sum(-1), gradient

    def cell_density(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return log-densities in the units of `X`: of atoms, mass over resolution."""
        low, high = (edge.to(outputs.dtype) for edge in self._edges(x))
        precision = torch.exp(-self.noise())
        is_atom = low < high
        # Intervals of others are any that have a mass.
        ends = torch.where(is_atom, low, -1.0), torch.where(is_atom, high, 1.0)
        mass = log_mass(*((end - outputs) * precision for end in ends))
        mass = mass - self.resolution.log().to(outputs.dtype)
        density = super().cell_density(outputs, x) + self._log_slopes(x)
        return torch.where(is_atom, mass, density)

    def _places(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the first value not below each score (B, D), and the scores, (D, B).

        Scores are lowered by the rounding of float32, so that one that is a value's
        does not count as the next one's.
        """
        scores = (x - ROUNDING * (1.0 + x.abs())).double().T.contiguous()
        found = torch.searchsorted(self.high, scores)
        return found.clamp_max(self.high.shape[1] - 1), scores

    def _edges(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scores between which an atom lies, (B, D); equal ones of others.

        For the model's rows, whose atoms have the middle of their scores.
        """
        found, scores = self._places(x)
        low, high = self.low.gather(1, found), self.high.gather(1, found)
        high = torch.where(low <= scores, high, low)
        return low.T, high.T

    def _log_slopes(self, x: Tensor) -> Tensor:
        """Return the logarithm of how fast scores rise with cells, (B, D)."""
        found = self._places(x)[0].clamp_min(1)
        rise = self.low.gather(1, found) - self.high.gather(1, found - 1)
        run = self.values.gather(1, found) - self.values.gather(1, found - 1)
        is_steep = (rise > 0.0) & (run > 0.0)
        slopes = torch.where(is_steep, rise, 1.0) / torch.where(is_steep, run, 1.0)
        return self.constants.hide(slopes.log().T.to(x.dtype))

    def mode(self, outputs: Tensor) -> Tensor:
        """Return the most likely cells, float64."""
        flat, std = self.location(outputs).reshape(-1, self.n_features), self.std()
        modes = [self._modes(flat[:, j], j, std[j]) for j in range(self.n_features)]
        return self.constants.put(torch.stack(modes, 1).reshape(outputs.shape))

    def _modes(self, location: Tensor, j: int, std: Tensor) -> Tensor:
        """Return the most likely values of a column, given where its scores lie."""
        values, low, high = self.values[j], self.low[j], self.high[j]
        location = location[:, None]
        # The most likely score of each slope, and its density in the units of X. Where
        # two slopes meet, the lower one counts.
        rise, run = low[1:] - high[:-1], values[1:] - values[:-1]
        score = location.clamp(high[:-1] + 1e-9 * rise, low[1:])
        is_slope = (rise > 0.0) & (run > 0.0)
        slope = torch.where(is_slope, rise, 1.0) / torch.where(is_slope, run, 1.0)
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
        scores = location + self.std() * normal(location, generator)
        cells = cells_of_scores(TORCH, scores, self._moments())
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
    noise : {"shared", "column"} or float, default="column"
        `"shared"` learns one noise for the scores of all columns, `"column"` one for
        each. A number is the standard deviation of scores, not learned.

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
    _parameter_constraints: dict = {"noise": NOISE}

    def __init__(self, noise: str | float = "column") -> None:
        self.noise = noise

    def admits(self, low: float, high: float) -> bool:
        """Return whether these are numbers: the domain holds them all."""
        return low <= high
