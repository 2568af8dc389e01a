"""Constant columns: they are their constant, and change nothing in other columns."""

import pickle

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch.testing import assert_close

from skvae import AutoencoderTransformer, VAETransformer
from skvae.likelihoods import LIKELIHOODS, Columns, Gaussian, LogNormal, StudentT
from skvae.schedules import Constant
from skvae.table import Rows, as_cells

# Only a few epochs are trained here.
pytestmark = pytest.mark.filterwarnings("ignore:.*carry nothing")

RNG = np.random.default_rng(0)
N = 120
Z = RNG.normal(size=(N, 2))
X = Z @ RNG.normal(size=(2, 5)) + 0.3 * RNG.normal(size=(N, 5))
POSITIVE = np.exp(X)
VALUES = np.array([3.0, 1e300, 1e-300, 0.1, 1 / 3, 123456789.0])
ANY_SIGN = np.r_[VALUES, 0.0, -7.25, -1e300]
MODERATE = np.array([3.0, 0.0, -7.25, 0.1])
CASES = [
    (Gaussian(), X, ANY_SIGN),
    (Gaussian(noise="column"), X, ANY_SIGN),
    (Gaussian(noise="decoder"), X, ANY_SIGN),
    (Gaussian(noise=0.3), X, ANY_SIGN),
    (Gaussian(scaling="shared"), X, MODERATE),
    (Gaussian(scaling="inputs"), X, MODERATE),
    (Gaussian("column", "shared"), X, MODERATE),
    (StudentT(), X, ANY_SIGN),
    (StudentT(df=5.0, noise="shared"), X, ANY_SIGN),
    (LogNormal(), POSITIVE, VALUES),
    (LogNormal(noise="column"), POSITIVE, VALUES),
]
REAL = pytest.mark.parametrize(
    ("spec", "X", "values"), CASES, ids=lambda p: repr(p)[:40]
)


def _with(X, values):
    """Return a table with constant columns among the others."""
    return np.insert(X, [0] + [2] * (len(values) - 1), values, axis=1)


def _constants(values):
    """Return the positions of these columns."""
    return [0, *range(3, 2 + len(values))]


def _others(values):
    return np.delete(np.arange(5 + len(values)), _constants(values)).tolist()


def _outputs(model, n_rows):
    return torch.from_numpy(RNG.normal(size=(n_rows, model.n_outputs)))


def _with_gaps(X, seed=1):
    return np.where(np.random.default_rng(seed).random(X.shape) < 0.2, np.nan, X)


def _fit(X, likelihood="auto", max_iter=3, **params):
    params = {"hidden_layer_sizes": (8,), "tol": None, "random_state": 0} | params
    return VAETransformer(2, likelihood=likelihood, max_iter=max_iter, **params).fit(X)


def _model(spec, X, variance=0.2):
    model = spec.resolve(X).build(X.shape[1]).double()
    model.fit_statistics(Rows(as_cells(X), np.arange(len(X)), np.ones(len(X))))
    model.start_noise(torch.full((X.shape[1],), variance).double())
    return model


# Answers are the constant, exactly


@pytest.mark.parametrize("has_gaps", [False, True])
@REAL
def test_constant_columns_are_answered_exactly(spec, X, values, has_gaps):
    table = _with(X, values)
    seen = _with_gaps(table) if has_gaps else table
    vae = _fit(seen, spec)
    answers = [
        vae.sample(20, random_state=0),
        vae.sample(20, random_state=0, kind="mean"),
        vae.inverse_transform(vae.transform(seen)),
        *(
            vae.impute(_with_gaps(table), statistic=s)
            for s in ("mean", "median", "mode")
        ),
        *vae.impute(_with_gaps(table), n_draws=2),
    ]
    for answer in answers:
        assert np.isfinite(answer).all()
        cells = answer[:, _constants(values)]
        assert_array_equal(cells, np.broadcast_to(values, cells.shape))


def test_constant_columns_are_answered_exactly_in_float32():
    values = np.float32([0.1, 3e37, 1e-30])
    table = _with(X.astype(np.float32), values)
    vae = _fit(table)
    for answer in (vae.inverse_transform(vae.transform(table)), vae.impute(table)):
        assert answer.dtype == np.float32
        cells = answer[:, _constants(values)]
        assert_array_equal(cells, np.broadcast_to(values, cells.shape))


@pytest.mark.parametrize("spec", [Gaussian(), StudentT(), LogNormal()], ids=repr)
def test_constant_columns_alone_can_be_fitted(spec):
    table = np.tile([3.0, 1e-300, 0.1], (30, 1))
    vae = _fit(table, spec)
    assert_array_equal(vae.sample(30), table)
    assert_allclose(vae.score_samples(table), 3 * np.log1p(-1 / 4), rtol=1e-6)


