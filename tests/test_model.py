"""The module's linear start is exact; ordering components changes names alone."""

import copy

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy import stats
from sklearn.decomposition import PCA
from torch.testing import assert_close

from skvae import VAETransformer, _start
from skvae._batches import Rows
from skvae._model import Architecture
from skvae._start import expected_gain, start_linear, start_marginal
from skvae.likelihoods import (
    Bernoulli,
    Columns,
    Gaussian,
    NegativeBinomial,
    Poisson,
    ZeroInflatedNegativeBinomial,
)
from skvae.objectives import elbo, log_weights
from skvae.priors import StandardNormal

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3)) @ RNG.normal(size=(3, 6)) * 3 + RNG.normal(size=(60, 6))
X = X * [1.0, 10.0, 0.1, 1.0, 1.0, 5.0] + 3.0
WIDE = RNG.normal(size=(8, 12)) * np.linspace(1, 4, 12)


def _architecture(
    D=6,
    K=2,
    prior=True,
    linear_path=True,
    likelihood=None,
    hidden=(5,),
    masks=False,
):
    likelihood = Gaussian() if likelihood is None else likelihood
    prior = StandardNormal() if prior else None
    return Architecture(D, K, hidden, "tanh", linear_path, likelihood, prior, masks)


def _rows(X, weights=None):
    weights = np.ones(len(X)) if weights is None else weights
    return Rows(X, np.arange(len(X)), weights / weights.mean())


def _started(rows, statistics=None, **options):
    """Return a float64 model at its linear start."""
    model = _architecture(rows.n_features, **options).build(seed=0).double()
    model.likelihood.fit_statistics(rows if statistics is None else statistics)
    start_marginal(model)
    start_linear(model, rows)
    return model


def _prepared(model, X):
    return torch.from_numpy(model.likelihood.prepare(X))


