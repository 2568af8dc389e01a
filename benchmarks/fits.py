"""Methods of the quality benchmark in the environment of skvae, fitted on raw rows.

Each takes a problem (X, X_test, k, seed) and returns the embedding of training and test
rows and, where it has them, the reconstruction and the log-density of test rows.
"""

import numpy as np
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler
from worker import timed

LEAST_NOISE = 1e-8
"""Least noise variance of a linear model of standardized columns.

The density of a table whose columns are exactly collinear has no upper bound.
"""


def _scaled(problem):
    scaler = StandardScaler().fit(problem.X)
    return scaler, scaler.transform(problem.X), scaler.transform(problem.X_test)


def _rounding(X, scale):
    """Return the variance that rounding alone gives each standardized column.

    A column with steps of width w has w^2 / 12; a model with less noise would be
    rewarded for knowing which values repeat. skvae has the same floor.
    """
    gaps = [np.diff(np.unique(column)).min() for column in X.T]
    return np.square(gaps / scale) / 12


def _linear(model, problem, floor_of):
    """Fit a linear model to standardized columns, with a floor under its noise."""
    scaler, train, test = _scaled(problem)
    seconds = timed(model.fit, train)[1]
    floor = floor_of(_rounding(problem.X, scaler.scale_))
    model.noise_variance_ = np.maximum(model.noise_variance_, floor)
    answer = {
        "train": model.transform(train),
        "test": model.transform(test),
        "density": model.score_samples(test) - np.log(scaler.scale_).sum(),
    }
    return scaler, answer | seconds


def pca(problem):
    """Fit PCA; `back_posterior` is the reconstruction of its probabilistic form."""
    model = PCA(problem.k, svd_solver="covariance_eigh")
    scaler, answer = _linear(model, problem, lambda w: max(LEAST_NOISE, w.min()))
    eigenvalues = np.maximum(model.explained_variance_, model.noise_variance_)
    signal = 1 - model.noise_variance_ / eigenvalues

    def back(Z):
        return scaler.inverse_transform(model.inverse_transform(Z))

    # The mean KL term of a component if the linear model were true.
    answer["n_signal"] = int(np.sum(-0.5 * np.log1p(-signal) > 0.1))
    Z = answer["test"]
    return answer | {"back": back(Z), "back_posterior": back(Z * signal)}


def factor_analysis(problem):
    """Fit FactorAnalysis, which reconstructs a row from its posterior mean."""
    model = FactorAnalysis(problem.k, random_state=problem.seed)
    scaler, answer = _linear(model, problem, lambda w: np.maximum(LEAST_NOISE, w))
    back = answer["test"] @ model.components_ + model.mean_
    return answer | {"back": scaler.inverse_transform(back)}


def mlp(problem):
    """Fit MLPRegressor as an autoencoder, whose embedding is its middle layer."""
    scaler, train, test = _scaled(problem)
    sizes = (100, problem.k, 100)
    model = MLPRegressor(hidden_layer_sizes=sizes, random_state=problem.seed)
    seconds = timed(model.fit, train, train)[1]

    def encode(rows):
        for weights, bias in zip(model.coefs_[:2], model.intercepts_[:2], strict=True):
            rows = np.maximum(rows @ weights + bias, 0)
        return rows

    back = scaler.inverse_transform(model.predict(test))
    return {"train": encode(train), "test": encode(test), "back": back} | seconds


def _fitted(model, problem):
    seconds = timed(model.fit, problem.X)[1]
    train, test = model.transform(problem.X), model.transform(problem.X_test)
    answer = {"train": train, "test": test, "back": model.inverse_transform(test)}
    if hasattr(model, "kl_per_component_"):
        answer["density"] = model.score_samples(problem.X_test)
        answer["n_active"] = int(np.sum(model.kl_per_component_ > 0.01))
    return answer | {"n_iter": model.n_iter_, **seconds}


def vae(problem):
    """Fit `VAETransformer` with the bound alone; twice where two seeds are compared."""
    from skvae import VAETransformer

    extra, settings = {}, {"objective": "elbo"}
    if problem.k == 2 and problem.seed == 0:
        other = VAETransformer(problem.k, random_state=1000, **settings).fit(problem.X)
        extra["test_of_other_seed"] = other.transform(problem.X_test)
    model = VAETransformer(problem.k, random_state=problem.seed, **settings)
    return _fitted(model, problem) | extra


def autoencoder(problem):
    """Fit `AutoencoderTransformer` with its defaults."""
    from skvae import AutoencoderTransformer

    model = AutoencoderTransformer(problem.k, random_state=problem.seed)
    return _fitted(model, problem)


def classic(problem):
    """Fit the VAE of textbooks: random start, one hidden layer, a constant rate."""
    from skvae import VAETransformer
    from skvae.schedules import Constant

    model = VAETransformer(
        problem.k,
        objective="elbo",
        init="random",
        hidden_layer_sizes=(256,),
        activation="relu",
        learning_rate=Constant(1e-3),
        beta=1.0,
        max_iter=50,
        early_stopping=False,
        random_state=problem.seed,
    )
    return _fitted(model, problem)
