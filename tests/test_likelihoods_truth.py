"""Every likelihood is the distribution that it says it is, by SciPy's word."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy import stats
from scipy.special import expit, softmax

from skvae.likelihoods import Columns, StudentT
from skvae.table import Rows, as_cells

VARIANCES = np.array([0.2, 0.3, 0.5, 0.6])
THETA = np.array([0.5, 2.0, 19.0, 300.0])
DF = np.array([2.5, 3.0, 8.0, 40.0])


# References: distributions of the cells (n, D) of a table


class Scipy:
    """A frozen distribution of SciPy."""

    def __init__(self, p):
        self.mean, self.std, self.cdf = p.mean(), p.std(), p.cdf
        self.log = p.logpmf if isinstance(p.dist, stats.rv_discrete) else p.logpdf


class Tilted:
    """exp(a x) on [0, 1]: an exponential distribution, cut off, perhaps mirrored."""

    def __init__(self, a):
        self.rises, size = a > 0, np.abs(a)
        self.p = stats.truncexpon(b=size, scale=1 / size)
        self.mean, self.std = self._mirrored(self.p.mean()), self.p.std()

    def _mirrored(self, X):
        return np.where(self.rises, 1 - X, X)

    def log(self, X):
        return self.p.logpdf(self._mirrored(X))

    def cdf(self, X):
        return self._mirrored(self.p.cdf(self._mirrored(X)))


class Masses:
    """Masses of codes (n, D, C), zero beyond a column's number of categories."""

    def __init__(self, masses):
        self.masses, self.mean, self.std = masses, masses.argmax(-1), np.nan

    def log(self, X):
        return np.log((self.masses * self._is(X)).sum(-1))

    def cdf(self, X):
        return (self.masses.cumsum(-1) * self._is(X)).sum(-1)

    def _is(self, X):
        return X[..., None] == np.arange(self.masses.shape[-1])


class Inflated:
    """A distribution of counts, replaced by zero with probability pi."""

    def __init__(self, p, pi):
        self.p, self.pi, self.mean = p, pi, (1 - pi) * p.mean()
        self.std = np.sqrt((1 - pi) * (p.var() + pi * p.mean() ** 2))

    def log(self, X):
        return np.log(self.pi * (X == 0) + (1 - self.pi) * self.p.pmf(X))

    def cdf(self, X):
        return self.pi + (1 - self.pi) * self.p.cdf(X)


def _noise(spec, scale, factor=1.0):
    """Return standard deviations in the units of X."""
    if not isinstance(spec.noise, str):
        return spec.noise
    variances = VARIANCES[: len(scale)] * factor
    if getattr(spec, "scaling", None) == "inputs":
        # They are those of what the encoder sees.
        variances = variances / (scale**2 / np.mean(scale**2))
    return scale * np.sqrt(variances.mean() if spec.noise == "shared" else variances)


def _split(spec, model, outputs, scale):
    """Return outputs of the mean, and standard deviations of the noise around it."""
    noise = _noise(spec, scale)
    if spec.noise != "decoder":
        return outputs, noise
    location, of_noise = np.split(outputs, 2, axis=1)
    factors = np.exp(1.5 * np.tanh(of_noise / 1.5))
    # What rounding adds is the same in all rows.
    least = scale**2 * np.exp(model.noise.log_floor.numpy())
    return location, np.sqrt(factors**2 * (noise**2 - least) + least)


def _gaussian(spec, model, X, outputs, totals):
    scale = X.std(axis=0)
    if spec.scaling == "shared":
        scale = np.full_like(scale, np.sqrt(np.mean(scale**2)))
    outputs, noise = _split(spec, model, outputs, scale)
    return Scipy(stats.norm(X.mean(axis=0) + scale * outputs, noise))


def _log_normal(spec, model, X, outputs, totals):
    log = np.log(X)
    outputs, noise = _split(spec, model, outputs, log.std(axis=0))
    loc = log.mean(axis=0) + log.std(axis=0) * outputs
    return Scipy(stats.lognorm(noise, scale=np.exp(loc)))


def _student_t(spec, model, X, outputs, totals):
    # What location and scale should be is a test of its own.
    loc, scale = (model.unit * model.loc).numpy(), (model.unit * model.scale).numpy()
    df = spec.df
    if isinstance(df, str):
        df = DF[: 1 if spec.noise == "shared" else X.shape[1]]
    noise = _noise(spec, scale, np.maximum((df - 2) / df, 0.25))
    return Scipy(stats.t(df, loc + scale * outputs, noise))


