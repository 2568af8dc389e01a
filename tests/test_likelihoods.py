"""One list of likelihoods, many properties. A new likelihood is one line in `CASES`."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from scipy.special import expit
from sklearn.base import clone
from torch.testing import assert_close

from skvae import _batches
from skvae._batches import Rows, canonical_rows
from skvae.likelihoods import Bernoulli, Gaussian, Likelihood, as_likelihood

RNG = np.random.default_rng(0)
UNITS = np.array([1.0, 1e6, 1e-6, 30.0])
REAL = RNG.normal([0.0, 5.0, -2.0, 100.0], size=(40, 4)) * UNITS
BINARY = (RNG.random(size=(40, 4)) < [0.2, 0.5, 0.7, 0.9]).astype(float)
GREY = RNG.beta(2.0, 3.0, size=(40, 4))
VARIANCES = np.array([0.2, 0.3, 0.5, 0.6])


def _normal(noise="shared", scaling="column"):
    """Return the reference of `Gaussian(noise, scaling)` with noise of `VARIANCES`."""

    def reference(X, outputs):
        scale = X.std(axis=0)
        if scaling == "shared":
            scale = np.full_like(scale, np.sqrt(np.mean(scale**2)))
        sizes = {"shared": np.sqrt(VARIANCES.mean()), "column": np.sqrt(VARIANCES)}
        std = scale * sizes[noise] if isinstance(noise, str) else noise
        return stats.norm(X.mean(axis=0) + scale * outputs, std)

    return reference


def _bernoulli(X, outputs):
    return stats.bernoulli(expit(outputs))


class Case(NamedTuple):
    spec: Likelihood
    X: np.ndarray
    # From a table and decoder outputs to a frozen scipy distribution per cell.
    scipy: Callable


CASES = [
    Case(Gaussian(), REAL, _normal()),
    Case(Gaussian(noise="column"), REAL, _normal("column")),
    Case(Gaussian(scaling="shared"), REAL, _normal("shared", "shared")),
    Case(Gaussian("column", "shared"), REAL, _normal("column", "shared")),
    Case(Gaussian(noise=0.7), REAL / UNITS, _normal(0.7)),
    Case(Gaussian(0.7, "shared"), REAL / UNITS, _normal(0.7, "shared")),
    Case(Bernoulli(), BINARY, _bernoulli),
]
NAMES = [repr(case.spec) for case in CASES]
each = pytest.mark.parametrize("case", CASES, ids=NAMES)


def _rows(X, weights=None):
    """Return all rows of X as they stand, with weights of mean one."""
    weights = np.ones(len(X)) if weights is None else weights
    return Rows(X, np.arange(len(X)), weights / weights.mean())


def _model(spec, X, variances=VARIANCES, weights=None):
    model = spec.build(X.shape[1]).double()
    model.fit_statistics(_rows(X, weights))
    model.start_noise(torch.tensor(variances))
    return model


def _outputs(n, n_outputs, seed=1):
    random = torch.Generator().manual_seed(seed)
    return torch.randn((n, n_outputs), generator=random, dtype=torch.float64)


def _prepared(model, X):
    return torch.from_numpy(model.prepare(X))


def _log_prob(model, X, outputs):
    return model.log_prob(outputs, _prepared(model, X)).detach()


# Truth


@each
def test_likelihood_log_prob_equals_scipy(case):
    model = _model(case.spec, case.X)
    outputs = _outputs(40, model.n_outputs)
    reference = case.scipy(case.X, outputs.numpy())
    discrete = hasattr(reference, "logpmf") and reference.dist.name == "bernoulli"
    expected = (reference.logpmf if discrete else reference.logpdf)(case.X).sum(axis=1)
    assert_allclose(_log_prob(model, case.X, outputs), expected, rtol=1e-9)


@each
def test_likelihood_mean_and_spread_equal_scipy(case):
    model = _model(case.spec, case.X)
    outputs = _outputs(5, model.n_outputs)
    reference = case.scipy(case.X, outputs.numpy())
    expected = np.broadcast_to(reference.mean(), (5, 4))
    assert_allclose(model.mean(outputs).detach(), expected, rtol=1e-9)
    std = model.distribution(outputs).stddev.detach()
    assert_allclose(std, np.broadcast_to(reference.std(), (5, 4)), rtol=1e-9)


@pytest.mark.parametrize("unit", [1e-6, 1e-3, 1e3, 1e6])
def test_gaussian_noise_as_a_number_is_in_the_units_of_X(unit):
    X = REAL[:, :1] * unit
    model = _model(Gaussian(noise=0.7), X)
    std = model.distribution(_outputs(3, 1)).stddev
    assert_allclose(std, 0.7, rtol=1e-9)


@pytest.mark.parametrize("column", range(4))
@each
def test_likelihood_of_a_column_has_total_mass_one(case, column):
    X = case.X[:, [column]]
    model = _model(case.spec, X, VARIANCES[:1])
    outputs = _outputs(1, 1)
    p = model.distribution(outputs)
    if isinstance(p, torch.distributions.Bernoulli):
        values, step = np.array([0.0, 1.0]), 1.0
    else:
        width = 9 * p.stddev.item()
        values, step = np.linspace(-width, width, 2001, retstep=True)
        values += p.mean.item()
    log_prob = _log_prob(model, values[:, None], outputs.expand(len(values), 1))
    assert_allclose(log_prob.exp().sum() * step, 1.0, rtol=1e-6)


@each
def test_likelihood_log_prob_equals_its_distribution(case):
    model = _model(case.spec, case.X)
    outputs = _outputs(40, model.n_outputs)
    p = model.distribution(outputs)
    expected = p.log_prob(torch.from_numpy(case.X)).sum(-1)
    assert_allclose(_log_prob(model, case.X, outputs), expected.detach(), rtol=1e-9)


def test_bernoulli_log_prob_of_intensities_is_minus_the_cross_entropy():
    model = _model(Bernoulli(), GREY)
    outputs = _outputs(40, 4)
    p = expit(outputs.numpy())
    expected = (GREY * np.log(p) + (1 - GREY) * np.log1p(-p)).sum(axis=1)
    assert_allclose(_log_prob(model, GREY, outputs), expected)


@each
def test_likelihood_gradient_matches_finite_differences(case):
    model = _model(case.spec, case.X)
    x = _prepared(model, case.X[:5])
    outputs = _outputs(5, model.n_outputs).requires_grad_()
    learned = [p for p in model.parameters() if p.requires_grad]
    torch.autograd.gradcheck(lambda *_: model.log_prob(outputs, x), (outputs, *learned))


@each
def test_likelihood_marginal_outputs_are_stationary(case):
    model = _model(case.spec, case.X)
    outputs = model.marginal_outputs().requires_grad_()
    log_prob = model.log_prob(outputs.expand(40, -1), _prepared(model, case.X))
    log_prob.sum().backward()
    # Half a row is what smoothing may hold back.
    scale = model.residual(outputs, _prepared(model, case.X)).abs().mean().detach()
    assert (outputs.grad.abs() <= max(0.5, 1e-9 * scale)).all()


@each
def test_likelihood_linear_outputs_move_the_mean_as_asked(case):
    model = _model(case.spec, case.X)
    x, start = _prepared(model, case.X[:1]), model.marginal_outputs()
    directions, step = _outputs(3, 4), 1e-6
    moved = start + step * model.linear_outputs(directions)
    change = model.residual(start, x) - model.residual(moved, x)
    assert_allclose(change / step, directions, rtol=1e-4, atol=1e-4)


@each
def test_likelihood_residual_is_the_row_minus_the_mean(case):
    model = _model(case.spec, case.X)
    x, outputs = _prepared(model, case.X), _outputs(40, model.n_outputs)
    mean = _prepared(model, model.mean(outputs).detach().numpy())
    assert_close(x - model.residual(outputs, x), mean, rtol=1e-8, atol=1e-8)


@each
def test_likelihood_draws_have_the_moments_of_its_distribution(case):
    model = _model(case.spec, case.X)
    outputs = _outputs(1, model.n_outputs)
    p, n = model.distribution(outputs), 20_000
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        draws = model.draw(outputs.expand(n, -1), random)
    error = p.stddev[0] / np.sqrt(n)
    assert ((draws.mean(0) - p.mean[0]).abs() < 5 * error).all()
    assert_allclose(draws.var(0), p.variance[0].detach(), rtol=0.06)
    correlation = np.corrcoef(draws.numpy().T) - np.eye(4)
    assert np.abs(correlation).max() < 5 / np.sqrt(n)


# Statistics


@each
def test_likelihood_statistics_of_weighted_rows_equal_those_of_repeated_rows(case):
    counts = np.where(case.X[:, 0] > case.X[:, 0].mean(), 3, 1)
    outputs = _outputs(40, 4)
    weighted = _model(case.spec, case.X, weights=counts.astype(float))
    repeated = _model(case.spec, np.repeat(case.X, counts, axis=0))
    # Smoothing, where there is any, counts distinct rows.
    tolerance = 0.05 if isinstance(case.spec, Bernoulli) else 1e-9
    assert_allclose(
        weighted.marginal_outputs(), repeated.marginal_outputs(), atol=tolerance
    )
    assert_allclose(
        _log_prob(weighted, case.X, outputs), _log_prob(repeated, case.X, outputs)
    )


@each
def test_likelihood_statistics_do_not_depend_on_chunks(case, monkeypatch):
    outputs = _outputs(40, 4)
    whole = _model(case.spec, case.X)
    monkeypatch.setattr(_batches, "CHUNK_VALUES", 12)
    parts = _model(case.spec, case.X)
    assert_allclose(parts.marginal_outputs(), whole.marginal_outputs(), rtol=1e-9)
    assert_allclose(
        _log_prob(parts, case.X, outputs), _log_prob(whole, case.X, outputs)
    )


@each
def test_likelihood_in_float32_is_near_float64(case):
    model = _model(case.spec, case.X)
    outputs, x = _outputs(40, model.n_outputs), _prepared(model, case.X)
    double = model.log_prob(outputs, x)
    single = model.float().log_prob(outputs.float(), x.float())
    assert single.dtype == torch.float32
    assert_close(single.double(), double, rtol=1e-4, atol=1e-4)


@each
def test_likelihood_model_survives_its_state_dict(case):
    model = _model(case.spec, case.X)
    other = case.spec.build(4).double()
    other.load_state_dict(model.state_dict())
    outputs = _outputs(40, 4)
    assert_array_equal(
        _log_prob(other, case.X, outputs), _log_prob(model, case.X, outputs)
    )
    assert_array_equal(other.marginal_outputs(), model.marginal_outputs())


@each
def test_likelihood_spec_survives_clone_params_and_name(case):
    for copy in (clone(case.spec), type(case.spec)(**case.spec.get_params())):
        assert repr(copy) == repr(case.spec)
    assert type(as_likelihood(type(case.spec).__name__.lower())) is type(case.spec)


def test_as_likelihood_keeps_a_spec():
    spec = Gaussian(noise="column")
    assert as_likelihood(spec) is spec


# Columns of any size


EXTREME = np.column_stack(
    [
        RNG.normal(size=20),
        np.zeros(20),
        np.full(20, 0.1),
        np.full(20, -1e300),
        RNG.normal(size=20) * 1e300,
        RNG.normal(size=20) * 1e-300,
        RNG.normal(size=20) + 1e6,
        np.where(np.arange(20) == 3, 1e12, 0.0),
        np.repeat([-1.7e308, 1.7e308], 10),
    ]
)


@pytest.mark.parametrize("scaling", ["column", "shared"])
@pytest.mark.parametrize("noise", ["shared", "column", 0.5])
def test_gaussian_is_finite_for_columns_of_any_size(noise, scaling):
    columns = EXTREME if scaling == "column" else EXTREME[:, [0, 1, 2, 4, 6, 7]]
    model = _model(Gaussian(noise, scaling), columns, np.ones(columns.shape[1]))
    x, outputs = _prepared(model, columns), _outputs(20, columns.shape[1])
    assert x.isfinite().all()
    assert model.log_prob(outputs, x).isfinite().all()
    assert model.mean(0.1 * outputs).isfinite().all()


@pytest.mark.parametrize("scaling", ["column", "shared"])
def test_gaussian_of_constant_columns_alone_is_finite(scaling):
    X = np.tile([0.0, 0.1, -7e5], (5, 1))
    model = _model(Gaussian(scaling=scaling), X, np.zeros(3))
    x = _prepared(model, X)
    assert_array_equal(x, np.zeros((5, 3)))
    assert model.log_prob(torch.zeros(5, 3).double(), x).isfinite().all()


def test_gaussian_standardizes_columns_with_a_large_offset():
    X = RNG.normal(size=(200, 2)) * [1.0, 1e-3] + [1e9, 1e6]
    x = _model(Gaussian(), X, np.ones(2)).prepare(X)
    assert_allclose(x, stats.zscore(X - X[0]), atol=1e-6)


def test_gaussian_is_finite_for_new_rows_far_away():
    model = _model(Gaussian(), REAL)
    x = _prepared(model, np.full((1, 4), 1e300)).float()
    assert model.float().log_prob(torch.zeros(1, 4), x).isfinite().all()


def test_gaussian_start_noise_is_bounded_where_nothing_is_left():
    model = _model(Gaussian(noise="column"), REAL, np.array([0.0, 1e-300, 1.0, 1e30]))
    assert model.distribution(torch.zeros(1, 4)).stddev.gt(0).all()
    assert model.log_prob(torch.zeros(40, 4), _prepared(model, REAL)).isfinite().all()


def test_bernoulli_of_constant_columns_is_finite():
    X = np.tile([0.0, 1.0], (5, 1))
    model = _model(Bernoulli(), X)
    log_prob = _log_prob(model, X, model.marginal_outputs().expand(5, -1))
    assert_allclose(log_prob, 2 * np.log(5.5 / 6))


def test_bernoulli_is_finite_for_extreme_logits():
    model = _model(Bernoulli(), BINARY)
    log_prob = _log_prob(model, BINARY[:1], torch.tensor([[1e4, -1e4, 1e4, -1e4]]))
    assert log_prob.isfinite().all()


# Errors


@pytest.mark.parametrize("noise", ["row", 0, -1.0, None, np.nan, np.inf, [1.0]])
def test_gaussian_noise_out_of_range_is_refused_in_words(noise):
    with pytest.raises(ValueError, match="noise='shared', 'column' or a positive"):
        Gaussian(noise=noise).build(3)


@pytest.mark.parametrize("noise", [np.float32(0.5), np.int64(2)], ids=repr)
def test_gaussian_noise_may_be_a_numpy_number(noise):
    model = _model(Gaussian(noise=noise), REAL / UNITS)
    assert_allclose(model.distribution(_outputs(1, 4)).stddev, float(noise), rtol=1e-6)


def test_gaussian_scaling_out_of_range_is_refused_in_words():
    with pytest.raises(ValueError, match=r"'column' or 'shared'\. Got 'row'"):
        Gaussian(scaling="row").build(3)


@pytest.mark.parametrize("value", [-0.25, 255.0])
def test_bernoulli_outside_its_domain_names_value_column_and_remedy(value):
    X = BINARY.copy()
    X[3, 2] = value
    message = rf"0 <= X <= 1\. Got {value:g} in column 'c2'\. Scale .*MinMaxScaler"
    with pytest.raises(ValueError, match=message):
        Bernoulli().check_domain(X, lambda column: f"'c{column}'")


def test_likelihood_inside_its_domain_is_accepted():
    Bernoulli().check_domain(GREY, str)
    Bernoulli().check_domain(np.array([[0.0, 1.0]]), str)
    Gaussian().check_domain(EXTREME, str)


def test_likelihood_statistics_leave_X_unchanged():
    X = REAL.copy()
    X.setflags(write=False)
    rows = canonical_rows(X, np.ones(len(X)))
    model = Gaussian().build(4)
    model.fit_statistics(rows)
    model.prepare(X)
    assert_array_equal(X, REAL)
