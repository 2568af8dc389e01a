"""How good default fits are, on many real data sets, beside PCA and other packages."""

from functools import partial
from types import SimpleNamespace

import claims
import data
import fits
import numpy as np
import pandas as pd
from figures import draw_quality
from harness import Method, SkippedCase, scalars
from pages import table
from results import Results
from scipy.spatial import procrustes
from sklearn.manifold import trustworthiness
from sklearn.neighbors import KNeighborsClassifier

N_NEIGHBORS = 12
MOST_MAP_ROWS = 2000
TIE = 1e-4
"""Difference of two R2, or of nats of the same linear model, that float32 can make."""

SPLITS = {f"{k} components": k for k in (2, 8, 16)}
MAPS = "2 components"
SET_ASIDE = "omniglot", "china_patches", "credit", "adult", "tmc2007", "fashion_mnist"
"""Data sets that were not looked at until the defaults were fixed."""

VAE, AE, PCA = "VAETransformer", "AutoencoderTransformer", "PCA"
FA, CLASSIC, MLP = "FactorAnalysis", "classic VAE", "MLPRegressor"
ENCDR, PYTHAE, PYOD, UMAP = "encdr, autoencoder", "pythae", "pyod", "UMAP"
SHORT = {FA: "FA", AE: "AE", VAE: "VAE", CLASSIC: "classic", MLP: "MLP", ENCDR: "encdr"}
METHODS = {
    PCA: Method("fits:pca"),
    FA: Method("fits:factor_analysis"),
    AE: Method("fits:autoencoder"),
    VAE: Method("fits:vae"),
    CLASSIC: Method("fits:classic"),
    MLP: Method("fits:mlp"),
    ENCDR: Method("peers:encdr", {}, "encdr"),
    PYTHAE: Method("peers:pythae", {}, "pythae"),
    PYOD: Method("peers:pyod", {}, "pyod"),
    UMAP: Method("peers:umap", {}, "umap", (MAPS,)),
}
CASES = [(name, split) for name in data.LOADERS for split in SPLITS]
N_SEEDS, N_THREADS = 3, 1

CASE = "data", "split"


def group(name):
    """Return whether a data set was looked at while the defaults were chosen."""
    return "set aside" if name in SET_ASIDE else "looked at"


def problem(case, max_rows):
    """Return the rows of a case, the number of components and the seed."""
    rows = data.split(case.data, case.seed, max_rows)
    k, n_columns = SPLITS[case.split], rows["X"].shape[1]
    if k >= n_columns:
        raise SkippedCase(f"{k} components of {n_columns} columns")
    return rows | {"k": k, "seed": case.seed}


def r2(X, X_test, back):
    """Return 1 - error / variance, summed over columns that each have variance one."""
    mean, scale = X.mean(0), X.std(0)
    error = np.square((X_test - back) / scale).sum()
    return float(1 - error / np.square((X_test - mean) / scale).sum())