class ColumnOfRanks:
    """Normal scores of a column of 40 cells, told anew from what the page says."""

    FAR = 40.0

    def __init__(self, cells):
        self.unique, counts = np.unique(cells, return_counts=True)
        self.resolution = np.diff(self.unique).min()
        has_levels_only = len(cells) / len(self.unique) >= 5
        n_quantiles = max(8, round(4 * len(self.unique) ** (1 / 3)))
        quantiles = (np.arange(n_quantiles) + 0.5) / n_quantiles
        kept = np.quantile(cells, quantiles, method="inverted_cdf")
        least = max(0.02, 5 / len(self.unique)) * len(cells)
        is_atom = (counts >= least) | has_levels_only
        chosen = np.isin(self.unique, kept) | is_atom
        chosen[[0, -1]] = True
        points = [
            (value, *self._scores(cells, value, atom))
            for value, atom in zip(self.unique[chosen], is_atom[chosen], strict=True)
        ]
        self.pieces = list(self._pieces(points))

    def _scores(self, cells, value, is_atom):
        low, high = np.mean(cells < value), np.mean(cells <= value)
        middle = stats.norm.ppf(0.5 * (low + high))
        ends = stats.norm.ppf([low, high]).clip(-self.FAR, self.FAR)
        return ends if is_atom else (middle, middle)

    def _tail(self, points, far):
        """Return the cell at the farthest score; of an atom, itself."""
        value, low, high = points[0]
        inside = [p for p in points if np.sign(far) * p[1] > stats.norm.ppf(0.9)]
        inner = inside[-1] if len(inside) > 1 else points[1]
        if low < high:
            return value
        return value + (far - low) * (inner[0] - value) / (inner[1] - low)

    def _pieces(self, points):
        """Yield (cells, scores) of pieces: both ends of each."""
        first, last = points[0], points[-1]
        yield (self._tail(points, -self.FAR), first[0]), (-self.FAR, first[1])
        for a, b in zip(points, [*points[1:], None], strict=True):
            yield (a[0], a[0]), a[1:]
            if b is not None:
                yield (a[0], b[0]), (a[2], b[1])
        yield (last[0], self._tail(points[::-1], self.FAR)), (last[2], self.FAR)

    def _of(self, cells):
        """Return ends of the piece of each cell, (n, 2, 2), in cells and in scores.

        A cell that ends two pieces belongs to the lower one, or to its atom.
        """
        found = []
        for cell in cells:
            atoms = [
                p for p in self.pieces if p[0] == (cell, cell) and p[1][0] < p[1][1]
            ]
            slopes = (p for p in self.pieces if p[0][0] < cell <= p[0][1])
            found.append(atoms[0] if atoms else next(slopes))
        return np.moveaxis(np.array(found), 0, -1)

    def log(self, location, std, cells):
        ends, scores = self._of(cells)
        p = stats.norm(location, std)
        run, rise = ends[1] - ends[0], scores[1] - scores[0]
        is_atom = run == 0.0
        slope = rise / np.where(is_atom, 1.0, run)
        upper, lower = p.sf(scores[0]) - p.sf(scores[1]), np.diff(p.cdf(scores), axis=0)
        mass = np.where(scores[0] > location, upper, lower[0]) / self.resolution
        density = p.pdf(scores[0] + slope * (cells - ends[0])) * slope
        return np.log(np.where(is_atom, mass, density))

    def cdf(self, location, std, cells):
        ends, scores = self._of(cells)
        run = ends[1] - ends[0]
        way = np.where(
            run > 0.0, (cells - ends[0]) / np.where(run > 0.0, run, 1.0), 1.0
        )
        score = scores[0] + way * (scores[1] - scores[0])
        return stats.norm.cdf(score, location, std)

    def mean(self, location, std):
        """Return mean cells by quadrature of each piece."""
        nodes, weights = np.polynomial.legendre.leggauss(200)
        total = np.zeros(len(location))
        for cells, scores in self.pieces:
            if scores[0] == scores[1]:
                continue
            # What is farther than 12 standard deviations does not count.
            ends = (
                np.clip(s, location - 12 * std, location + 12 * std) for s in scores
            )
            low, high = ends
            s = 0.5 * (low + high) + 0.5 * np.multiply.outer(nodes, high - low)
            slope = (cells[1] - cells[0]) / (scores[1] - scores[0])
            values = cells[0] + slope * (s - scores[0])
            inside = weights @ (values * stats.norm.pdf(s, location, std))
            total += 0.5 * (high - low) * inside
        return total


