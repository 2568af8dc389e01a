"""Imputation of mixed tables: numbers, counts, categories and levels side by side.

The tables, the types of their columns and the cells to hide are those of HI-VAE
(Nazabal et al. 2020, Pattern Recognition 107).
"""

from itertools import product

import claims
import data
import numpy as np
from harness import Method, scalars
from pages import table

TABLES = ("Adult", "Wine", "defaultCredit")
HIDDEN = {f"{percent} % hidden": percent for percent in (10, 20, 50)}
MOST_ROWS = 10_000
TYPES = {
    "real": "real numbers",
    "pos": "positive numbers",
    "count": "counts",
    "cat": "categories",
    "ordinal": "levels",
}
OWN = "VAEImputer"
CASE = "data", "split"

CASES = list(product(TABLES, HIDDEN))
METHODS = {
    OWN: Method("mixed:vae"),
    "mean or mode": Method("mixed:mean_or_mode"),
    "IterativeImputer": Method("mixed:iterative"),
}
N_SEEDS, N_THREADS = 1, 1


def problem(case, max_rows):
    """Return a table, its types, and the cells to hide; at most 10,000 random rows."""
    stored = data.arrays(f"hivae/{case.data}")
    full = stored["x"]
    order = np.random.default_rng(0).permutation(len(full))[: max_rows or MOST_ROWS]
    hidden = stored[f"missing_{HIDDEN[case.split]}_1"][order]
    full = full[order]
    rows = {"X": np.where(hidden, np.nan, full), "full": full, "hidden": hidden}
    known = {"types": stored["type"], "n_levels": stored["nclass"]}
    return rows | known | {"seed": case.seed}


def columns(problem):
    """Return the type and the observed cells of each column."""
    columns = (column[~np.isnan(column)] for column in problem.X.T)
    return zip(problem.types, columns, strict=True)


def typical(kind, observed):
    """Return the most frequent category, the median level or the mean number."""
    if kind == "cat":
        known, counts = np.unique(observed, return_counts=True)
        return known[counts.argmax()]
    return np.median(observed) if kind == "ordinal" else observed.mean()


def mean_or_mode(problem):
    """Fill in what is typical of each column."""
    fill = [typical(*column) for column in columns(problem)]
    return {"filled": np.where(np.isnan(problem.X), fill, problem.X)}


def indicators(codes):
    """Return indicators of all categories but the most frequent, and the categories.

    With an indicator of that one, too, each would follow from the others, which are
    missing in the same rows, and no imputation would ever move from the start.
    """
    known, counts = np.unique(codes[~np.isnan(codes)], return_counts=True)
    known = known[np.argsort(-counts)]
    made = (codes[:, None] == known[1:]).astype(float)
    made[np.isnan(codes)] = np.nan
    return made, known


def iterative(problem):
    """Fill in with ridge regressions among standardized columns and indicators.

    A category is that of the largest indicator, a level the nearest whole number.
    """
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer
    from sklearn.preprocessing import StandardScaler

    X, is_cat = problem.X, problem.types == "cat"
    cats, numbers = np.flatnonzero(is_cat), np.flatnonzero(~is_cat)
    scaler = StandardScaler()
    encoded = [indicators(column) for column in X[:, cats].T]
    blocks = [scaler.fit_transform(X[:, numbers]), *(block for block, _ in encoded)]
    imputer = IterativeImputer(random_state=problem.seed)
    ends = np.cumsum([block.shape[1] for block in blocks])[:-1]
    blocks = np.split(imputer.fit_transform(np.hstack(blocks)), ends, axis=1)
    filled = X.copy()
    filled[:, numbers] = scaler.inverse_transform(blocks[0])
    for column, block, (_, known) in zip(cats, blocks[1:], encoded, strict=True):
        first = 1.0 - block.sum(axis=1, keepdims=True)
        filled[:, column] = known[np.hstack((first, block)).argmax(axis=1)]
    for column in np.flatnonzero(problem.types == "ordinal"):
        levels = filled[:, column].round()
        filled[:, column] = levels.clip(*np.nanquantile(X[:, column], [0, 1]))
    return {"filled": filled}


def likelihood_of(kind, observed):
    """Return the likelihood of a column, from its type and its observed cells."""
    from skvae.likelihoods import Gaussian, LogNormal

    if kind == "count":
        is_wide = observed.var() > observed.mean()
        return "negative_binomial" if is_wide else "poisson"
    if kind in ("pos", "real"):
        is_positive = kind == "pos" and observed.min() > 0
        return LogNormal("column") if is_positive else Gaussian("column")
    return {"cat": "categorical", "ordinal": "ordinal"}[kind]


def vae(problem):
    """Fill in with the defaults of `VAEImputer` and the likelihoods of the types."""
    from skvae import VAEImputer

    likelihoods = [likelihood_of(*column) for column in columns(problem)]
    by_column = dict(enumerate(likelihoods))
    imputer = VAEImputer(likelihood=by_column, random_state=problem.seed)
    filled = imputer.fit_transform(problem.X)
    return {"filled": filled, "n_iter": imputer.n_iter_}


def column_error(kind, true, got, span, n_levels):
    """Return the error of a column over its hidden cells."""
    if kind == "cat":
        return np.mean(true != got)
    if kind == "ordinal":
        return np.abs(true - got).mean() / n_levels
    return np.sqrt(np.square(true - got).mean()) / span


def measure(case, problem, answer):
    """Return the mean error over the columns of each type, and the CPU time."""
    full, filled, types = problem["full"], answer["filled"], problem["types"]
    hidden = problem["hidden"] & ~np.isnan(full)
    spans = np.nanmax(full, axis=0) - np.nanmin(full, axis=0)
    errors = [
        column_error(kind, full[h, j], filled[h, j], spans[j], problem["n_levels"][j])
        for j, (kind, h) in enumerate(zip(types, hidden.T, strict=True))
    ]
    return scalars(answer) | {
        kind: float(np.array(errors)[types == kind].mean())
        for kind in TYPES
        if kind in types
    }


def verdicts(results):
    """Return the claims by name."""
    made = {}
    for kind, title in TYPES.items():
        # To the decimals that are kept of VAEImputer; a tie is not the least.
        errors = results.table(kind, METHODS, CASE).round(3)
        least = errors[OWN] < errors.drop(columns=OWN).min(axis=1)
        made[kind] = claims.fraction(f"{OWN} has the least error, {title}", least)
    return made


def fields(results):
    """Return what fills the page."""
    tables = {}
    for measure in (*TYPES, "cpu"):
        means = results.table(measure, METHODS, CASE).round(3)
        means.index = [", ".join(case) for case in means.index]
        tables[measure] = table(means, "data", 3, "min")
    seconds = results.table("cpu", METHODS, CASE)
    spans = {name: (x.min(), x.max()) for name, x in seconds.items()}
    return {"tables": tables, "most_rows": MOST_ROWS, "seconds": spans}
