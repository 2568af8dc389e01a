"""Counts of single cells: densities and clusters beside FactorAnalysis and PCA."""

import claims
import data
import numpy as np
from harness import Method, scalars
from pages import table

SETS = ("starmap_mpfc", "worm_neuron", "mouse_bladder")
N_COMPONENTS = 10
N_COLUMNS = 1000
N_DRAWS = 128
WIDER = 1.5
"""Standard deviation of draws, in those of the posterior of log1p counts."""

FA, PCA, TOTAL = "FactorAnalysis", "PCA", "PCA, same total"
NB, ZINB = "negative binomial", "zero-inflated negative binomial"
SIZES = "negative binomial, size factors"

CASES = [(name, "counts") for name in SETS]
METHODS = {
    FA: Method("counts:factor_analysis"),
    PCA: Method("counts:pca", {"same_total": False}),
    TOTAL: Method("counts:pca", {"same_total": True}),
    "Poisson": Method("counts:vae", {"likelihood": "poisson"}),
    NB: Method("counts:vae", {"likelihood": "negative_binomial"}),
    ZINB: Method("counts:vae", {"likelihood": "zero_inflated_negative_binomial"}),
    SIZES: Method("counts:vae", {"likelihood": "size factors"}),
    "data": Method("counts:dispersion"),
}
N_SEEDS, N_THREADS = 3, 1