@pytest.mark.parametrize("spec", [Gaussian(), StudentT(), LogNormal()], ids=repr)
def test_column_with_one_observed_cell_is_that_cell(spec):
    table = _with(POSITIVE, [3.0, 7.5])
    table[1:, 0] = np.nan
    vae = _fit(table, spec)
    assert set(vae.impute(table)[:, 0]) == {3.0}
    assert set(vae.sample(20)[:, 0]) == {3.0}


@pytest.mark.filterwarnings("ignore:.*observed cell")
@pytest.mark.parametrize(
    ("spec", "value"), [(Gaussian(), 0.0), (StudentT(), 0.0), (LogNormal(), 1.0)]
)
def test_column_without_an_observed_cell_is_as_likely_anything(spec, value):
    table = np.insert(POSITIVE, 0, np.nan, axis=1)
    vae = _fit(table, spec)
    assert set(vae.sample(20)[:, 0]) == {value}
    assert set(vae.impute(table)[:, 0]) == {value}
    scores = []
    for cell in (1e-9, 1.0, 1e9):
        table[:, 0] = cell
        scores.append(vae.score_samples(table))
    assert_allclose(scores[1:], scores[:1] * np.ones((2, 1)), rtol=1e-12)


@pytest.mark.parametrize("spec", [Gaussian(), StudentT(), LogNormal()], ids=repr)
def test_column_that_varies_by_rounding_is_constant(spec):
    table = np.insert(POSITIVE, 2, 0.3, axis=1)
    table[::3, 2] = np.nextafter(0.3, 1.0)
    model = _model(spec, table)
    assert model.n_constant == 1
    assert_array_equal(
        model.encoder_inputs(torch.from_numpy(model.prepare(table)))[:, 2], 0
    )
    assert_allclose(_fit(table, spec).sample(9)[:, 2], 0.3, rtol=1e-15)


def test_columns_that_vary_little_are_not_constant():
    table = np.column_stack((1e9 + np.arange(9), 1 + 1e-9 * np.arange(9), np.eye(9)[0]))
    assert _model(Gaussian(), table).n_constant == 0
    single = np.float32(2**20) + np.arange(9, dtype=np.float32)[:, None]
    assert _model(Gaussian(), single).n_constant == 0


# Other columns are as without them


@REAL
def test_constant_columns_leave_the_statistics_of_others(spec, X, values):
    model, other = _model(spec, _with(X, values)), _model(spec, X)
    others = _others(values)
    assert model.n_constant == len(values)
    assert_close(model.std()[others], other.std(), rtol=1e-12, atol=0.0)
    x = model.prepare(_with(X, values))
    assert_allclose(x[:, others], other.prepare(X), rtol=1e-12, atol=1e-14)
    assert not x[:, _constants(values)].any()


@pytest.mark.parametrize("has_gaps", [False, True])
@REAL
def test_constant_columns_leave_losses_and_gradients(spec, X, values, has_gaps):
    table, others = _with(X, values), _others(values)
    model, other = _model(spec, table), _model(spec, X)
    table = _with_gaps(table) if has_gaps else table
    x, x_of_others = (
        torch.from_numpy(m.prepare(t))
        for m, t in ((model, table), (other, table[:, others]))
    )
    outputs = _outputs(model, len(table))
    n_of_each = model.n_outputs // model.n_features
    of_others = [j + i * table.shape[1] for i in range(n_of_each) for j in others]
    weights = torch.linspace(0.5, 2.0, N, dtype=torch.float64)
    for m in (model, other):
        for p in m.parameters():
            p.grad = torch.zeros_like(p)
    seen = ~x.isnan()
    given = (outputs, x, weights, seen if has_gaps else None)
    loss, gradient = model.loss_and_gradient(*given)
    given = (
        outputs[:, of_others],
        x_of_others,
        weights,
        seen[:, others] if has_gaps else None,
    )
    expected, gradient_of_others = other.loss_and_gradient(*given)
    n_seen = seen[:, _constants(values)].sum(1)
    assert_close(loss, expected - n_seen * np.log1p(-1 / (2 * N + 2)))
    assert_close(gradient[:, of_others], gradient_of_others)
    of_constants = np.delete(np.arange(model.n_outputs), of_others)
    assert not gradient[:, of_constants].any()
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        assert_close(p.grad if len(p) == len(q) else p.grad[others], q.grad)


