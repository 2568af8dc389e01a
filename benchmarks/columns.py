"""Imputation and outliers, beside scikit-learn's imputers and pyod's detectors.

    python benchmarks/columns.py --out columns.jsonl
    python benchmarks/columns.py --out columns.jsonl --peer PEERS/pyod/bin/python
    python benchmarks/columns.py --out columns.jsonl --report docs/benchmarks

Every fit uses one thread and appends a line to the results; what is there already is
not run again. The second command adds pyod's PCA and variational autoencoder, from an
environment that holds pyod. The third writes the tables.
"""

import argparse
import json
import subprocess
import sys
import time
from functools import partial
from itertools import product
from pathlib import Path
from textwrap import fill

import numpy as np
from _results import key, mean_over_seeds, read, record

IMPUTATION = ("banknote", "breast", "concrete", "wine_red", "wine_white", "yeast")
ANOMALY = (
    "breastw",
    "WDBC",
    "Pima",
    "cardio",
    "thyroid",
    "musk",
    "satimage-2",
    "satellite",
    "pendigits",
    "annthyroid",
    "mammography",
    "magic.gamma",
)
IMPUTERS = (
    "VAEImputer",
    "SimpleImputer",
    "KNNImputer",
    "IterativeImputer",
    "IterativeImputer, trees",
)
SEEDS = (0, 1, 2)
N_IMPUTATIONS = 200


def imputers(seed):
    """Return the imputers by name, with their defaults."""
    from sklearn.ensemble import ExtraTreesRegressor
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

    from skvae import VAEImputer

    trees = ExtraTreesRegressor(100, random_state=seed)
    made = (
        VAEImputer(random_state=seed),
        SimpleImputer(),
        KNNImputer(),
        IterativeImputer(random_state=seed),
        IterativeImputer(trees, random_state=seed),
    )
    return dict(zip(IMPUTERS, made, strict=True))


def complete_table(name):
    """Return a table without missing cells, standardized."""
    import pandas as pd
    from _datasets import data_folder
    from sklearn.datasets import load_breast_cancer

    if name == "breast":
        X = load_breast_cancer().data
    else:
        table = pd.read_csv(data_folder() / "uci" / f"{name}.csv.gz")
        X = table.drop(columns="class", errors="ignore").to_numpy(float)
    return (X - X.mean(axis=0)) / X.std(axis=0)


def imputation(name, method, seed):
    """Hide half of the cells at random; return the squared error of those."""
    X = complete_table(name)
    missing = np.random.default_rng(seed).random(X.shape) < 0.5
    rows = np.where(missing, np.nan, X)
    imputer = imputers(seed)[method]
    begin = time.process_time()
    filled = imputer.fit_transform(rows)
    seconds = time.process_time() - begin
    result = {"error": float(np.square(filled - X)[missing].mean()), "cpu": seconds}
    if hasattr(imputer, "estimator_"):
        drawn = imputer.estimator_.impute(rows, n_draws=N_IMPUTATIONS)
        low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
        result["covered"] = float(((low <= X) & (high >= X))[missing].mean())
    return result


def contaminated(name):
    """Return standardized rows and which of them are anomalies."""
    from _datasets import data_folder

    with np.load(data_folder() / "anomaly" / f"{name}.npz") as file:
        X, y = file["X"].astype(float), file["y"]
    scale = X.std(axis=0)
    return (X - X.mean(axis=0)) / np.where(scale > 0.0, scale, 1.0), y


def anomaly(name, method, seed):
    """Fit to all rows; return the area under the ROC curve of the anomalies."""
    from sklearn.metrics import roc_auc_score

    from skvae import VAEOutlierDetector

    X, y = contaminated(name)
    begin = time.process_time()
    detector = VAEOutlierDetector(random_state=seed).fit(X)
    seconds = time.process_time() - begin
    auc = roc_auc_score(y, -detector.score_samples(X))
    return {"auc": float(auc), "cpu": seconds}


def peer(names):
    """Print a line for each fit of pyod's detectors; runs where pyod is installed."""
    import torch
    from pyod.models.pca import PCA
    from pyod.models.vae import VAE
    from sklearn.metrics import roc_auc_score

    torch.set_num_threads(1)
    for name, seed in product(names, SEEDS):
        X, y = contaminated(name)
        for method, detector in (
            ("pyod PCA", PCA(random_state=seed)),
            ("pyod VAE", VAE(random_state=seed, verbose=0, device="cpu")),
        ):
            begin = time.process_time()
            detector.fit(X)
            seconds = time.process_time() - begin
            auc = float(roc_auc_score(y, detector.decision_scores_))
            line = {"task": "anomaly", "name": name, "method": method, "seed": seed}
            print(json.dumps({**line, "auc": auc, "cpu": seconds}), flush=True)


TASKS = {
    "imputation": (imputation, IMPUTATION, IMPUTERS),
    "anomaly": (anomaly, ANOMALY, ("VAEOutlierDetector",)),
}


