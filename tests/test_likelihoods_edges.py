"""Likelihoods at the edges: columns of any size, extreme outputs, refused values."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from skvae._batches import Rows, canonical_rows
from skvae.likelihoods import Bernoulli, Gaussian

RNG = np.random.default_rng(0)
UNITS = np.array([1.0, 1e6, 1e-6, 30.0])
REAL = RNG.normal([0.0, 5.0, -2.0, 100.0], size=(40, 4)) * UNITS
BINARY = (RNG.random(size=(40, 4)) < [0.2, 0.5, 0.7, 0.9]).astype(float)
GREY = RNG.beta(2.0, 3.0, size=(40, 4))
VARIANCES = np.array([0.2, 0.3, 0.5, 0.6])


def _model(spec, X, variances=VARIANCES):
    model = spec.resolve(X).build(X.shape[1]).double()
    model.fit_statistics(Rows(X, np.arange(len(X)), np.ones(len(X))))
    model.start_noise(torch.tensor(variances))
    return model


def _outputs(n, n_outputs, seed=1):
    random = torch.Generator().manual_seed(seed)
    return torch.randn((n, n_outputs), generator=random, dtype=torch.float64)


def _prepared(model, X):
    return torch.from_numpy(model.prepare(X))


def _log_prob(model, X, outputs):
    return model.log_prob(outputs, _prepared(model, X)).detach()


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