class Ranks:
    """Columns whose normal scores are normal."""

    def __init__(self, table, location, std):
        self.columns = [ColumnOfRanks(column) for column in table.T]
        self.location, self.scale = location, std
        each = zip(self.columns, location.T, std.T, strict=True)
        self.mean = np.column_stack([c.mean(*p) for c, *p in each])
        self.std = np.nan

    def _each(self, name, X):
        given = (np.broadcast_to(a, X.shape).T for a in (self.location, self.scale, X))
        each = zip(self.columns, *given, strict=True)
        return np.column_stack([getattr(c, name)(*given) for c, *given in each])

    def log(self, X):
        return self._each("log", X)

    def cdf(self, X):
        return self._each("cdf", X)


def _normal_scores(spec, model, X, outputs, totals):
    outputs, noise = _split(spec, model, outputs, np.ones(X.shape[1]))
    return Ranks(X, outputs, noise * np.ones(X.shape[1]))


def _bernoulli(spec, model, X, outputs, totals):
    return Scipy(stats.bernoulli(expit(outputs)))


def _continuous_bernoulli(spec, model, X, outputs, totals):
    return Tilted(outputs)


def _categorical(spec, model, X, outputs, totals):
    sizes = X.max(axis=0).astype(int) + 1
    masses = np.zeros((len(outputs), len(sizes), sizes.max()))
    for j, logits in enumerate(np.split(outputs, sizes.cumsum()[:-1], axis=1)):
        masses[:, j, : sizes[j]] = softmax(logits, axis=1)
    return Masses(masses)


def _ordinal(spec, model, X, outputs, totals):
    sizes = X.max(axis=0).astype(int) + 1
    masses = np.zeros((*outputs.shape, sizes.max()))
    for j, size in enumerate(sizes):
        cuts = model.cuts[j, : size - 1].detach().numpy().copy()
        cuts[1:] = np.exp(cuts[1:])
        cuts = np.r_[-np.inf, cuts.cumsum(), np.inf]
        cdf = stats.logistic.cdf(cuts - outputs[:, [j]])
        masses[:, j, :size] = np.diff(cdf, axis=1)
    reference = Masses(masses)
    # Levels have an order: in place of a mean there is the median, the level at which
    # half of the mass is reached.
    reference.mean = (masses.cumsum(axis=-1) < 0.5).sum(axis=-1)
    return reference


def _mean_counts(spec, outputs, totals):
    return totals * softmax(outputs, axis=1) if spec.size_factor else np.exp(outputs)


def _poisson(spec, model, X, outputs, totals):
    return Scipy(stats.poisson(_mean_counts(spec, outputs, totals)))


def _nbinom(spec, X, outputs, totals):
    theta, mean = THETA[: X.shape[1]], _mean_counts(spec, outputs, totals)
    return stats.nbinom(theta, theta / (theta + mean))


def _negative_binomial(spec, model, X, outputs, totals):
    return Scipy(_nbinom(spec, X, outputs, totals))


def _zero_inflated(spec, model, X, outputs, totals):
    counts, logits = np.split(outputs, 2, axis=1)
    return Inflated(_nbinom(spec, X, counts, totals), expit(logits))


REFERENCES = {
    "Bernoulli": _bernoulli,
    "Categorical": _categorical,
    "ContinuousBernoulli": _continuous_bernoulli,
    "Gaussian": _gaussian,
    "LogNormal": _log_normal,
    "NegativeBinomial": _negative_binomial,
    "NormalScores": _normal_scores,
    "Ordinal": _ordinal,
    "Poisson": _poisson,
    "StudentT": _student_t,
    "ZeroInflatedNegativeBinomial": _zero_inflated,
}


class SideBySide:
    """References of the parts of a mixture."""

    def __init__(self, parts, columns):
        self.parts, self.order = parts, np.argsort(np.concatenate(columns))
        self.columns = columns
        self.mean = self._join([part.mean for part in parts])
        self.std = self._join([part.std + 0 * part.mean for part in parts])

    def _join(self, parts):
        return np.concatenate(parts, axis=1)[:, self.order]

    def _each(self, name, X):
        pairs = zip(self.parts, self.columns, strict=True)
        return self._join([getattr(part, name)(X[:, owned]) for part, owned in pairs])

    def log(self, X):
        return self._each("log", X)

    def cdf(self, X):
        return self._each("cdf", X)


def _reference(spec, model, X, outputs, totals=None):
    """Return the reference at outputs of a model fitted to X.

    With size factors it is for rows with these totals, or else the mean total.
    """
    totals = X.mean(axis=0).sum() if totals is None else totals
    if not isinstance(spec, Columns):
        function = REFERENCES[type(spec).__name__]
        return function(spec, model, X, outputs.numpy(), totals)
    parts, columns = [], []
    split = outputs.split([part.n_outputs for part in model.parts], dim=1)
    for (likelihood, owned), part, values in zip(
        spec.parts, model.parts, split, strict=True
    ):
        parts.append(_reference(likelihood, part, X[:, owned], values))
        columns.append(owned)
    return SideBySide(parts, columns)


