"""A linear start is exact where it says so, and the best of its kind elsewhere."""

import copy

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy import stats

from skvae import VAETransformer
from skvae._model import Architecture
from skvae.likelihoods import (
    Bernoulli,
    Columns,
    Gaussian,
    NegativeBinomial,
    Poisson,
    StudentT,
    ZeroInflatedNegativeBinomial,
)
from skvae.networks import Perceptron
from skvae.objectives import ELBO
from skvae.objectives._bounds import log_weights
from skvae.priors import NoPrior, StandardNormal
from skvae.table import Batch, Rows, as_cells
from skvae.training import Start, start
from skvae.training import _axes as axes
from skvae.training import _start as starts
from skvae.training._start import start_linear

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3)) @ RNG.normal(size=(3, 6)) * 3 + RNG.normal(size=(60, 6))
X = X * [1.0, 10.0, 0.1, 1.0, 1.0, 5.0] + 3.0
WIDE = RNG.normal(size=(8, 12)) * np.linspace(1, 4, 12)
GAUSSIAN, NORMAL = Gaussian(), StandardNormal()


def test_leading_eigenvalues_are_found_where_most_are_equal():
    # As of the covariance of as many categories as there are rows.
    values, vectors = axes._leading(np.eye(300) - 1 / 300, 2)
    assert_allclose(values, 1.0)
    assert_allclose(vectors.T @ vectors, np.eye(2), atol=1e-12)
    assert_allclose(vectors.sum(axis=0), 0.0, atol=1e-12)


def _rows(X, weights=None):
    weights = np.ones(len(X)) if weights is None else weights
    return Rows(as_cells(X), np.arange(len(X)), weights / weights.mean())


def _built(
    rows, K=2, prior=NORMAL, likelihood=GAUSSIAN, has_path=True, sees_missing=False
):
    """Return a float64 model that knows the statistics of the rows, not started."""
    networks = (Perceptron((5,), "tanh"),) * 2
    known = (has_path, likelihood, prior, sees_missing)
    model = Architecture(rows.n_features, K, *networks, *known).build(seed=0).double()
    model.likelihood.fit_statistics(rows)
    return model


def _started(rows, statistics=None, **options):
    """Return a float64 model at its linear start."""
    model = _built(rows if statistics is None else statistics, **options)
    start_linear(model, rows)
    return model


def _x(model, X):
    return torch.from_numpy(model.likelihood.prepare(X))


def _batch(model, X):
    return Batch.of(_x(model, X), bool(np.isnan(X).any()))


@torch.no_grad()
def _reconstructed(model, X):
    """Return the decoder's outputs at the posterior mean of rows."""
    return model.decoder(model.posterior_mean(_batch(model, X)))


def _log_weights(model, X, n_draws=5):
    """Return log p(x, z) - log q(z given x) of draws z, (S, B)."""
    random = torch.Generator().manual_seed(0)
    shape = (n_draws, 1, model.n_components)
    noise = torch.randn(shape, generator=random, dtype=torch.float64)
    with torch.no_grad():
        return log_weights(model, _batch(model, X), noise)


def _ppca_log_density(X, K):
    """Return the log-density of PPCA of the standardized columns, in units of X."""
    h = (X - X.mean(axis=0)) / X.std(axis=0)
    values, vectors = np.linalg.eigh(np.cov(h.T))
    values[: len(values) - K] = values[: len(values) - K].mean()
    covariance = vectors * values @ vectors.T
    log_density = stats.multivariate_normal(cov=covariance).logpdf(h)
    return log_density - np.log(X.std(axis=0)).sum()


def _linear_map(model):
    """Return what encoding and decoding does to encoder inputs, and the noise."""
    product = model.decoder.path.weight @ model.encoder.path.weight
    return product.detach().numpy(), model.likelihood.noise().detach().numpy()


# The linear start


@pytest.mark.parametrize("K", [1, 2, 5])
def test_start_linear_equals_probabilistic_pca(K):
    weights = _log_weights(_started(_rows(X), K=K), X)
    expected = _ppca_log_density(X, K)
    assert_allclose(weights, np.broadcast_to(expected, weights.shape), rtol=1e-8)


@pytest.mark.parametrize("K", [6, 9])
def test_start_linear_with_all_components_equals_the_full_normal(K):
    weights = _log_weights(_started(_rows(X), K=K), X)
    normal = stats.multivariate_normal(X.mean(axis=0), np.cov(X.T))
    assert_allclose(
        weights, np.broadcast_to(normal.logpdf(X), weights.shape), rtol=1e-8
    )


def test_start_linear_has_the_exact_posterior_of_rows_whose_mean_is_elsewhere():
    # What is held out takes part in the statistics, not in the start.
    model = _started(_rows(X[:40]), statistics=_rows(X))
    weights = _log_weights(model, X)
    assert_allclose(weights, weights[:1].expand_as(weights), rtol=1e-8)


