"""A fit under every likelihood finds what moves the columns together."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.special import expit

from skvae import VAETransformer
from skvae.likelihoods import (
    Categorical,
    Columns,
    Gaussian,
    NegativeBinomial,
    Ordinal,
    Poisson,
    ZeroInflatedNegativeBinomial,
)
from skvae.table import Rows, as_cells

RNG = np.random.default_rng(0)
Z = RNG.normal(size=(400, 1))
A = Z @ np.full((1, 6), 1.5) * [1, -1, 1, -1, 1, -1]
NOISE = 0.3 * RNG.normal(size=A.shape)
RATE = np.exp(1.0 + 0.8 * A)
DEPTH = RNG.gamma(2.0, 0.5, size=(400, 1))
OVERDISPERSED = RNG.poisson(RATE * RNG.gamma(3.0, 1 / 3, size=A.shape)).astype(float)
CATEGORIES = (A[..., None] + RNG.logistic(size=(400, 6, 1)) > [-1.0, 1.0]).sum(-1)
CUTS = np.array([-2.0, -0.5, 0.5, 3.0])
LEVELS = (A[..., None] + RNG.logistic(size=(400, 6, 1)) > CUTS).sum(-1)
TABLES = {
    "gaussian": A + NOISE,
    "student_t": A + 0.3 * RNG.standard_t(3.0, size=A.shape),
    "log_normal": np.exp(A + NOISE),
    "bernoulli": (RNG.random(A.shape) < expit(2.0 * A)).astype(float),
    "continuous_bernoulli": expit(A + NOISE),
    "categorical": np.array([2.0, 0.0, 1.0])[CATEGORIES],
    "ordinal": LEVELS.astype(float),
    "poisson": RNG.poisson(RATE).astype(float),
    "negative_binomial": OVERDISPERSED,
    "zero_inflated_negative_binomial": OVERDISPERSED * (RNG.random(A.shape) < 0.7),
}
MIXED = np.hstack([table[:, :2] for table in TABLES.values()])
PARTS = [(name, [2 * i, 2 * i + 1]) for i, name in enumerate(TABLES)]
FITS = [
    *TABLES.items(),
    (Poisson(size_factor=True), RNG.poisson(RATE * DEPTH).astype(float)),
    (NegativeBinomial(size_factor=True), RNG.poisson(RATE * DEPTH).astype(float)),
    (Columns(PARTS), MIXED),
]


def _fit(likelihood, X, max_iter=100):
    vae = VAETransformer(
        1,
        likelihood=likelihood,
        objective="elbo",
        hidden_layer_sizes=(32,),
        max_iter=max_iter,
        tol=None,
        random_state=0,
    )
    return vae.fit(X)


def _marginal_score(vae, train, test):
    """Return the mean log-density of rows under the best constant outputs."""
    model = vae._architecture.likelihood.build(train.shape[1]).double()
    model.fit_statistics(
        Rows(as_cells(train), np.arange(len(train)), np.ones(len(train)))
    )
    x = torch.from_numpy(model.prepare(test))
    outputs = model.linearized().outputs.expand(len(test), -1)
    return model.log_prob(outputs, x).mean().item()


@pytest.mark.parametrize(
    ("likelihood", "X"), FITS, ids=[str(spec)[:30] for spec, _ in FITS]
)
def test_fit_of_a_likelihood_beats_its_marginal_on_held_out_rows(likelihood, X):
    train, test = X[:300], X[300:]
    vae = _fit(likelihood, train)
    assert vae.score(test) > _marginal_score(vae, train, test) + 0.2
    # One latent moves all columns: it is found, up to its sign.
    correlation = np.corrcoef(vae.transform(test)[:, 0], Z[300:, 0])[0, 1]
    assert abs(correlation) > 0.8
    decoded, drawn = vae.inverse_transform(vae.transform(test)), vae.sample(50)
    assert np.isfinite(decoded).all()
    vae._architecture.likelihood.check_domain(drawn, str)


@pytest.mark.parametrize("spec", [Categorical(), Ordinal()])
def test_fit_of_codes_decodes_to_codes(spec):
    X = TABLES["categorical" if isinstance(spec, Categorical) else "ordinal"]
    decoded = _fit(spec, X).inverse_transform(Z[:50])
    assert set(np.unique(decoded)) <= set(np.unique(X))


def test_fit_of_noise_that_differs_among_rows_finds_where_it_is():
    noise = np.exp(0.7 * Z)
    X = A + noise * np.random.default_rng(1).normal(size=A.shape)
    kinds = "column", "decoder"
    fits = [_fit(Gaussian(noise=kind), X[:300], 200) for kind in kinds]
    scores = [vae.score(X[300:]) for vae in fits]
    assert scores[1] > scores[0] + 0.5
    z = torch.from_numpy(fits[1].transform(X[300:])).float()
    model = fits[1].module_
    with torch.no_grad():
        found = model.likelihood.std(model.decoder(z)).log().mean(1)
    assert np.corrcoef(found, 0.7 * Z[300:, 0])[0, 1] > 0.8


def test_fit_of_zero_inflated_counts_tells_zeros_apart():
    X = RNG.poisson(4.0 * RATE) * (RNG.random(A.shape) < 0.7).astype(float)
    specs = Poisson(), NegativeBinomial(), ZeroInflatedNegativeBinomial()
    scores = [_fit(spec, X[:300], 200).score(X[300:]) for spec in specs]
    assert scores[0] + 1.0 < scores[1] < scores[2] - 1.0


def test_fit_of_counts_with_size_factors_ignores_the_depth():
    X = 1.0 + RNG.poisson(RATE * DEPTH)
    vae = _fit(Poisson(size_factor=True), X)
    assert_allclose(vae.transform(3.0 * X), vae.transform(X), atol=1e-9)


def test_fit_of_a_negative_binomial_learns_that_chance_is_all_there_is():
    rng = np.random.default_rng(0)
    z, loadings = rng.normal(size=(800, 2)), rng.normal(size=(2, 12))
    X = rng.poisson(np.exp(1.0 + z @ loadings)).astype(float)
    params = {"max_iter": 40, "tol": None, "random_state": 0}
    negative_binomial, poisson = (
        VAETransformer(2, likelihood=name, **params).fit(X[:600]).score(X[600:])
        for name in ("negative_binomial", "poisson")
    )
    # With a dispersion that is learned no faster than weights, a nat per row is lost.
    assert negative_binomial > poisson - 0.2
