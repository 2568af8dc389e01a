"""Imputation and outliers, beside imputers of scikit-learn and detectors of pyod."""

from functools import partial

import claims
import data
import numpy as np
from harness import Method, scalars
from pages import table
from worker import timed

HALF, OUTLIERS = "half hidden", "outliers"
TABLES = "banknote", "breast_cancer", "concrete", "wine_red", "wine_white", "yeast"
IMPUTERS = (
    *("VAEImputer", "SimpleImputer", "KNNImputer", "IterativeImputer"),
    "IterativeImputer, trees",
)
DETECTORS = OWN, PCA, VAE = "VAEOutlierDetector", "pyod PCA", "pyod VAE"
N_IMPUTATIONS = 200

CASES = [(name, HALF) for name in TABLES] + [(name, OUTLIERS) for name in data.ANOMALY]
METHODS = {
    **{
        name: Method("columns:impute", {"name": name}, "", (HALF,)) for name in IMPUTERS
    },
    OWN: Method("columns:detect", splits=(OUTLIERS,)),
    PCA: Method("peers:outliers", {"model": "PCA"}, "pyod", (OUTLIERS,)),
    VAE: Method("peers:outliers", {"model": "VAE"}, "pyod", (OUTLIERS,)),
}
N_SEEDS, N_THREADS = 3, 1


def problem(case, max_rows):
    """Return standardized rows; for imputation, half of their cells are missing."""
    X, y = data.standardized(case.data)
    X = X[:max_rows]
    if case.split == OUTLIERS:
        return {"X": X, "y": y[:max_rows], "seed": case.seed}
    hidden = np.random.default_rng(case.seed).random(X.shape) < 0.5
    return {"X": np.where(hidden, np.nan, X), "full": X, "seed": case.seed}


def imputer_of(name, seed):
    """Return an imputer with its defaults."""
    from sklearn.ensemble import ExtraTreesRegressor
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

    from skvae import VAEImputer

    imputers = (
        VAEImputer(random_state=seed),
        SimpleImputer(),
        KNNImputer(),
        IterativeImputer(random_state=seed),
        IterativeImputer(
            ExtraTreesRegressor(100, random_state=seed), random_state=seed
        ),
    )
    return dict(zip(IMPUTERS, imputers, strict=True))[name]


def impute(problem):
    """Fill in the missing cells; the VAE also gives an interval for each."""
    imputer = imputer_of(problem.name, problem.seed)
    filled, seconds = timed(imputer.fit_transform, problem.X)
    answer = {"filled": filled, **seconds}
    if problem.name == "VAEImputer":
        drawn = imputer.estimator_.impute(problem.X, n_draws=N_IMPUTATIONS)
        answer["low"], answer["high"] = np.quantile(drawn, [0.05, 0.95], axis=0)
    return answer


def detect(problem):
    """Fit to all rows; `outlyingness` is large for outliers."""
    from skvae import VAEOutlierDetector

    model, seconds = timed(VAEOutlierDetector(random_state=problem.seed).fit, problem.X)
    return {"outlyingness": -model.score_samples(problem.X), **seconds}


def measure(case, problem, answer):
    """Return the error over hidden cells, or the area under the ROC curve."""
    from sklearn.metrics import roc_auc_score

    measures = scalars(answer)
    if case.split == OUTLIERS:
        auc = roc_auc_score(problem["y"], answer["outlyingness"])
        return measures | {"auc": float(auc)}
    full, hidden = problem["full"], np.isnan(problem["X"])
    measures["mse"] = float(np.square(answer["filled"] - full)[hidden].mean())
    if "low" in answer:
        inside = (answer["low"] <= full) & (full <= answer["high"])
        measures["covered"] = float(inside[hidden].mean())
    return measures


def verdicts(results):
    """Return the claims by name."""
    mse, auc = results.table("mse", IMPUTERS), results.table("auc", DETECTORS)
    least = mse["VAEImputer"] < mse.drop(columns="VAEImputer").min(axis=1)
    text = f"area under the ROC curve: {OWN} >="
    near, above = auc[OWN] >= auc[PCA] - 0.02, auc[OWN] > auc[VAE]
    return {
        "mse": claims.fraction("VAEImputer has the least error", least, 1.0),
        "near": claims.fraction(f"{text} pyod's PCA - 0.02", near, 1.0),
        "above": claims.fraction(f"{text[:-1]} pyod's VAE", above),
    }


def fields(results):
    """Return what fills the page."""
    covered = results.table("covered", ["VAEImputer"])
    mse, auc = results.table("mse", IMPUTERS), results.table("auc", DETECTORS)
    shown = partial(table, title="data", form=3)
    return {
        "mse": shown(mse, best="min"),
        "covered": shown(covered),
        "seconds": shown(results.table("cpu", IMPUTERS), best="min"),
        "auc": shown(auc, best="max"),
        "auc_seconds": shown(results.table("cpu", DETECTORS), best="min"),
        "below": ", ".join(auc.index[auc[OWN] <= auc[VAE]]) or "none",
        "interval": (covered.to_numpy().min(), covered.to_numpy().max()),
        "n_imputations": N_IMPUTATIONS,
    }