def run(path, tasks, names, methods, seeds):
    """Run what is not in the results yet."""
    done = read(path)
    for task, seed in product(tasks, seeds):
        measure, known, all_methods = TASKS[task]
        for name, method in product(known, all_methods):
            line = {"task": task, "name": name, "method": method, "seed": seed}
            wanted = name in (names or known) and method in (methods or all_methods)
            if key(line) in done or not wanted:
                continue
            record(path, line, partial(measure, name, method, seed))


def run_peer(path, python, names):
    """Append what pyod's detectors give."""
    done = read(path)
    names = [n for n in names or ANOMALY if ("anomaly", n, "pyod VAE", 2) not in done]
    command = [python, __file__, "--as-peer", *names]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    with path.open("a") as file:
        file.write(answer.stdout)


def table(results, task, value, rows, columns, best):
    """Return a reStructuredText table, the best of each row in bold."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for i, cell in enumerate(("Data", *columns)):
        lines.append(f"   {'* -' if not i else '  -'} {cell}")
    for name in rows:
        values = [mean_over_seeds(results, task, name, c, value) for c in columns]
        known = [v for v in values if v is not None]
        lines.append(f"   * - {name}")
        for v in values:
            text = "" if v is None else f"{v:.3f}"
            is_best = v is not None and v == best(known)
            lines.append(f"     - {f'**{text}**' if is_best else text}".rstrip())
    return "\n".join(lines)


def imputation_verdict(results, methods):
    """Return on how many tables `VAEImputer` has the least error, as text."""
    wins, others = [], [method for method in methods if method != "VAEImputer"]
    for name in IMPUTATION:
        errors = {
            m: mean_over_seeds(results, "imputation", name, m, "error") for m in methods
        }
        if errors["VAEImputer"] < min(errors[m] for m in others):
            wins.append(name)
    return f"VAEImputer has the least error on {len(wins)} of {len(IMPUTATION)} tables."


def anomaly_verdict(results):
    """Return on which tables the detector is behind the others, as text."""

    def auc(name, method):
        return mean_over_seeds(results, "anomaly", name, method, "auc")

    own = {name: auc(name, "VAEOutlierDetector") for name in ANOMALY}
    behind = [n for n in ANOMALY if own[n] < auc(n, "pyod PCA") - 0.02]
    below = [n for n in ANOMALY if own[n] <= auc(n, "pyod VAE")]
    return (
        "VAEOutlierDetector is more than 0.02 behind PCA on "
        f"{', '.join(behind) or 'none'}, and not above pyod's variational autoencoder "
        f"on {', '.join(below) or 'none'}."
    )


def report(path, folder):
    """Write the page."""
    results = read(path)
    methods = TASKS["imputation"][2]
    detectors = ("VAEOutlierDetector", "pyod PCA", "pyod VAE")
    ours = ("VAEImputer",)
    n_seeds = len({seed for *_, seed in results})
    page = PAGE.format(
        n_seeds=n_seeds,
        imputation_verdict=imputation_verdict(results, methods),
        anomaly_verdict=fill(anomaly_verdict(results), 88),
        errors=table(results, "imputation", "error", IMPUTATION, methods, min),
        covered=table(results, "imputation", "covered", IMPUTATION, ours, lambda _: 0),
        seconds=table(results, "imputation", "cpu", IMPUTATION, methods, min),
        auc=table(results, "anomaly", "auc", ANOMALY, detectors, max),
        auc_seconds=table(results, "anomaly", "cpu", ANOMALY, detectors, min),
    )
    (folder / "columns.rst").write_text(page)


PAGE = """\
=======================
Imputation and outliers
=======================

Made by `benchmarks/columns.py`: defaults of every method, one thread, means over up
to {n_seeds} seeds.

Imputation
==========

Half of the cells of each table are hidden at random; the error is the mean square over
hidden cells, in standard deviations of the column. A seed is another mask.

{errors}

{imputation_verdict}

Part of the hidden cells that lie in the interval from the 5 % to the 95 % quantile of
200 imputations, which should be 0.9:

{covered}

Seconds of CPU time to fit and fill:

{seconds}

Outliers
========

Area under the ROC curve of the anomalies of ADBench's tables, all rows being training
rows:

{auc}

{anomaly_verdict}

Seconds of CPU time to fit:

{auc_seconds}
"""


def main():
    """Run, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--names", nargs="+")
    parser.add_argument("--methods", nargs="+")
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--peer", help="Python of an environment with pyod")
    parser.add_argument("--report", type=Path, help="folder of the page")
    parser.add_argument("--as-peer", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.as_peer:
        peer(options.as_peer)
    elif options.report:
        report(options.out, options.report)
    elif options.peer:
        run_peer(options.out, options.peer, options.names)
    else:
        run(
            options.out,
            options.tasks,
            options.names,
            options.methods,
            options.seeds,
        )


if __name__ == "__main__":
    sys.exit(main())
