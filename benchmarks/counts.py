"""Counts of single cells: densities and clusters beside FactorAnalysis and PCA.

    python benchmarks/counts.py --out counts.jsonl --seeds 0 1 2
    python benchmarks/counts.py --out counts.jsonl --report docs/benchmarks

Every fit uses one thread and appends a line to the results; what is there already is
not run again. The second command writes the table. Sets are read from the folder
`counts` of the one that SKVAE_DATA names.
"""

import time
from functools import partial
from itertools import product

import numpy as np
import scipy.sparse as sp
from _datasets import data_folder
from _results import key, mean_over_seeds, read, record, run_or_report
from scipy.special import log_ndtr, logsumexp
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.metrics import adjusted_rand_score

from skvae import VAETransformer
from skvae.likelihoods import NegativeBinomial, Poisson, ZeroInflatedNegativeBinomial

NAMES = ("starmap_mpfc", "worm_neuron", "mouse_bladder")
N_COMPONENTS = 10
N_COLUMNS = 1000
N_DRAWS = 128
WIDER = 1.5
"""Standard deviation of draws, per one of the posterior of log1p counts."""


class Cells:
    """Training and test rows of a set, and the type of each cell."""

    def __init__(self, name, seed):
        with np.load(data_folder() / "counts" / f"{name}.npz") as file:
            parts = {key: file[key] for key in file.files if key != "genes"}
        if "X" in parts:
            X = sp.csr_matrix(parts["X"].astype(float))
        else:
            csr = (parts["data"].astype(float), parts["indices"], parts["indptr"])
            X = sp.csr_matrix(csr, shape=parts["shape"])
        order = np.random.default_rng(seed).permutation(X.shape[0])
        test, train = np.split(order, [len(order) // 4])
        columns = most_variable(X[train])
        self.train = X[train][:, columns].toarray()
        self.test = X[test][:, columns].toarray()
        self.types, self.test_types = parts["labels"][train], parts["labels"][test]
        self.n_types = len(np.unique(parts["labels"]))

    def agreement(self, code):
        """Return the adjusted Rand index of k-means and types, of test rows."""
        index = []
        for seed in range(5):
            means = KMeans(self.n_types, n_init=10, random_state=seed)
            index.append(adjusted_rand_score(self.test_types, means.fit_predict(code)))
        return float(np.mean(index))


def most_variable(X):
    """Return the columns of greatest variance of log1p, of those that vary."""
    logs = X.log1p()
    variance = logs.power(2).mean(axis=0).A1 - np.square(logs.mean(axis=0).A1)
    columns = np.argsort(-variance, kind="stable")[:N_COLUMNS]
    return np.sort(columns[variance[columns] > 1e-12])


def log_interval(low, high):
    """Return the logarithm of a standard normal's mass of intervals."""
    upper = low > 0.0
    low, high = np.where(upper, -high, low), np.where(upper, -low, high)
    ratio = np.minimum(log_ndtr(low) - log_ndtr(high), -1e-12)
    return log_ndtr(high) + np.log1p(-np.exp(ratio))


def log_masses(model, X, seed):
    """Return log-masses that FactorAnalysis of log1p counts gives the counts.

    Those of log1p(x - 1/2) to log1p(x + 1/2), to the lowest of all where x is 0:
    importance-weighted over the components, as the densities of the others.
    """
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


def factor_analysis(cells, seed):
    """Return measures of FactorAnalysis of log1p counts, of discrete rows and not."""
    model = FactorAnalysis(N_COMPONENTS, random_state=seed).fit(np.log1p(cells.train))
    logs = np.log1p(cells.test)
    # The density of counts is that of their logarithms over d x / d log1p(x) = 1 + x.
    density = model.score_samples(logs) - logs.sum(axis=1)
    return {
        "density": float(density.mean()),
        "mass": float(log_masses(model, cells.test, seed).mean()),
        "ari": cells.agreement(model.transform(logs)),
    }


def pca(cells, seed, share=False):
    """Return measures of PCA of log1p counts, at the same total if asked."""
    typical = np.median(cells.train.sum(axis=1))

    def logs(X):
        total = np.maximum(X.sum(axis=1, keepdims=True), 1.0)
        return np.log1p(X * (typical / total if share else 1.0))

    model = PCA(N_COMPONENTS, random_state=seed).fit(logs(cells.train))
    return {"ari": cells.agreement(model.transform(logs(cells.test)))}


def vae(cells, seed, likelihood):
    """Return measures of a VAE."""
    model = VAETransformer(
        N_COMPONENTS, likelihood=likelihood, n_iter_no_change=10, random_state=seed
    )
    model.fit(cells.train)
    scores = model.score_samples(cells.test, n_draws=N_DRAWS)
    return {
        "given_total" if likelihood.size_factor else "mass": float(scores.mean()),
        "ari": cells.agreement(model.transform(cells.test)),
        "n_iter": model.n_iter_,
        "start": -model.validation_curve_[0],
        "best": -model.best_loss_,
    }


def dispersion(cells, seed):
    """Return variance over mean of counts, the total and type of a row being known.

    Of columns with a mean count above 0.1, the median. Chance alone makes it one.
    """
    X = cells.train
    squares = expected = 0.0
    for kind in np.unique(cells.types):
        rows = X[cells.types == kind]
        share = rows.sum(axis=0) / max(rows.sum(), 1.0)
        mean = rows.sum(axis=1, keepdims=True) * share
        squares = squares + np.square(rows - mean).sum(axis=0)
        expected = expected + mean.sum(axis=0)
    frequent = X.mean(axis=0) > 0.1
    return {"dispersion": float(np.median(squares[frequent] / expected[frequent]))}


METHODS = {
    "data": dispersion,
    "FactorAnalysis": factor_analysis,
    "PCA": pca,
    "PCA, same total": lambda cells, seed: pca(cells, seed, share=True),
    "Poisson": lambda cells, seed: vae(cells, seed, Poisson()),
    "NB": lambda cells, seed: vae(cells, seed, NegativeBinomial()),
    "ZINB": lambda cells, seed: vae(cells, seed, ZeroInflatedNegativeBinomial()),
    "NB, size factors": lambda cells, seed: vae(cells, seed, NegativeBinomial(True)),
}


def measure(cells, method, seed):
    """Return the measures of a method, and its CPU time."""
    begin = time.process_time()
    measures = METHODS[method](cells, seed)
    return {**measures, "cpu": time.process_time() - begin}


def run(path, names, methods, seeds):
    """Run what is not in the results yet."""
    done = read(path)
    for seed, name in product(seeds, names):
        cells = None
        for method in methods:
            line = {"name": name, "method": method, "seed": seed}
            if key(line) not in done:
                cells = cells or Cells(name, seed)
                record(path, line, partial(measure, cells, method, seed))


def table(results, measure, methods, form):
    """Return a reStructuredText table, a row per method."""
    lines = [".. list-table::", "   :header-rows: 1", "", "   * - Method"]
    lines += [f"     - {name}" for name in NAMES]
    for method in methods:
        lines.append(f"   * - {method}")
        values = [
            mean_over_seeds(results, None, name, method, measure) for name in NAMES
        ]
        lines += [f"     - {'' if v is None else format(v, form)}" for v in values]
    return "\n".join(lines)


def report(path, folder):
    """Write the page, and print whether the claims hold."""
    results = read(path)
    own = [m for m in METHODS if m != "data"]
    unconditional = ("FactorAnalysis", "Poisson", "NB", "ZINB")
    conditional = ("NB, size factors",)
    page = PAGE.format(
        n_components=N_COMPONENTS,
        n_columns=N_COLUMNS,
        n_draws=N_DRAWS,
        n_seeds=len({seed for *_, seed in results}),
        mass=table(results, "mass", unconditional, ".1f"),
        density=table(results, "density", ("FactorAnalysis",), ".1f"),
        given_total=table(results, "given_total", conditional, ".1f"),
        dispersion=table(results, "dispersion", ("data",), ".2f"),
        ari=table(results, "ari", own, ".3f"),
        cpu=table(results, "cpu", own, ".1f"),
    )
    (folder / "counts.rst").write_text(page)
    for measure, better, worse in CLAIMS:
        for name in NAMES:
            a = mean_over_seeds(results, None, name, better, measure)
            b = mean_over_seeds(results, None, name, worse, measure)
            if None not in (a, b):
                verdict = "ok  " if a > b else "FAIL"
                print(
                    f"{verdict} {measure} {better} > {worse}, {name}: {a:.3f} {b:.3f}"
                )


CLAIMS = (
    ("mass", "NB", "Poisson"),
    ("mass", "Poisson", "FactorAnalysis"),
    ("mass", "NB", "FactorAnalysis"),
    ("ari", "Poisson", "PCA"),
    ("ari", "NB", "PCA"),
    ("ari", "NB, size factors", "PCA"),
    ("ari", "NB, size factors", "PCA, same total"),
)

PAGE = """\
======================
Counts of single cells
======================

.. Written by benchmarks/counts.py --report.

Raw counts of three sets of single cells, {n_components} components, one thread, means
over {n_seeds} random split(s) with a quarter of the rows held out. Of sets with more
columns, the {n_columns} whose log1p varies most over training rows. The VAE has its
defaults, but stops after 10 epochs without improvement.

Held-out log-likelihood
=======================

Nats per row, importance-weighted with {n_draws} draws. All are logarithms of
probabilities. `FactorAnalysis` is fitted to log1p counts, and what it says of a count
:math:`x` is its probability of the interval from :math:`\\log(1 + x - 1/2)` to
:math:`\\log(1 + x + 1/2)`, and of all below for zero.

{mass}

The *density* of `FactorAnalysis`, brought to counts with the Jacobian
:math:`-\\sum_j \\log(1 + x_j)`, is no probability of counts. Where a column is nearly
always zero it is a spike, whose height exceeds one and grows without limit as the
noise shrinks; it cannot be set beside the figures above.

{density}

With size factors, the likelihood is given each row's total, so that this figure cannot
be set beside those above either:

{given_total}

How much more than by chance counts vary: variance over mean at known total and type of
the cell, median over columns with a mean count above 0.1. Where it is well above one,
a Poisson likelihood pays for all that the components do not explain.

{dispersion}

Clusters
========

Adjusted Rand index of k-means and the types of cells, held-out rows, as many clusters
as types, mean over 5 starts. "Same total" is PCA of log1p of counts brought to the
median total.

{ari}

Seconds of CPU time
===================

To fit and measure:

{cpu}
"""


if __name__ == "__main__":
    run_or_report(__doc__, NAMES, METHODS, run, report)