@pytest.mark.parametrize("prior", ["vae", "autoencoder"])
@REAL
def test_constant_columns_leave_a_linear_fit_as_it_is(spec, X, values, prior):
    kind = VAETransformer if prior == "vae" else AutoencoderTransformer
    params = {"hidden_layer_sizes": (), "learning_rate": Constant(0.0), "tol": None}
    table, fits = _with(X, values), []
    for rows in (X, table):
        model = kind(2, likelihood=spec, max_iter=1, random_state=0, **params)
        fits.append(model.fit(rows))
    alone, beside = fits
    tolerance = {"rtol": 1e-4, "atol": 1e-5}
    assert_allclose(beside.transform(table), alone.transform(X), **tolerance)
    if prior == "vae":
        kl, expected = beside.kl_per_component_, alone.kl_per_component_
        assert_allclose(kl, expected, **tolerance)
        mass = len(values) * np.log1p(-1 / (2 * N + 2))
        scores = beside.score_samples(table) - mass
        assert_allclose(scores, alone.score_samples(X), **tolerance)


def test_constant_columns_leave_a_nonlinear_fit_nearly_as_it_is():
    curved = np.column_stack((Z, Z[:, 0] ** 2, np.sin(2 * Z[:, 1]), Z[:, 0] * Z[:, 1]))
    curved += 0.1 * np.random.default_rng(1).normal(size=curved.shape)
    options = {"objective": "elbo", "max_iter": 150, "hidden_layer_sizes": (32,)}
    alone = _fit(curved, **options)
    beside = _fit(_with(curved, np.zeros(20)), **options)
    assert_allclose(beside.kl_per_component_, alone.kl_per_component_, rtol=0.1)


@pytest.mark.parametrize("name", sorted(set(LIKELIHOODS) - {"gaussian", "log_normal"}))
def test_constant_columns_of_any_likelihood_do_not_raise_the_divergence(name):
    tables = {
        "student_t": X,
        "bernoulli": X > 0,
        "continuous_bernoulli": 1 / (1 + POSITIVE),
    }
    counts = np.random.default_rng(1).poisson(POSITIVE.clip(0, 9))
    table = np.asarray(tables.get(name, counts), dtype=float)
    options = {"objective": "elbo", "max_iter": 40, "hidden_layer_sizes": (16,)}
    alone = _fit(table, name, **options).kl_per_component_.sum()
    beside = _fit(_with(table, np.zeros(10)), name, **options).kl_per_component_.sum()
    assert beside < 1.1 * alone + 0.05


# A cell that changes


@REAL
def test_changed_constant_costs_what_was_never_seen(spec, X, values):
    table = _with(X, values)
    vae = _fit(table, spec)
    scores, embedding = vae.score_samples(table), vae.transform(table)
    for column, value in zip(_constants(values), values, strict=True):
        changed = table.copy()
        changed[:, column] = 1.001 * value if value else 1e-12
        costs = scores - vae.score_samples(changed)
        assert_allclose(costs, np.log(2 * N + 1), rtol=1e-9)
        assert_array_equal(vae.transform(changed), embedding)


def test_constants_in_float32_have_not_changed():
    table = _with(X, MODERATE)
    vae = _fit(table)
    scores = vae.score_samples(table.astype(np.float32))
    assert_allclose(scores, vae.score_samples(table), rtol=1e-4)


@REAL
def test_constants_survive_pickle_and_state(spec, X, values):
    table = _with(X, values)
    model = _model(spec, table).requires_grad_(False)
    other = spec.resolve(table).build(table.shape[1]).double()
    other.load_state_dict(model.state_dict())
    outputs = _outputs(model, len(table))
    table[0, 0] += 1.0
    for copy in (other, pickle.loads(pickle.dumps(model))):
        copy.requires_grad_(False)
        x = torch.from_numpy(copy.prepare(table))
        assert_array_equal(x, model.prepare(table))
        assert_close(copy.log_prob(outputs, x), model.log_prob(outputs, x))
        assert_array_equal(copy.mean(outputs), model.mean(outputs))


def test_constants_in_a_mixed_table_count_for_each_part():
    spec = Columns(
        [("gaussian", [0, 1, 2]), ("student_t", [3, 4, 5]), ("poisson", [6])]
    )
    table = np.column_stack(
        (X[:, :2], np.full(N, 2.0), X[:, 2:4], np.zeros(N), Z[:, 0] > 0)
    )
    model = _model(spec, table)
    assert model.n_constant == 2
    cells = _fit(table, spec).sample(20)
    assert_array_equal(cells[:, [2, 5]], np.tile([2.0, 0.0], (20, 1)))
