"""Held-out density of tables of numbers, beside models that are fitted to just that.

Cells are dequantized once: uniform noise within a column's resolution, the least
difference of two of its values, makes densities of rounded columns comparable. Raw
rows are shown beside: there a density may grow without bound at repeated values.
"""

import claims
import data
import numpy as np
from harness import Method, scalars
from pages import table

TABLES = (
    *("iris", "wine", "breast_cancer", "diabetes", "yacht", "energy", "concrete"),
    *("yeast", "banknote", "wine_red", "wine_white", "kin8nm", "Pima", "breastw"),
    *("cardio", "thyroid", "annthyroid", "mammography", "magic.gamma", "pendigits"),
    *("satellite", "WDBC"),
)
OWN, PPCA, FA = "skvae", "probabilistic PCA", "FactorAnalysis"
MIXTURE, KDE = "GaussianMixture, BIC", "KernelDensity"
LINEAR, PEERS = (PPCA, FA), (PPCA, FA, MIXTURE, KDE)
N_FOLDS, MOST_ROWS, MOST_COMPONENTS, N_PLACES = 5, 2000, 8, 5
CLUSTERS = (1, 2, 3, 4, 6, 8, 12, 16)
BANDWIDTHS = np.geomspace(0.05, 2.0, 12)

DEQUANTIZED, RAW = "dequantized", "raw"
CASES = [(name, split) for split in (DEQUANTIZED, RAW) for name in TABLES]
METHODS = {
    OWN: Method("density:own"),
    PPCA: Method("density:ppca"),
    FA: Method("density:factors"),
    MIXTURE: Method("density:mixture"),
    KDE: Method("density:kernels"),
}
N_SEEDS, N_THREADS = 3, 1


def dequantized(X, random):
    """Return rows with uniform noise within the resolution of each column."""
    low, span = X.min(axis=0), np.ptp(X, axis=0)
    # Numbers that differ by their rounding only are the same value.
    places = np.round((X - low) / span, N_PLACES)
    steps = span * [np.diff(np.unique(column)).min() for column in places.T]
    return X + steps * (random.random(X.shape) - 0.5)


def problem(case, max_rows):
    """Return training rows and a fold of at most 2,000 rows, standardized."""
    random = np.random.default_rng(0)
    X = data.load(case.data)[0]
    X = X[random.permutation(len(X))[: max_rows or MOST_ROWS]]
    X = X[:, np.ptp(X, axis=0) > 0.0]
    X = dequantized(X, random) if case.split == DEQUANTIZED else X
    is_test = np.arange(len(X)) % N_FOLDS == case.seed
    varies = np.ptp(X[~is_test], axis=0) > 0.0
    train, test = X[~is_test][:, varies], X[is_test][:, varies]
    center, scale = train.mean(axis=0), train.std(axis=0)
    rows = {"X": (train - center) / scale, "X_test": (test - center) / scale}
    return rows | {"seed": case.seed}


def own(problem):
    """Fit the model with defaults but for the number of components."""
    from skvae import VAETransformer

    return _scored(VAETransformer("auto", random_state=problem.seed), problem)


def ppca(problem):
    """Fit PCA, whose scores are those of its probabilistic form."""
    from sklearn.decomposition import PCA

    return _scored(PCA(_n_components(problem)), problem)


def factors(problem):
    """Fit factor analysis."""
    from sklearn.decomposition import FactorAnalysis

    return _scored(FactorAnalysis(_n_components(problem)), problem)


def mixture(problem):
    """Fit mixtures with full and diagonal covariances, and take the least BIC."""
    from sklearn.mixture import GaussianMixture

    models = [
        GaussianMixture(n, covariance_type=kind, random_state=problem.seed)
        for kind in ("full", "diag")
        for n in CLUSTERS
        if n * 5 <= len(problem.X)
    ]
    best = min(models, key=lambda model: model.fit(problem.X).bic(problem.X))
    return {"scores": best.score_samples(problem.X_test)}


def kernels(problem):
    """Fit a kernel density, whose bandwidth is chosen by cross-validation."""
    from sklearn.model_selection import GridSearchCV
    from sklearn.neighbors import KernelDensity

    search = GridSearchCV(KernelDensity(), {"bandwidth": BANDWIDTHS})
    return _scored(search, problem, lambda model: model.best_estimator_)


def _n_components(problem):
    return min(MOST_COMPONENTS, problem.X.shape[1] - 1)


def _scored(model, problem, of=lambda model: model):
    return {"scores": of(model.fit(problem.X)).score_samples(problem.X_test)}


def measure(case, problem, answer):
    """Return the mean log-density of a test row, and its standard error."""
    scores = answer.pop("scores")
    error = scores.std() / np.sqrt(len(scores))
    return scalars(answer) | {
        "density": float(scores.mean()),
        "standard_error": float(error),
    }


def shown(results, split=DEQUANTIZED):
    """Return the mean density of each method, of the tables that all have fitted."""
    means = results.table("density", METHODS, ("split", "data")).dropna()
    return means.loc[split]


def mean_ranks(density):
    """Return the mean rank of each method; the greatest density has rank one."""
    return density.rank(axis=1, ascending=False).mean().to_frame("mean rank").T


def verdicts(results):
    """Return the claims by name."""
    density = shown(results)
    errors = results.get("standard_error", OWN).xs(DEQUANTIZED, level="split")
    folds = errors.groupby(level="data", sort=False)
    error = (folds.mean() / np.sqrt(folds.size()))[density.index]
    linear = density[OWN] >= density[list(LINEAR)].max(axis=1) - error
    above = density[OWN] > density[MIXTURE]
    ranks = mean_ranks(density).loc["mean rank"]
    text = "not a standard error below PCA or factor analysis"
    return {
        "linear": claims.fraction(text, linear, 1.0),
        "mixture": claims.fraction("above the mixture", above, 0.75),
        "rank": claims.at_most("mean rank", ranks[OWN], ranks.drop(OWN).min()),
    }


def fields(results):
    """Return what fills the page."""
    density, raw = shown(results), shown(results, RAW)
    seconds = results.table("cpu", METHODS).loc[density.index]
    return {
        "density": table(density, "table", 2, best="max"),
        "ranks": table(mean_ranks(density), "", 2, best="min"),
        "raw": table(raw, "table", 2, best="max"),
        "raw_ranks": table(mean_ranks(raw), "", 2, best="min"),
        "seconds": table(seconds, "table", best="min"),
        "n_folds": N_FOLDS,
    }