def problem(case, max_rows):
    """Return training and test counts, and the types of the cells."""
    import scipy.sparse as sp

    stored = data.arrays(f"counts/{case.data}")
    X = stored.get("X")
    if X is None:
        parts = stored["data"].astype(float), stored["indices"], stored["indptr"]
        X = sp.csr_matrix(parts, shape=stored["shape"]).toarray()
    X, y = np.asarray(X, float), np.unique(stored["labels"], return_inverse=True)[1]
    order = np.random.default_rng(case.seed).permutation(len(X))
    test, train = np.split(order, [len(order) // 4])
    train = train[:max_rows]
    columns = most_variable(X[train])
    rows = {"X": X[train][:, columns], "X_test": X[test][:, columns]}
    return rows | {"y": y[train], "y_test": y[test], "seed": case.seed}


def most_variable(X):
    """Return the columns of greatest variance of log1p, of those that vary."""
    variance = np.log1p(X).var(axis=0)
    columns = np.argsort(-variance, kind="stable")[:N_COLUMNS]
    return np.sort(columns[variance[columns] > 1e-12])


def log_interval(low, high):
    """Return the logarithm of a standard normal's mass of intervals."""
    from scipy.special import log_ndtr

    upper = low > 0.0
    low, high = np.where(upper, -high, low), np.where(upper, -low, high)
    ratio = np.minimum(log_ndtr(low) - log_ndtr(high), -1e-12)
    return log_ndtr(high) + np.log1p(-np.exp(ratio))


def log_masses(model, X, seed):
    """Return log-masses that FactorAnalysis of log1p counts gives the counts.

    A count x has the interval from log1p(x - 1/2) to log1p(x + 1/2), and 0 all below.
    The mean over components is importance-weighted, as for the VAE.
    """
    from scipy.special import logsumexp

    loadings, deviations = model.components_, np.sqrt(model.noise_variance_)
    precision = np.eye(len(loadings)) + (loadings / deviations**2) @ loadings.T
    root = WIDER * np.linalg.cholesky(np.linalg.inv(precision))
    low = np.where(X > 0.0, np.log(np.maximum(X, 1.0) + 0.5), -np.inf)
    high, center = np.log(X + 1.5), model.transform(np.log1p(X))
    weights = []
    for draw in np.random.default_rng(seed).normal(size=(N_DRAWS, len(root))):
        z = center + root @ draw
        mean = z @ loadings + model.mean_
        cells = log_interval((low - mean) / deviations, (high - mean) / deviations)
        log_ratio = 0.5 * (draw @ draw - np.square(z).sum(axis=1))
        weights.append(cells.sum(axis=1) + log_ratio + np.log(root.diagonal()).sum())
    return logsumexp(weights, axis=0) - np.log(N_DRAWS)


def factor_analysis(problem):
    """Fit FactorAnalysis to log1p counts; the mean density and mass of counts."""
    from sklearn.decomposition import FactorAnalysis

    model = FactorAnalysis(N_COMPONENTS, random_state=problem.seed)
    model.fit(np.log1p(problem.X))
    logs = np.log1p(problem.X_test)
    # The density of counts is that of their logarithms over d x / d log1p(x) = 1 + x.
    density = model.score_samples(logs) - logs.sum(axis=1)
    mass = log_masses(model, problem.X_test, problem.seed)
    ari = agreement(model.transform(logs), problem.y_test)
    return {"density": density.mean(), "mass": mass.mean(), "ari": ari}


def pca(problem):
    """Fit PCA to log1p counts, brought to the same total if asked."""
    from sklearn.decomposition import PCA

    typical = np.median(problem.X.sum(axis=1))

    def logs(X):
        total = np.maximum(X.sum(axis=1, keepdims=True), 1.0)
        return np.log1p(X * (typical / total if problem.same_total else 1.0))

    model = PCA(N_COMPONENTS, random_state=problem.seed).fit(logs(problem.X))
    return {"ari": agreement(model.transform(logs(problem.X_test)), problem.y_test)}


def vae(problem):
    """Fit a VAE with a likelihood of counts."""
    from skvae import VAETransformer
    from skvae.likelihoods import NegativeBinomial

    has_total = problem.likelihood == "size factors"
    likelihood = NegativeBinomial(True) if has_total else problem.likelihood
    settings = {"n_iter_no_change": 10, "random_state": problem.seed}
    model = VAETransformer(N_COMPONENTS, likelihood=likelihood, **settings)
    scores = model.fit(problem.X).score_samples(problem.X_test, n_draws=N_DRAWS)
    return {
        "given_total" if has_total else "mass": scores.mean(),
        "ari": agreement(model.transform(problem.X_test), problem.y_test),
        "n_iter": model.n_iter_,
        "start_loglik": -model.validation_curve_[0],
        "best_loglik": -model.best_loss_,
    }


def dispersion(problem):
    """Return variance over mean of counts at known total and type of a row.

    Of columns with a mean count above 0.1, the median. Chance alone makes it one.
    """
    squares = expected = 0.0
    for kind in np.unique(problem.y):
        rows = problem.X[problem.y == kind]
        frequency = rows.sum(axis=0) / max(rows.sum(), 1.0)
        mean = rows.sum(axis=1, keepdims=True) * frequency
        squares = squares + np.square(rows - mean).sum(axis=0)
        expected = expected + mean.sum(axis=0)
    frequent = problem.X.mean(axis=0) > 0.1
    return {"dispersion": np.median(squares[frequent] / expected[frequent])}


def agreement(Z, types):
    """Return the adjusted Rand index of k-means and types, a mean over 5 starts."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_rand_score

    models = (KMeans(types.max() + 1, n_init=10, random_state=i) for i in range(5))
    index = [adjusted_rand_score(types, model.fit_predict(Z)) for model in models]
    return float(np.mean(index))


def measure(case, problem, answer):
    """Return the numbers that the method gives."""
    return scalars(answer)


CLAIMS = (
    *(("mass", NB, "Poisson"), ("mass", "Poisson", FA), ("mass", NB, FA)),
    *(("ari", name, PCA) for name in ("Poisson", NB, SIZES)),
    ("ari", SIZES, TOTAL),
)
TITLES = {"mass": "log-likelihood", "ari": "adjusted Rand index"}


def verdicts(results):
    """Return the claims by name."""
    made = {}
    for measure, one, other in CLAIMS:
        means = results.table(measure, [one, other])
        text = f"{TITLES[measure]}: {one} > {other}"
        holds = means[one] > means[other]
        made[f"{measure} {one} {other}"] = claims.fraction(text, holds, 1.0)
    return made


def fields(results):
    """Return what fills the page."""
    own = [name for name in METHODS if name != "data"]
    shown = {
        "mass": ((FA, "Poisson", NB, ZINB), 1),
        "density": ((FA,), 1),
        "given_total": ((SIZES,), 1),
        "dispersion": (("data",), 2),
        "ari": (own, 3),
        "cpu": (own, 1),
    }
    sizes = {"n_components": N_COMPONENTS, "n_columns": N_COLUMNS, "n_draws": N_DRAWS}
    return sizes | {
        measure: table(results.table(measure, methods).T, "method", decimals)
        for measure, (methods, decimals) in shown.items()
    }