@torch.no_grad()
def _know(model):
    """Set learned shapes, and noise, to known ones."""
    if hasattr(model, "parts"):
        for part in model.parts:
            _know(part)
        return
    if hasattr(model, "log_df"):
        model.log_df.copy_(torch.from_numpy(np.log(DF[: len(model.log_df)] - 2)))
    model.start_noise(torch.from_numpy(np.resize(VARIANCES, model.n_inputs)))
    if hasattr(model, "set_log_theta"):
        model.set_log_theta(torch.from_numpy(np.log(THETA[: model.n_features])))


@pytest.fixture
def known(case):
    """(spec, model, X) with known noise and shapes."""
    model = case.model(start=False)
    _know(model)
    return case.spec.resolve(case.X), model, case.X


def _outputs(case, model, n):
    return case.outputs(model, n).detach()


# Properties


def test_likelihood_log_prob_equals_scipy(case, known):
    spec, model, X = known
    outputs, x = _outputs(case, model, len(X)), torch.from_numpy(model.prepare(X))
    # A row without any count is taken to have had one.
    totals = X.sum(axis=1, keepdims=True).clip(1)
    expected = _reference(spec, model, X, outputs, totals).log(X)
    with torch.no_grad():
        cells, rows = model.cell_log_prob(outputs, x), model.log_prob(outputs, x)
    assert_allclose(cells, expected, rtol=1e-7, atol=1e-9)
    assert_allclose(rows, expected.sum(axis=1), rtol=1e-8)


def test_likelihood_mean_equals_scipy(case, known):
    spec, model, X = known
    outputs = _outputs(case, model, len(X))
    reference = _reference(spec, model, X, outputs)
    with torch.no_grad():
        mean = model.mean(outputs)
    # Quadrature ends where a density is below 1e-30.
    expected = np.broadcast_to(reference.mean, X.shape)
    assert_allclose(mean, expected, rtol=1e-7, atol=1e-30)


def test_likelihood_mode_is_the_most_likely_value_near_the_mean(case, known):
    spec, model, X = known
    outputs = _outputs(case, model, len(X))
    reference = _reference(spec, model, X, outputs)
    with torch.no_grad():
        mode = model.mode(outputs).numpy()
        others = [X, *(np.roll(X, k, axis=0) for k in range(1, len(X)))]
    at_mode = reference.log(mode)
    for other in others:
        assert (reference.log(other) <= at_mode + 1e-9).all()


def test_likelihood_draws_follow_the_distribution(case, known):
    spec, model, X = known
    n = 20_000
    outputs = _outputs(case, model, 1)
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        draws = model.draw(outputs.expand(n, -1), random).double().numpy()
    reference = _reference(spec, model, X, outputs)
    for j in range(draws.shape[1]):
        values, counts = np.unique(draws[:, j], return_counts=True)
        at = np.resize(draws[0], (len(values), draws.shape[1])).copy()
        at[:, j] = values
        # Kolmogorov's distance is below 2.2 / sqrt(n) with probability 0.9999.
        distance = np.abs(counts.cumsum() / n - reference.cdf(at)[:, j]).max()
        assert distance < 2.2 / np.sqrt(n)


def test_likelihood_draws_of_columns_are_independent(case, known):
    _, model, _ = known
    n = 20_000
    random = torch.Generator().manual_seed(4)
    with torch.no_grad():
        outputs = _outputs(case, model, 1).expand(n, -1)
        draws = model.draw(outputs, random).double().numpy()
    varies = draws.std(axis=0) > 0
    # Of ranks: tails are heavy.
    correlation = np.atleast_2d(stats.spearmanr(draws[:, varies]).statistic)
    assert np.abs(correlation - np.eye(len(correlation))).max() < 5 / np.sqrt(n)


def test_student_t_standardizes_by_the_fitted_t_distribution():
    X = stats.t(3.0, 5.0, 2.0).rvs(size=(400, 1), random_state=0)
    X[0] = 1e6
    model = StudentT(df=3.0).build(1).double()
    model.fit_statistics(Rows(as_cells(X), np.arange(400), np.ones(400)))
    _, loc, scale = stats.t.fit(X[:, 0], fdf=3.0, loc=5.0, scale=2.0)
    assert_allclose(model.loc * model.unit, loc, rtol=1e-3)
    assert_allclose(model.scale * model.unit, scale, rtol=1e-3)