@pytest.mark.parametrize("n_columns", [12, 30])
def test_start_linear_with_fewer_rows_than_columns_is_the_same(n_columns):
    wide = RNG.normal(size=(8, n_columns)) * np.linspace(1, 4, n_columns)
    weights = _log_weights(_started(_rows(wide), K=3), wide)
    expected = _ppca_log_density(wide, 3)
    assert_allclose(weights, np.broadcast_to(expected, weights.shape), rtol=1e-7)


@pytest.mark.parametrize("n_rows", [25, 300])
def test_start_linear_by_iteration_is_the_same(monkeypatch, n_rows):
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(n_rows, 3)) @ rng.normal(size=(3, 40))
    rows = _rows(signal + 0.3 * rng.normal(size=(n_rows, 40)))
    exact = _started(rows, K=3)
    monkeypatch.setattr(axes, "MOST_EXACT", 20)
    followed = _started(rows, K=3)
    for part, other in zip(_linear_map(followed), _linear_map(exact), strict=True):
        assert_allclose(part, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("K", [7, 8, 12, 20])
def test_start_linear_with_more_components_than_rows_is_finite(K):
    model = _started(_rows(WIDE), K=K)
    assert _log_weights(model, WIDE).isfinite().all()
    outputs = _reconstructed(model, WIDE)
    assert_allclose(model.likelihood.mean(outputs), WIDE, atol=1e-3)


@pytest.mark.parametrize(
    "constant", [np.ones((5, 3)), np.ones((1, 6)), np.zeros((2, 6))]
)
@pytest.mark.parametrize("prior", [StandardNormal(), NoPrior()], ids=repr)
def test_start_linear_of_constant_rows_reconstructs_them(constant, prior):
    model = _started(_rows(constant), prior=prior)
    outputs = _reconstructed(model, constant)
    assert_allclose(model.likelihood.mean(outputs), constant, atol=1e-9)


@pytest.mark.parametrize("n_columns", [6, 90])
def test_start_linear_takes_weights_as_repetitions(n_columns):
    table = RNG.normal(size=(20, n_columns))
    counts = 1 + np.arange(20) % 3
    one, noise = _linear_map(_started(_rows(table, counts.astype(float))))
    repeated = np.repeat(table, counts, axis=0)
    other, other_noise = _linear_map(_started(_rows(repeated)))
    assert_allclose(one, other, rtol=1e-8, atol=1e-10)
    # Variances are unbiased if the rows differ; repeated ones tell nothing new.
    n, n_repeated = len(table), len(repeated)
    ratio = (n / (n - 1)) / (n_repeated / (n_repeated - 1))
    assert_allclose(noise, other_noise + 0.5 * np.log(ratio), rtol=1e-8)


def test_start_linear_without_prior_is_pca():
    model = _started(_rows(X), K=3, prior=NoPrior())
    h = (X - X.mean(axis=0)) / X.std(axis=0)
    vectors = np.linalg.svd(h, full_matrices=False)[2][:3]
    z = model.posterior_mean(_batch(model, X)).detach()
    assert_allclose(_reconstructed(model, X), h @ vectors.T @ vectors, atol=1e-10)
    assert_allclose(np.cov(z.numpy().T), np.eye(3), atol=1e-10)


def test_start_linear_of_column_noise_is_the_residual_of_each_column():
    model = _started(_rows(X), likelihood=Gaussian(noise="column"))
    h = (X - X.mean(axis=0)) / X.std(axis=0)
    loadings = model.decoder.path.weight.detach().numpy()
    left = np.diag(np.cov(h.T) - loadings @ loadings.T)
    assert_allclose(np.exp(2 * _linear_map(model)[1]), left, rtol=1e-8)


def test_start_linear_beats_the_marginal_start_of_binary_rows():
    binary = (X > X.mean(axis=0)).astype(float)
    started = _started(_rows(binary), likelihood=Bernoulli())
    marginal = copy.deepcopy(started)
    for network in (marginal.encoder, marginal.decoder):
        torch.nn.init.zeros_(network.path.weight)
    scores = [
        model.likelihood.log_prob(_reconstructed(model, binary), _x(model, binary))
        for model in (started, marginal)
    ]
    assert scores[0].mean() > scores[1].mean() + 0.5


@pytest.mark.parametrize("K", [1, 3])
def test_start_linear_of_wide_inputs_beats_the_marginal_start(K):
    latent = RNG.normal(size=(200, 1))
    codes = (latent + 0.4 * RNG.normal(size=(200, 5)) > [-1, 0, 0, 0, 1]).astype(float)
    codes[:, 0] += latent[:, 0] > 1
    likelihood = Columns([("categorical", [0, 1]), ("poisson", [2, 4]), ("ordinal", 3)])
    model = _started(_rows(codes), K=K, likelihood=likelihood.resolve(codes))
    x, outputs = _x(model, codes), _reconstructed(model, codes)
    score = model.likelihood.log_prob(outputs, x).mean()
    marginal = model.likelihood.linearized().outputs.expand_as(outputs)
    assert score > model.likelihood.log_prob(marginal, x).mean() + 0.5


def _counts(n=400, rate=(0.3, 2.0, 5.0, 20.0)):
    effect = RNG.normal(size=(n, 1)) * [1.0, -0.8, 0.6, 0.9]
    return RNG.poisson(np.array(rate) * np.exp(effect)).astype(float)


@pytest.mark.parametrize(
    "likelihood",
    [
        Poisson(),
        NegativeBinomial(),
        ZeroInflatedNegativeBinomial(),
        Columns([("gaussian", [3]), ("poisson", [0, 2]), ("negative_binomial", [1])]),
    ],
    ids=lambda spec: type(spec).__name__,
)
def test_start_linear_of_counts_expects_as_many_as_without_z(likelihood):
    counts = _counts()
    model = _started(_rows(counts), K=2, likelihood=likelihood.resolve(counts))
    assert model.decoder.path.weight.abs().max() > 0.3
    # The prior's normal distribution, by quadrature.
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    grid = np.stack(np.meshgrid(nodes, nodes), axis=-1).reshape(-1, 2)
    weights = np.outer(weights, weights).ravel() / weights.sum() ** 2
    with torch.no_grad():
        means = model.likelihood.mean(model.decoder(torch.from_numpy(grid))).numpy()
        none = model.likelihood.mean(model.likelihood.linearized().outputs[None])[0]
    assert_allclose(weights @ means, none, rtol=1e-6)


def test_start_linear_of_counts_without_prior_keeps_the_center():
    counts = _counts()
    model = _started(_rows(counts), K=2, prior=NoPrior(), likelihood=Poisson())
    with torch.no_grad():
        mean = model.likelihood.mean(model.decoder(torch.zeros(1, 2).double()))[0]
    assert_allclose(mean, counts.mean(axis=0), rtol=1e-8)


# What a start says of itself


def _strength(X, K):
    h = (X - X.mean(axis=0)) / X.std(axis=0)
    values = np.linalg.eigvalsh(np.cov(h.T))[::-1]
    return values[0] / values[K:].mean()


@pytest.mark.parametrize("prior", [NORMAL, NoPrior()], ids=repr)
def test_start_is_exact_for_complete_rows_of_equal_noise(prior):
    rows = _rows(X)
    model, expected = _built(rows, prior=prior), _started(rows, prior=prior)
    begun = start(model, rows, ELBO(0.0))
    assert begun.is_linear
    assert begun.is_exact
    assert begun.strength == pytest.approx(_strength(X, 2))
    for name, p in expected.named_parameters():
        assert torch.equal(model.get_parameter(name), p)


def test_start_without_paths_sets_the_outputs_that_fit_best_without_z():
    model, rows = _built(_rows(X), has_path=False), _rows(X)
    before = copy.deepcopy(model.state_dict())
    assert start(model, rows, ELBO(0.0)) == Start(False, False, 0.0)
    outputs = model.likelihood.linearized().outputs
    assert torch.equal(model.decoder.path.bias.detach(), outputs)
    after = model.state_dict()
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert changed <= {"decoder.path.bias"}


@pytest.mark.parametrize(
    ("likelihood", "table", "sees_missing"),
    [
        (Bernoulli(), (X > X.mean(axis=0)).astype(float), False),
        (StudentT(), X, False),
        (Poisson(), np.abs(X).round(), False),
        (GAUSSIAN, np.where(RNG.random(X.shape) < 0.2, np.nan, X), True),
    ],
    ids=["bernoulli", "student_t", "poisson", "missing"],
)
def test_start_that_is_not_exact_has_the_best_noise_of_those_tried(
    likelihood, table, sees_missing
):
    rows, objective = _rows(table), ELBO(0.0)
    options = {"likelihood": likelihood, "sees_missing": sees_missing}
    model = _built(rows, **options).float()
    begun = start(model, rows, objective)
    assert begun.is_linear
    assert not begun.is_exact
    losses = {}
    for factor in starts.NOISE_FACTORS:
        other = _built(rows, **options).float()
        strength = start_linear(other, rows, factor)
        losses[strength] = starts.mean_loss(other, rows, objective)
    assert begun.strength == min(losses, key=losses.get)
    assert starts.mean_loss(model, rows, objective) == min(losses.values())


def test_start_by_which_cells_are_missing_is_the_same():
    """The path of the encoder does not look at what is missing, only at the cells."""
    rows = _rows(X)
    model = _started(rows, sees_missing=True)
    assert model.encoder.path.weight.shape == (2, 12)
    assert not model.encoder.path.weight[:, 6:].any()
    expected = _log_weights(_started(rows), X)
    assert_allclose(_log_weights(model, X), expected, rtol=1e-10)


def test_start_of_a_collinear_table_is_exact_under_the_noise_of_rounding():
    """Noise has a floor; the encoder must expect that noise, not a smaller one."""
    random = np.random.default_rng(0)
    X = random.integers(0, 30, (200, 2)) @ np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    vae = VAETransformer(2, hidden_layer_sizes=(), max_iter=1, random_state=0)
    vae.set_params(learning_rate=1e-12, tol=None, early_stopping=False)
    vae.set_params(sampler="prior").fit(X)
    bounds = (vae.score_samples(X, bound=bound) for bound in ("elbo", "importance"))
    np.testing.assert_allclose(*bounds, atol=1e-3)