def _log_weights(model, X, n_draws=5):
    """Return log p(x, z) - log q(z | x) of draws z, (S, B)."""
    random = torch.Generator().manual_seed(0)
    noise = torch.randn(
        (n_draws, 1, len(model.order)), generator=random, dtype=torch.float64
    )
    with torch.no_grad():
        return log_weights(model, _prepared(model, X), noise)


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
    product = model.decoder.linear @ model.encoder.linear
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
    monkeypatch.setattr(_start, "MOST_EXACT", 20)
    followed = _started(rows, K=3)
    for part, other in zip(_linear_map(followed), _linear_map(exact), strict=True):
        assert_allclose(part, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("K", [7, 8, 12, 20])
def test_start_linear_with_more_components_than_rows_is_finite(K):
    model = _started(_rows(WIDE), K=K)
    assert _log_weights(model, WIDE).isfinite().all()
    outputs = model.decode(model.encode(_prepared(model, WIDE))[0])
    assert_allclose(model.likelihood.mean(outputs).detach(), WIDE, atol=1e-3)


@pytest.mark.parametrize(
    "constant", [np.ones((5, 3)), np.ones((1, 6)), np.zeros((2, 6))]
)
@pytest.mark.parametrize("prior", [True, False])
def test_start_linear_of_constant_rows_reconstructs_them(constant, prior):
    model = _started(_rows(constant), prior=prior)
    outputs = model.decode(model.encode(_prepared(model, constant))[0])
    assert_allclose(model.likelihood.mean(outputs).detach(), constant, atol=1e-9)


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


def test_expected_gain_is_what_more_rows_are_worth():
    """The mean of 300 pairs of fits, to 100 and to 200 rows, on rows of their kind."""
    K, D = 2, 6
    rng = np.random.default_rng(0)
    loadings = rng.normal(size=(K, D)) * 2.0

    def draw(n):
        return rng.normal(size=(n, K)) @ loadings + rng.normal(size=(n, D))

    new, gains = draw(2000), []
    for _ in range(300):
        rows = draw(200)
        gains.append(PCA(K).fit(rows).score(new) - PCA(K).fit(rows[:100]).score(new))
    assert np.std(gains) / np.sqrt(300) < 0.05 * np.mean(gains)
    assert expected_gain(K, D, 100, 200) == pytest.approx(np.mean(gains), rel=0.15)


def test_start_linear_without_prior_is_pca():
    model = _started(_rows(X), K=3, prior=False)
    h = (X - X.mean(axis=0)) / X.std(axis=0)
    vectors = np.linalg.svd(h, full_matrices=False)[2][:3]
    with torch.no_grad():
        code, log_var = model.encode(torch.from_numpy(h))
        outputs = model.decode(code)
    assert log_var is None
    assert_allclose(outputs, h @ vectors.T @ vectors, atol=1e-10)
    assert_allclose(np.cov(code.numpy().T), np.eye(3), atol=1e-10)


def test_start_linear_of_column_noise_is_the_residual_of_each_column():
    model = _started(_rows(X), likelihood=Gaussian(noise="column"))
    h = (X - X.mean(axis=0)) / X.std(axis=0)
    loadings = model.decoder.linear.detach().numpy()
    left = np.diag(np.cov(h.T) - loadings @ loadings.T)
    assert_allclose(np.exp(2 * _linear_map(model)[1]), left, rtol=1e-8)


def test_start_linear_beats_the_marginal_start_of_binary_rows():
    binary = (X > X.mean(axis=0)).astype(float)
    started = _started(_rows(binary), likelihood=Bernoulli())
    marginal = copy.deepcopy(started)
    for linear in (marginal.encoder.linear, marginal.decoder.linear):
        torch.nn.init.zeros_(linear)
    with torch.no_grad():
        scores = [
            model.likelihood.log_prob(
                model.decode(model.encode(_prepared(model, binary))[0]),
                _prepared(model, binary),
            ).mean()
            for model in (started, marginal)
        ]
    assert scores[0] > scores[1] + 0.5


@pytest.mark.parametrize("K", [1, 3])
def test_start_linear_of_wide_inputs_beats_the_marginal_start(K):
    latent = RNG.normal(size=(200, 1))
    codes = (latent + 0.4 * RNG.normal(size=(200, 5)) > [-1, 0, 0, 0, 1]).astype(float)
    codes[:, 0] += latent[:, 0] > 1
    likelihood = Columns([("categorical", [0, 1]), ("poisson", [2, 4]), ("ordinal", 3)])
    model = _started(_rows(codes), K=K, likelihood=likelihood.resolve(codes))
    x = _prepared(model, codes)
    with torch.no_grad():
        outputs = model.decode(model.encode(x)[0])
        score = model.likelihood.log_prob(outputs, x).mean()
        marginal = model.likelihood.marginal_outputs().expand_as(outputs)
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
    assert model.decoder.linear.abs().max() > 0.3
    # The prior's normal distribution, by quadrature.
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    grid = np.stack(np.meshgrid(nodes, nodes), axis=-1).reshape(-1, 2)
    weights = np.outer(weights, weights).ravel() / weights.sum() ** 2
    with torch.no_grad():
        means = model.likelihood.mean(model.decoder(torch.from_numpy(grid))).numpy()
        none = model.likelihood.mean(model.likelihood.marginal_outputs()[None])[0]
    assert_allclose(weights @ means, none, rtol=1e-6)


def test_start_linear_of_counts_without_prior_keeps_the_center():
    counts = _counts()
    model = _started(_rows(counts), K=2, prior=False, likelihood=Poisson())
    with torch.no_grad():
        mean = model.likelihood.mean(model.decoder(torch.zeros(1, 2).double()))[0]
    assert_allclose(mean, counts.mean(axis=0), rtol=1e-8)


# Missing cells

HOLES = np.where(RNG.random(X.shape) < 0.3, np.nan, X)
HOLES[0] = np.nan


@pytest.fixture
def holed():
    """A model told of missing cells, with weights that look at what it is told."""
    rows = _rows(HOLES)
    model = _architecture(masks=True).build(seed=0).double()
    model.likelihood.fit_statistics(rows)
    start_linear(model, rows)
    torch.nn.init.normal_(
        model.encoder.perceptron.head.weight, generator=torch.Generator().manual_seed(1)
    )
    return model


def test_encoder_is_told_of_missing_cells_beside_its_inputs(holed):
    assert holed.encoder.linear.shape == (2, 12)
    assert torch.equal(holed.encoder.linear[:, 6:], torch.zeros(2, 6))
    x = _prepared(holed, HOLES[:5])
    filled = torch.nan_to_num(x)
    # Same inputs, other masks.
    assert_close(holed.inputs(x), holed.inputs(filled))
    assert not torch.allclose(holed.posterior(x)[0], holed.posterior(filled)[0])


def test_posterior_of_a_row_without_observed_cells_is_the_prior(holed):
    mean, log_var = holed.posterior(_prepared(holed, HOLES))
    assert not mean[0].any()
    assert not log_var[0].any()
    assert mean[1:].all()


def test_posterior_of_complete_rows_does_not_need_to_look_for_missing_cells(holed):
    x = _prepared(holed, X)
    looked = holed.posterior(x)
    holed.may_miss = False
    for values, others in zip(holed.posterior(x), looked, strict=True):
        assert_close(values, others)


def test_log_prob_of_missing_cells_is_left_out(holed):
    x = _prepared(holed, HOLES)
    z = torch.zeros(len(x), 2, dtype=torch.float64)
    log_prob = holed.log_prob(z, x)
    cells = holed.likelihood.cell_log_prob(holed.decoder(z), _prepared(holed, X))
    expected = torch.where(holed.observed(x), cells, 0.0).sum(-1)
    assert_close(log_prob, expected)
    assert log_prob[0] == 0.0


def test_squared_error_is_of_observed_cells(holed):
    x = _prepared(holed, HOLES)
    z = torch.zeros(len(x), 2, dtype=torch.float64)
    errors = holed.squared_error(z, x).detach().numpy()
    left = (x - holed.decoder(z)).detach().numpy()
    assert_allclose(errors[1:], np.nanmean(left[1:] ** 2, axis=1))
    assert errors[0] == 0.0


def test_objective_of_rows_with_missing_cells_has_finite_gradients(holed):
    x = _prepared(holed, HOLES)
    noise = torch.ones(len(x), 2, dtype=torch.float64)
    terms = elbo(holed, x, noise)
    (terms.reconstruction + terms.kl).sum().backward()
    assert all(p.grad.isfinite().all() for p in holed.parameters())
    assert terms.kl[0] == 0.0


# Building


def test_build_repeats_by_seed_and_touches_nothing_global(untouched):
    a, b, c = (_architecture().build(seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert any(not torch.equal(a[name], c[name]) for name in a)


def test_build_draws_encoder_and_decoder_apart():
    model = _architecture(4, 4, prior=False, linear_path=False, hidden=()).build(0)
    heads = model.encoder.perceptron.head, model.decoder.perceptron.head
    assert not torch.equal(heads[0].weight, heads[1].weight)


def test_build_mirrors_the_hidden_layers():
    model = _architecture(hidden=(7, 4)).build(0)
    sizes = [
        [layer.weight.shape[0] for layer in network.perceptron.hidden]
        for network in (model.encoder, model.decoder)
    ]
    assert sizes == [[7, 4], [4, 7]]


# Ordering


def _ordered(model):
    ordered = copy.deepcopy(model)
    information = torch.tensor([0.5, 3.0, 1.0, 3.0], dtype=torch.float64)
    moments = torch.ones(4, 6, dtype=torch.float64)
    moments[1, 2], moments[2, 0] = -5.0, -2.0
    ordered.order_components(information, moments)
    return ordered


@pytest.fixture
def model():
    return _started(_rows(X), K=4)


def test_ordering_sorts_components_by_information_and_keeps_ties(model):
    assert _ordered(model).order.tolist() == [1, 3, 2, 0]


def test_ordering_orients_components_by_their_largest_moment(model):
    ordered, x = _ordered(model), _prepared(model, X)
    (mean, log_var), (before, log_var_before) = ordered.encode(x), model.encode(x)
    signs = torch.tensor([-1.0, 1.0, -1.0, 1.0], dtype=torch.float64)
    assert_close(mean, before[:, [1, 3, 2, 0]] * signs)
    assert_close(log_var, log_var_before[:, [1, 3, 2, 0]])


def test_ordering_leaves_what_decode_makes_of_encode_unchanged(model):
    ordered, x = _ordered(model), _prepared(model, X)
    assert_close(ordered.decode(ordered.encode(x)[0]), model.decode(model.encode(x)[0]))
    assert_close(ordered.to_network(ordered.encode(x)[0]), model.posterior(x)[0])


def test_ordering_is_the_same_when_done_again(model):
    ordered = _ordered(model)
    again = _ordered(ordered)
    assert torch.equal(again.order, ordered.order)
    assert torch.equal(again.sign, ordered.sign)


def test_ordering_survives_the_state_dict(model):
    ordered, x = _ordered(model), _prepared(model, X)
    other = _architecture(K=4).build(1).double()
    other.load_state_dict(ordered.state_dict())
    assert torch.equal(other.encode(x)[0], ordered.encode(x)[0])


def test_start_of_a_collinear_table_is_exact_under_the_noise_of_rounding():
    """Noise has a floor; the encoder must expect that noise, not a smaller one."""
    random = np.random.default_rng(0)
    X = random.integers(0, 30, (200, 2)) @ np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    vae = VAETransformer(2, hidden_layer_sizes=(), max_iter=1, random_state=0)
    vae.set_params(learning_rate_init=1e-12, tol=None, early_stopping=False).fit(X)
    bounds = (vae.score_samples(X, bound=bound) for bound in ("elbo", "importance"))
    np.testing.assert_allclose(*bounds, atol=1e-3)
