"""Imputation of mixed tables: numbers, counts, categories and levels side by side.

    python benchmarks/mixed.py --out mixed.jsonl
    python benchmarks/mixed.py --out mixed.jsonl --report docs/benchmarks

The tables, the types of their columns and the cells to hide are those of HI-VAE
(Nazabal et al. 2020, Pattern Recognition 107). Every fit uses one thread and appends a
line to the results; what is there already is not run again. The second command writes
the page.
"""

import time
from functools import partial
from itertools import product
from typing import NamedTuple

import numpy as np
from _results import key, mean_over_seeds, read, record, run_or_report
from columns import table

NAMES = ("Adult", "Wine", "defaultCredit")
HIDDEN = (10, 20, 50)
MOST_ROWS = 10_000
CASES = [f"{name}, {percent} %" for name, percent in product(NAMES, HIDDEN)]
RMSE = "Root mean squared error over the range of the column:"
ERRORS = {
    "real": ("Real numbers", RMSE),
    "pos": ("Positive numbers", RMSE),
    "count": ("Counts", RMSE),
    "cat": ("Categories", "Part of the cells that got another category:"),
    "ordinal": ("Levels", "Mean distance from the true level over the number of them:"),
}


class Table(NamedTuple):
    """A table, what its columns are, and which cells to hide."""

    X: np.ndarray
    types: np.ndarray
    n_levels: np.ndarray
    hidden: np.ndarray

    @property
    def rows(self):
        """The table without the cells to hide."""
        return np.where(self.hidden, np.nan, self.X)

    def columns(self, *types):
        """Return the positions of the columns of some types."""
        return np.flatnonzero(np.isin(self.types, types))


def load(name, percent):
    """Return a table, or 10,000 of its rows at random if it has more."""
    from _datasets import data_folder

    with np.load(data_folder() / "hivae" / f"{name}.npz") as file:
        X, hidden = file["x"], file[f"missing_{percent}_1"]
        types, n_levels = file["type"], file["nclass"]
    order = np.random.default_rng(0).permutation(len(X))[:MOST_ROWS]
    return Table(X[order], types, n_levels, hidden[order])


def mean_or_mode(table, seed):
    """Fill in the mean of numbers, the median level, the most frequent category."""
    from sklearn.impute import SimpleImputer

    filled = table.rows
    for strategy, types in (
        ("mean", ("real", "pos", "count")),
        ("median", ("ordinal",)),
        ("most_frequent", ("cat",)),
    ):
        columns = table.columns(*types)
        if len(columns):
            imputer = SimpleImputer(strategy=strategy)
            filled[:, columns] = imputer.fit_transform(filled[:, columns])
    return filled, {}


def indicators(codes):
    """Return indicators of all categories but the most frequent, and the categories.

    With that one too, each indicator would follow from the others, which are missing
    where it is, and no imputation would ever move from the start.
    """
    known, counts = np.unique(codes[~np.isnan(codes)], return_counts=True)
    known = known[np.argsort(-counts)]
    made = (codes[:, None] == known[1:]).astype(float)
    made[np.isnan(codes)] = np.nan
    return made, known


def iterative(table, seed):
    """Fill in with ridge regressions among standardized columns and indicators.

    A category is that of the largest indicator, a level the nearest whole number.
    """
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer
    from sklearn.preprocessing import StandardScaler

    rows, cats = table.rows, table.columns("cat")
    numbers = np.setdiff1d(np.arange(rows.shape[1]), cats)
    scaler = StandardScaler()
    encoded = [indicators(column) for column in rows[:, cats].T]
    parts = [scaler.fit_transform(rows[:, numbers]), *(part for part, _ in encoded)]
    imputer = IterativeImputer(random_state=seed)
    ends = np.cumsum([part.shape[1] for part in parts])[:-1]
    parts = np.split(imputer.fit_transform(np.hstack(parts)), ends, axis=1)
    filled = rows.copy()
    filled[:, numbers] = scaler.inverse_transform(parts[0])
    for column, part, (_, known) in zip(cats, parts[1:], encoded, strict=True):
        first = 1.0 - part.sum(axis=1, keepdims=True)
        filled[:, column] = known[np.hstack((first, part)).argmax(axis=1)]
    for column in table.columns("ordinal"):
        observed = rows[:, column][~np.isnan(rows[:, column])]
        levels = filled[:, column].round()
        filled[:, column] = levels.clip(observed.min(), observed.max())
    return filled, {}


def likelihood_of(kind, observed):
    """Return the likelihood of a column, from its type and its observed cells."""
    if kind == "pos":
        return "log_normal" if observed.min() > 0 else "gaussian"
    if kind == "count":
        is_wide = observed.var() > observed.mean()
        return "negative_binomial" if is_wide else "poisson"
    return {"real": "gaussian", "cat": "categorical", "ordinal": "ordinal"}[kind]