def neighborhoods(rows, Z):
    """Return trustworthiness and continuity of a map of test rows."""
    rows, Z = rows[:MOST_MAP_ROWS], Z[:MOST_MAP_ROWS]
    k = min(N_NEIGHBORS, (len(rows) - 1) // 2)
    return {
        "trustworthiness": float(trustworthiness(rows, Z, n_neighbors=k)),
        "continuity": float(trustworthiness(Z, rows, n_neighbors=k)),
    }


def agreement(Z, other):
    """Return the Procrustes R2 of two maps of the same rows; 0 if one is a point."""
    if min(np.ptp(Z), np.ptp(other)) == 0:
        return 0.0
    return float(1 - procrustes(Z, other)[2])


def density_gain(density, linear):
    """Return the mean density, its gain over a linear model's and that one's error."""
    gain = density - linear
    error = gain.std(ddof=1) / np.sqrt(len(gain))
    means = {"loglik": density.mean(), "gain": gain.mean(), "gain_se": error}
    return {name: float(value) for name, value in means.items()}


def measure(case, problem, answer):
    """Return all measures of an answer."""
    X, X_test, Z = problem["X"], problem["X_test"], answer["test"]
    known = {"n_train": len(X), "n_columns": X.shape[1]}
    known |= scalars(answer)
    if "density" in answer:
        linear = fits.pca(SimpleNamespace(**problem))["density"]
        known |= density_gain(answer["density"], linear)
    for rows, name in (("back", "r2"), ("back_posterior", "r2_posterior")):
        if rows in answer:
            known[name] = r2(X, X_test, answer[rows])
    if case.split == MAPS:
        known |= neighborhoods(X_test / X.std(0), Z)
    if "y" in problem:
        neighbors = KNeighborsClassifier(5).fit(answer["train"], problem["y"])
        known["accuracy"] = float(neighbors.score(Z, problem["y_test"]))
    if "test_of_other_seed" in answer:
        known["procrustes"] = agreement(Z, answer["test_of_other_seed"])
    return known


COMPARISONS = (
    ("gain", VAE, PCA, 0.9),
    ("r2", VAE, PCA, 0.85),
    ("r2", AE, PCA, 0.9),
    *(("loglik", VAE, other, 0.95) for other in (CLASSIC, PYTHAE)),
    *(("r2", VAE, other, 0.95) for other in (ENCDR, MLP, PYOD)),
    *(("r2", VAE, other, None) for other in (PYTHAE, CLASSIC)),
    *(("r2", AE, other, None) for other in (ENCDR, MLP)),
    ("loglik", VAE, FA, None),
    *(("trustworthiness", VAE, other, None) for other in (PCA, UMAP)),
    ("continuity", VAE, UMAP, None),
    *(("accuracy", VAE, other, None) for other in (PCA, AE, CLASSIC)),
)
"""(measure, method, a method that it is to beat, in which fraction of the cases)."""

TITLES = {"r2": "R2", "loglik": "log-likelihood", "gain": "log-likelihood"}


def bounds(results):
    """Yield (name, text, where it holds, fraction needed) of the other claims."""
    gain, error = results.pair(("gain", VAE), ("gain_se", VAE))
    text = "log-likelihood: VAETransformer >= probabilistic PCA - 1 standard error"
    yield "density", text, gain >= -error - TIE, 1.0
    pca, posterior = ("r2", PCA), ("r2_posterior", PCA)
    for name, text, one, other, slack in (
        ("posterior", f"R2: {VAE} >= probabilistic PCA", ("r2", VAE), posterior, TIE),
        ("near", f"R2: {VAE} >= PCA - 0.03", ("r2", VAE), pca, 0.03),
        ("AE near", f"R2: {AE} >= PCA - 0.01", ("r2", AE), pca, 0.01),
        ("collapse", f"{VAE}: no collapse", ("n_active", VAE), ("n_signal", PCA), 0.0),
    ):
        a, b = results.pair(one, other)
        yield name, text, a >= b - slack, 1.0
    agree = results.get("procrustes", VAE).dropna() >= 0.9
    yield "agree", f"{VAE}: Procrustes R2 of two seeds >= 0.9", agree, 0.8


def verdicts(results):
    """Return the claims by name."""
    made = {name: claims.fraction(*claim, group) for name, *claim in bounds(results)}
    for measure, one, other, needed in COMPARISONS:
        a, b = results.pair((measure, one), (measure, other))
        rival = "probabilistic PCA" if measure == "gain" else other
        text = f"{TITLES.get(measure, measure)}: {one} > {rival}"
        name = f"{measure} {one} {other}"
        made[name] = claims.fraction(text, a > b, needed, group)
    return made


def map_table(results):
    """Return the measures of maps, over the data sets that all methods ran on."""
    maps = Results(results.rows[results.rows["split"] == MAPS])
    seconds = maps.table("seconds", METHODS)
    common = seconds.dropna().index
    frame = pd.DataFrame({"data sets": str(len(common))}, seconds.columns)
    for measure in ("trustworthiness", "continuity", "accuracy"):
        frame[measure] = maps.table(measure, METHODS).reindex(common).mean()
    fits = {name: maps.get("seconds", name)[common] for name in METHODS}
    frame["seconds"] = [f"{fits[name].median():.2f}" for name in METHODS]
    return table(frame, "method", 3)


def case_table(results):
    """Return the measures of each data set and number of components."""
    shown = {
        "rows": results.table("n_train", [PCA], CASE)[PCA],
        "columns": results.table("n_columns", [PCA], CASE)[PCA],
        "R2 PCA": results.table("r2", [PCA], CASE)[PCA],
        "R2 PPCA": results.table("r2_posterior", [PCA], CASE)[PCA],
    }
    for measure, title in (("r2", "R2"), ("gain", "ll")):
        for name, values in results.table(measure, list(METHODS)[1:], CASE).items():
            shown[f"{title} {SHORT.get(name, name)}"] = values
    frame = pd.concat(shown, axis=1, sort=False).dropna(axis=1, how="all")
    frame = frame.sort_values("rows", kind="stable")
    for name in ("rows", "columns"):
        frame[name] = frame[name].map("{:.0f}".format)
    frame.insert(2, "k", [str(SPLITS[split]) for _, split in frame.index])
    seconds = results.table("seconds", [VAE], CASE)[VAE]
    frame["VAE seconds"] = seconds[frame.index].map("{:.1f}".format)
    frame.index = [name + " \\*" * (name in SET_ASIDE) for name, _ in frame.index]
    return table(frame, "data set", 2)


def fields(results):
    """Return what fills the page."""
    gain = results.table("gain", [VAE], CASE)[VAE]
    names = gain.index.get_level_values("data").unique()
    below = [f"{name} ({split})" for name, split in gain.index[gain < 0]]
    vae, pca = results.pair(("r2", VAE), ("r2", PCA))
    seconds = results.get("seconds", VAE)
    groups = [group(name) for name in names]
    return {
        "n_sets": len(names),
        "n_sets_of": {name: groups.count(name) for name in groups},
        "n_neighbors": N_NEIGHBORS,
        "below": ", ".join(below) or "none",
        "lost_r2": (pca - vae).max(),
        "seconds": {name: seconds[name].max() for name in ("iris", "digits")},
        "maps": map_table(results),
        "table": case_table(results),
    }


draw = partial(draw_quality, group_of=group)
