"""Methods of the quality benchmark, each fitted on raw rows and answering in them."""

import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler

from skvae import AutoencoderTransformer, VAETransformer

LEAST_NOISE = 1e-8
"""Least noise variance of a linear model of standardized columns.

The density of a table whose columns are exactly collinear has no upper bound.
"""


class Answer(NamedTuple):
    """What a method says of a case: rows in raw units, densities in nats."""

    seconds: float
    train: np.ndarray
    test: np.ndarray
    back: np.ndarray | None = None
    density: np.ndarray | None = None
    extra: dict = {}


def _scaled(case):
    scaler = StandardScaler().fit(case.X_train)
    return scaler, scaler.transform(case.X_train), scaler.transform(case.X_test)


def _rounding(case, scale):
    """Return the variance that rounding alone gives each standardized column.

    It is that of a column with steps of width w, w^2 / 12: noise below it would be told
    from which values are repeated. skvae keeps to the same floor.
    """
    gaps = [np.diff(np.unique(column)).min() for column in case.X_train.T]
    return np.square(gaps / scale) / 12


def pca(case, k, seed):
    """Fit PCA; `extra` tells the shrunk reconstruction of its probabilistic form."""
    started = time.perf_counter()
    scaler, train, test = _scaled(case)
    model = PCA(k, svd_solver="covariance_eigh").fit(train)
    least = max(LEAST_NOISE, _rounding(case, scaler.scale_).min())
    model.noise_variance_ = max(model.noise_variance_, least)
    seconds = time.perf_counter() - started
    code = model.transform(test)
    eigenvalues = np.maximum(model.explained_variance_, model.noise_variance_)
    signal = 1 - model.noise_variance_ / eigenvalues
    extra = {
        "back_posterior": scaler.inverse_transform(
            model.inverse_transform(code * signal)
        ),
        # Mean KL term of a component, were the data what the linear model says.
        "n_signal": int(np.sum(-0.5 * np.log1p(-signal) > 0.1)),
    }
    back = scaler.inverse_transform(model.inverse_transform(code))
    density = model.score_samples(test) - np.log(scaler.scale_).sum()
    return Answer(seconds, model.transform(train), code, back, density, extra)


def factor_analysis(case, k, seed):
    """Fit FactorAnalysis, which rebuilds a row from the posterior mean of its code."""
    started = time.perf_counter()
    scaler, train, test = _scaled(case)
    model = FactorAnalysis(k, random_state=seed).fit(train)
    least = np.maximum(LEAST_NOISE, _rounding(case, scaler.scale_))
    model.noise_variance_ = np.maximum(model.noise_variance_, least)
    seconds = time.perf_counter() - started
    code = model.transform(test)
    back = scaler.inverse_transform(code @ model.components_ + model.mean_)
    density = model.score_samples(test) - np.log(scaler.scale_).sum()
    return Answer(seconds, model.transform(train), code, back, density)


def mlp(case, k, seed):
    """Fit MLPRegressor as an autoencoder; its code is the middle layer."""
    started = time.perf_counter()
    scaler, train, test = _scaled(case)
    model = MLPRegressor(hidden_layer_sizes=(100, k, 100), random_state=seed)
    model.fit(train, train)
    seconds = time.perf_counter() - started

    def encode(rows):
        for weights, bias in zip(model.coefs_[:2], model.intercepts_[:2], strict=True):
            rows = np.maximum(rows @ weights + bias, 0)
        return rows

    back = scaler.inverse_transform(model.predict(test))
    return Answer(seconds, encode(train), encode(test), back)


def _fitted(model, case, extra):
    started = time.perf_counter()
    model.fit(case.X_train)
    seconds = time.perf_counter() - started
    code = model.transform(case.X_test)
    density = None
    extra = {"n_iter": model.n_iter_, **extra}
    if hasattr(model, "kl_per_component_"):
        density = model.score_samples(case.X_test)
        extra["n_active"] = int(np.sum(model.kl_per_component_ > 0.01))
    back = model.inverse_transform(code)
    return Answer(seconds, model.transform(case.X_train), code, back, density, extra)


def vae(case, k, seed):
    """Fit `VAETransformer` with its defaults, once more where two seeds are set
    beside each other.
    """
    extra = {}
    if k == 2 and seed == 0:
        other = VAETransformer(k, random_state=1000).fit(case.X_train)
        extra["code_of_other_seed"] = other.transform(case.X_test)
    return _fitted(VAETransformer(k, random_state=seed), case, extra)


def autoencoder(case, k, seed):
    """Fit `AutoencoderTransformer` with its defaults."""
    return _fitted(AutoencoderTransformer(k, random_state=seed), case, {})


def classic(case, k, seed):
    """Fit the VAE of the textbooks: random start, one layer, a fixed step size."""
    model = VAETransformer(
        k,
        init="random",
        hidden_layer_sizes=(256,),
        activation="relu",
        learning_rate="constant",
        learning_rate_init=1e-3,
        beta=1.0,
        max_iter=50,
        early_stopping=False,
        average=False,
        random_state=seed,
    )
    return _fitted(model, case, {})


def run_peer(name, python, case, k, seed, timeout):
    """Fit another package in an environment of its own."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "case.npz", Path(folder) / "answer.npz"
        np.savez(source, X_train=case.X_train, X_test=case.X_test, k=k, seed=seed)
        # The caller's import path holds packages of another environment.
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        worker = Path(__file__).with_name("_peers.py")
        done = subprocess.run(
            [python, worker, name, source, target],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if done.returncode:
            raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1])
        with np.load(target) as parts:
            answer = {key: parts[key] for key in parts.files}
    for key in ("back", "density"):
        if np.isnan(answer[key]).all():
            answer[key] = None
    return Answer(**{**answer, "seconds": float(answer["seconds"])})


METHODS = {
    "pca": pca,
    "factor_analysis": factor_analysis,
    "vae": vae,
    "autoencoder": autoencoder,
    "classic": classic,
    "mlp": mlp,
}
"""Methods that run in the environment of the benchmark."""

PEERS = {
    "encdr": "encdr",
    "encdr_vae": "encdr",
    "pythae": "pythae",
    "pyod": "pyod",
    "umap": "umap",
}
"""Methods of other packages, and the environment that each runs in."""

MAP_ONLY = ("umap",)
"""Methods that are asked for two components only."""