def likelihoods(table):
    """Return a likelihood for each column, noise of numbers being their own."""
    from skvae.likelihoods import Gaussian, LogNormal

    own = {"gaussian": Gaussian("column"), "log_normal": LogNormal("column")}
    names = [
        likelihood_of(kind, column[~np.isnan(column)])
        for kind, column in zip(table.types, table.rows.T, strict=True)
    ]
    return {j: own.get(name, name) for j, name in enumerate(names)}


def vae(table, seed):
    """Fill in with the defaults of `VAEImputer` and the likelihoods of the types."""
    from skvae import VAEImputer

    imputer = VAEImputer(likelihood=likelihoods(table), random_state=seed)
    filled = imputer.fit_transform(table.rows)
    return filled, {"n_iter": imputer.n_iter_}


METHODS = {
    "VAEImputer": vae,
    "mean or mode": mean_or_mode,
    "IterativeImputer": iterative,
}


def column_errors(table, filled):
    """Return the error of each column over its hidden cells."""
    hidden = table.hidden & ~np.isnan(table.X)
    errors = []
    for j, kind in enumerate(table.types):
        true, got = table.X[hidden[:, j], j], filled[hidden[:, j], j]
        if kind == "cat":
            errors.append(np.mean(true != got))
        elif kind == "ordinal":
            errors.append(np.abs(true - got).mean() / table.n_levels[j])
        else:
            span = np.ptp(table.X[~np.isnan(table.X[:, j]), j])
            errors.append(np.sqrt(np.square(true - got).mean()) / span)
    return np.array(errors)


def measure(name, percent, method, seed):
    """Return the mean error over the columns of each type, and the CPU time."""
    table = load(name, percent)
    begin = time.process_time()
    filled, more = METHODS[method](table, seed)
    seconds = time.process_time() - begin
    errors = column_errors(table, filled)
    by_type = {
        kind: float(errors[table.columns(kind)].mean())
        for kind in ERRORS
        if kind in table.types
    }
    return {**by_type, "columns": errors.round(4).tolist(), "cpu": seconds, **more}


def run(path, names, methods, seeds):
    """Run what is not in the results yet."""
    done = read(path)
    for seed, name, percent, method in product(seeds, names, HIDDEN, methods):
        case = f"{name}, {percent} %"
        line = {"task": "mixed", "name": case, "method": method, "seed": seed}
        if key(line) in done:
            continue
        record(path, line, partial(measure, name, percent, method, seed))


def verdict(results, kind, cases):
    """Return in how many cases the model is below both others, as text."""
    wins = 0
    for case in cases:
        errors = [mean_over_seeds(results, "mixed", case, m, kind) for m in METHODS]
        wins += errors[0] < min(errors[1:])
    return f"VAEImputer is below both others in {wins} of {len(cases)} cases."


def section(results, kind):
    """Return the heading, the table and the verdict of a type of column."""
    done = {(name, m) for (_, name, m, _), line in results.items() if kind in line}
    cases = [case for case in CASES if all((case, m) in done for m in METHODS)]
    title, measured = ERRORS[kind]
    shown = table(results, "mixed", kind, cases, METHODS, min)
    parts = (f"{title}\n{'=' * len(title)}", measured, shown)
    return "\n\n".join((*parts, verdict(results, kind, cases)))


def report(path, folder):
    """Write the page."""
    results = read(path)
    page = PAGE.format(
        most_rows=MOST_ROWS,
        n_seeds=len({seed for *_, seed in results}),
        sections="\n\n".join(section(results, kind) for kind in ERRORS),
        seconds=table(results, "mixed", "cpu", CASES, METHODS, min),
    )
    (folder / "mixed.rst").write_text(page)


PAGE = """\
============
Mixed tables
============

Made by `benchmarks/mixed.py`, with one thread and {n_seeds} seed(s). The tables, the
types of their columns and the cells to hide, 10, 20 and 50 % of all, are those of
HI-VAE [1]_. Of Adult and defaultCredit there are {most_rows:,} rows, chosen at random;
Wine has 6,497. Methods are fitted to the rows with hidden cells and fill those in. An
error is a mean over the columns of a type.

- *VAEImputer* has its defaults, and the likelihoods of the types. Real numbers are
  Gaussian. Positive ones are log-normal, or, where there are zeros among them, which a
  log-normal excludes, Gaussian. Counts are negative binomial where their variance is
  above their mean, else Poisson. Categories are categorical, levels ordinal.
- *mean or mode* is the mean of a column, of categories the most frequent, of levels the
  median.
- *IterativeImputer* has its defaults, ridge regressions, among standardized columns and
  indicators of categories. The most frequent category has no indicator: with it each
  indicator follows from the others of its column, which are missing where it is, and no
  imputation ever moves from the mode. Levels are rounded.

{sections}

Time
====

Seconds of CPU time to fit and fill, on a machine that did other work at the same time:

{seconds}

.. rubric:: References

.. [1] Nazabal, Olmos, Ghahramani & Valera (2020). Handling incomplete heterogeneous
   data using VAEs. Pattern Recognition 107. https://arxiv.org/abs/1807.03653
"""


if __name__ == "__main__":
    run_or_report(__doc__, NAMES, METHODS, run, report)
