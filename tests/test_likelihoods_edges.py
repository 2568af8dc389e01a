"""Likelihoods at the edges: columns of any size, extreme outputs, refused values."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from skvae.likelihoods import (
    LIKELIHOODS,
    Bernoulli,
    Categorical,
    Columns,
    ContinuousBernoulli,
    Gaussian,
    LikelihoodModel,
    LogNormal,
    NegativeBinomial,
    Ordinal,
    Poisson,
    StudentT,
    as_likelihood,
)
from skvae.table import Rows, _cells, as_cells, canonical_rows

RNG = np.random.default_rng(0)
UNITS = np.array([1.0, 1e6, 1e-6, 30.0])
REAL = RNG.normal([0.0, 5.0, -2.0, 100.0], size=(40, 4)) * UNITS
BINARY = (RNG.random(size=(40, 4)) < [0.2, 0.5, 0.7, 0.9]).astype(float)
GREY = RNG.beta(2.0, 3.0, size=(40, 4))
VARIANCES = np.array([0.2, 0.3, 0.5, 0.6])


def _model(spec, X, variances=VARIANCES):
    model = spec.resolve(X).build(X.shape[1]).double()
    model.fit_statistics(Rows(as_cells(X), np.arange(len(X)), np.ones(len(X))))
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


@pytest.mark.parametrize("size", [9, 27, 63])
def test_gaussian_standardizes_columns_of_any_size_in_chunks(size, monkeypatch):
    holes = EXTREME.copy()
    holes[:7, [0, 2, 4]] = np.nan
    for X in (EXTREME, holes):
        whole = _model(Gaussian(), X, np.ones(X.shape[1])).prepare(X)
        with monkeypatch.context() as patch:
            patch.setattr(_cells, "CHUNK_VALUES", size)
            chunked = _model(Gaussian(), X, np.ones(X.shape[1])).prepare(X)
        assert_allclose(chunked, whole, rtol=1e-9, atol=1e-9)
        # Exact zeros, from which no scale follows.
        assert_array_equal(chunked[:, 1:4], np.where(np.isnan(X[:, 1:4]), np.nan, 0.0))


@pytest.mark.parametrize("scaling", ["column", "shared", "inputs"])
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
    assert model.std().gt(0).all()
    assert model.log_prob(torch.zeros(40, 4), _prepared(model, REAL)).isfinite().all()


def test_bernoulli_of_constant_columns_is_finite():
    X = np.tile([0.0, 1.0], (5, 1))
    model = _model(Bernoulli(), X)
    log_prob = _log_prob(model, X, model.linearized().outputs.expand(5, -1))
    assert_allclose(log_prob, 2 * np.log(5.5 / 6))


def test_bernoulli_is_finite_for_extreme_logits():
    model = _model(Bernoulli(), BINARY)
    log_prob = _log_prob(model, BINARY[:1], torch.tensor([[1e4, -1e4, 1e4, -1e4]]))
    assert log_prob.isfinite().all()


@pytest.mark.parametrize("n_columns", [1, 7, 120, 127, 784, 1000])
def test_bernoulli_training_loss_is_its_log_prob_in_float32(n_columns):
    # Zero is where a logarithm of products has the least factors, 0.5.
    sizes = torch.tensor([0.0, 1e-3, 1.0, 20.0, 90.0, 1e4])[:, None]
    random = torch.Generator().manual_seed(0)
    outputs = sizes * torch.randn((6, n_columns), generator=random)
    x = torch.rand((6, n_columns), generator=random)
    model = Bernoulli().build(n_columns)
    exact = -model.log_prob(outputs.double(), x.double())
    loss, gradient = model.loss_and_gradient(outputs, x, torch.ones(6))
    assert_allclose(loss, exact, rtol=1e-5)
    assert_allclose(gradient, outputs.double().sigmoid() - x, atol=1e-6)


# Errors


@pytest.mark.parametrize("noise", ["row", 0, -1.0, None, np.nan, np.inf, [1.0]])
def test_gaussian_noise_out_of_range_is_refused_in_words(noise):
    with pytest.raises(
        ValueError, match=r"'noise' parameter of Gaussian .*\(0\.0, inf\)"
    ):
        Gaussian(noise=noise).build(3)


@pytest.mark.parametrize("noise", [np.float32(0.5), np.int64(2)], ids=repr)
def test_gaussian_noise_may_be_a_numpy_number(noise):
    model = _model(Gaussian(noise=noise), REAL / UNITS)
    assert_allclose(model.std(), float(noise), rtol=1e-6)


def test_gaussian_scaling_out_of_range_is_refused_in_words():
    with pytest.raises(ValueError, match=r"'scaling' .*'shared'.* Got 'row'"):
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


def test_likelihood_of_an_interval_admits_it_whole():
    assert Bernoulli().admits(0.0, 1.0)
    assert ContinuousBernoulli().admits(0.0, 1.0)
    assert LogNormal().admits(1e-300, 1e300)


def test_likelihood_statistics_leave_X_unchanged():
    X = REAL.copy()
    X.setflags(write=False)
    rows = canonical_rows(as_cells(X), np.ones(len(X)))
    model = Gaussian().build(4)
    model.fit_statistics(rows)
    model.prepare(X)
    assert_array_equal(X, REAL)


OUTSIDE = [
    ("log_normal", 0.0, r"LogNormal likelihood requires X > 0\. Got 0 .*'gaussian'"),
    ("continuous_bernoulli", 1.5, r"ContinuousBernoulli .* 0 <= X <= 1\. Got 1\.5 "),
    ("categorical", 7.0, r"codes 0, 1, \.\.\. below 3.* Got 7 .*OrdinalEncoder"),
    ("categorical", 0.5, r"Categorical likelihood requires codes .* Got 0\.5 "),
    ("ordinal", -1.0, r"Ordinal likelihood requires codes .* Got -1 .*n_levels"),
    ("poisson", -2.0, r"Poisson likelihood requires whole numbers from 0 .* Got -2 "),
    ("poisson", 1e300, r"whole numbers from 0 to 2\*\*53\. Got 1e\+300 "),
    ("poisson", 1.0000001, r"Poisson likelihood requires .* Got 1\.0000001 "),
    ("negative_binomial", 0.5, r"NegativeBinomial .* Got 0\.5 .*'gaussian'"),
    ("zero_inflated_negative_binomial", -1.0, r"ZeroInflated.* Got -1 .*'gaussian'"),
]


@pytest.mark.parametrize(("name", "value", "message"), OUTSIDE)
def test_likelihood_outside_its_domain_names_value_column_and_remedy(
    name, value, message
):
    X = np.ones((4, 3))
    X[1:3, 1] = 1.0 if name == "continuous_bernoulli" else 2.0, np.nan
    spec = as_likelihood(name).resolve(X)
    spec.check_domain(X, str)
    X[3, 1] = value
    with pytest.raises(ValueError, match=message) as caught:
        spec.check_domain(X, lambda column: f"'c{column}'")
    assert "in column 'c1'" in str(caught.value)


def test_columns_outside_a_domain_name_the_column_of_the_table():
    spec = Columns([("gaussian", [2, 0]), ("poisson", [3, 1])])
    X = np.array([[-1.0, 2.0, -3.0, 0.0], [0.5, -4.0, 0.5, 1.0]])
    with pytest.raises(ValueError, match=r"Poisson .* Got -4 in column 'c1'"):
        spec.check_domain(X, lambda column: f"'c{column}'")


# Columns by name and position


TABLE = np.column_stack((REAL[:, 0], BINARY[:, 0], REAL[:, 2]))
BY_POSITION = [
    {0: "gaussian", 1: "categorical", 2: Gaussian()},
    [("gaussian", [0, 2]), (Categorical(), [1])],
    [("gaussian", np.array([0, 2])), ("categorical", 1)],
]


@pytest.mark.parametrize("parts", BY_POSITION, ids=str)
def test_columns_may_be_given_by_position(parts):
    resolved = as_likelihood(parts).resolve(TABLE)
    expected = [(Gaussian(), [0, 2]), (Categorical([2]), [1])]
    assert sorted(map(repr, resolved.parts)) == sorted(map(repr, expected))


def test_columns_of_one_kind_are_that_likelihood():
    resolved = as_likelihood(dict.fromkeys(range(3), "gaussian")).resolve(TABLE)
    assert repr(resolved) == "Gaussian()"


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([("gaussian", [0, 1])], "requires one likelihood. Got 0 for column 2"),
        ([("gaussian", [0, 1]), ("poisson", [0, 2])], "Got 2 for column 0"),
        ([("gaussian", [0, 1, 3])], r"features must be in \[0, 2\]"),
        ([("normal", [0, 1, 2])], r"must be one of \['bernoulli', .* Got 'normal'"),
    ],
)
def test_columns_that_do_not_fit_the_table_are_refused_in_words(parts, message):
    with pytest.raises(ValueError, match=message):
        Columns(parts).resolve(TABLE)


def test_columns_are_in_the_order_of_the_table():
    spec = Columns([("gaussian", [2]), ("bernoulli", [1]), ("log_normal", [0])])
    X = np.column_stack((np.exp(GREY[:, 0]), BINARY[:, 0], REAL[:, 2]))
    model = _model(spec, X, VARIANCES[:3])
    x = _prepared(model, X)
    outputs = torch.zeros(40, 3, dtype=torch.float64)
    alone = [
        _model(Gaussian(), X[:, [2]], VARIANCES[:1]),
        _model(Bernoulli(), X[:, [1]], VARIANCES[:1]),
        _model(LogNormal(), X[:, [0]], VARIANCES[2:3]),
    ]
    cells = model.cell_log_prob(outputs, x).detach()
    for column, other in zip((2, 1, 0), alone, strict=True):
        expected = other.cell_log_prob(outputs[:, :1], x[:, [column]])
        assert_allclose(cells[:, [column]], expected.detach())


CLOSED = Columns([("gaussian", [0, 2]), ("categorical", [1]), ("bernoulli", [3])])
WITH_CODES = np.column_stack((TABLE, BINARY[:, 1]))


@pytest.mark.parametrize("misses", [False, True])
def test_columns_have_the_closed_form_gradients_of_their_parts(misses, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("autograd was asked")

    model = _model(CLOSED, WITH_CODES, np.resize(VARIANCES, 5))
    x, outputs = _prepared(model, WITH_CODES), _outputs(40, model.n_outputs)
    observed = None
    if misses:
        observed = torch.from_numpy(RNG.random(x.shape) < 0.7)
        x = torch.where(observed, x, torch.nan)
    monkeypatch.setattr(torch.Tensor, "backward", refuse)
    monkeypatch.setattr(torch.autograd, "grad", refuse)
    weights = torch.ones(40, dtype=torch.float64)
    loss, gradient = model.loss_and_gradient(outputs, x, weights, observed)
    assert loss.isfinite().all()
    assert gradient.shape == outputs.shape


def test_columns_have_the_noise_floor_of_their_parts():
    X = np.column_stack((np.round(REAL[:, [0, 3]]), BINARY[:, 0]))
    mixed = _model(Columns([("gaussian", [0, 1]), ("bernoulli", [2])]), X, np.ones(3))
    alone = _model(Gaussian(), X[:, :2], np.ones(2))
    assert mixed.linearized().least_noise == alone.linearized().least_noise > 1e-6


class _LaplaceModel(LikelihoodModel):
    """Columns as they are, with a Laplace distribution of scale one."""

    link_kind = "affine"

    def __init__(self):
        super().__init__()
        self.n_features = self.n_inputs = self.n_outputs = 3

    def link_arrays(self):
        return {"unit": 1.0, "loc": 0.0, "scale": 1.0}

    def distribution(self, outputs):
        return torch.distributions.Laplace(outputs, 1.0)


@pytest.mark.usefixtures("untouched")
def test_likelihood_answers_what_its_distribution_gives():
    model, outputs = _LaplaceModel(), _outputs(20_000, 3)
    random = torch.Generator().manual_seed(3)
    draws = [model.draw(outputs, random) for _ in range(2)]
    assert not torch.equal(*draws)
    assert torch.equal(draws[0], model.draw(outputs, random.manual_seed(3)))
    errors = (draws[0] - outputs).flatten().numpy()
    assert stats.kstest(errors, stats.laplace.cdf).pvalue > 1e-3
    assert torch.equal(model.mode(outputs), outputs)
    assert torch.equal(model.residual(outputs, draws[0]), draws[0] - outputs)
    assert model.keeps_units


# Extremes of the others


@pytest.mark.parametrize("name", sorted(LIKELIHOODS))
def test_likelihood_is_finite_for_extreme_outputs(name):
    tables = {"log_normal": np.exp(REAL / UNITS), "student_t": REAL, "gaussian": REAL}
    X = tables.get(name, BINARY)
    model = _model(as_likelihood(name), X).float()
    x = _prepared(model, X).float()
    for size in (-1e3, 1e3):
        shape = (40, model.n_outputs)
        outputs = torch.full(shape, size, dtype=torch.float32, requires_grad=True)
        log_prob = model.log_prob(outputs, x)
        log_prob.sum().backward()
        assert log_prob.isfinite().all()
        assert outputs.grad.isfinite().all()
        assert model.mean(outputs).isfinite().all()


def test_continuous_bernoulli_has_no_cancellation_around_zero():
    model = ContinuousBernoulli().build(1)
    x = torch.tensor([[0.3]], dtype=torch.float64)
    a = torch.logspace(-12, 1, 400, dtype=torch.float64).requires_grad_()
    log_prob = model.cell_log_prob(a[:, None], x)
    log_prob.sum().backward()
    # The first terms of the series of the gradient, x - mean(a).
    small = a.detach() < 1e-3
    assert_allclose(a.grad[small], (0.3 - 0.5 - a.detach() / 12)[small], atol=1e-12)
    steps = torch.diff(a.grad)
    assert (steps <= 1e-14).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_negative_binomial_of_large_theta_is_poisson(dtype):
    counts = np.arange(12.0)[:, None]
    model = _model(NegativeBinomial(), counts, VARIANCES[:1]).to(dtype)
    model.set_log_theta(torch.tensor([12.0]))
    outputs = torch.full((12, 1), 1.1, dtype=dtype)
    log_prob = model.log_prob(outputs, torch.from_numpy(counts).to(dtype)).detach()
    expected = stats.poisson(np.exp(1.1)).logpmf(counts[:, 0])
    assert_allclose(log_prob, expected, atol=2e-3)


def test_student_t_is_finite_for_columns_of_any_size():
    model = _model(StudentT(), EXTREME, np.ones(EXTREME.shape[1]))
    x = _prepared(model, EXTREME)
    assert x.isfinite().all()
    assert model.log_prob(torch.zeros_like(x), x).isfinite().all()


def test_noise_is_at_least_that_of_rounding():
    X = np.round(REAL[:, :1])
    model = _model(Gaussian(noise="column"), X, np.zeros(1))
    assert model.std().item() == pytest.approx(1 / np.sqrt(12), rel=1e-6)


def test_size_factors_of_a_missing_cell_are_those_of_its_usual_share():
    X = np.array([[10.0, 30.0], [20.0, 60.0]])
    model = _model(Poisson(size_factor=True), X, VARIANCES[:2])
    x = torch.tensor([[10.0, torch.nan], [torch.nan, torch.nan]], dtype=torch.float64)
    filled = model.fill(x, ~torch.isnan(x))
    assert_allclose(filled, [[10.0, 30.0], [0.25, 0.75]])


@pytest.mark.parametrize("df", ["few", 0.0, -1.0, np.inf, None])
def test_student_t_degrees_out_of_range_are_refused_in_words(df):
    with pytest.raises(ValueError, match=r"'df' parameter of StudentT .*'learned'"):
        StudentT(df=df).build(2)


def test_categorical_without_a_number_of_categories_is_not_built():
    with pytest.raises(ValueError, match=r"Call resolve\(X\) first"):
        Categorical().build(2)


def test_ordinal_average_is_the_level_nearest_to_all():
    X = np.random.default_rng(0).integers(0, 5, (200, 2)).astype(float)
    model = Ordinal().resolve(X).build(2)
    model.fit_statistics(Rows(as_cells(X), np.arange(200), np.ones(200)))
    random = torch.Generator().manual_seed(0)
    outputs = 3.0 * torch.randn((4, 30, 2), generator=random, dtype=torch.float64)
    weights = torch.rand((4, 30), generator=random, dtype=torch.float64)
    weights /= weights.sum(0)
    with torch.no_grad():
        masses = (weights[..., None, None] * model.log_masses(outputs).exp()).sum(0)
        average = model.link().cells(
            outputs, lambda draws: torch.einsum("sb,sb...->b...", weights, draws)
        )
    distances = torch.arange(5.0)[:, None] - torch.arange(5.0)
    nearest = (masses @ distances.abs().double()).argmin(-1)
    assert torch.equal(average.long(), nearest)


def test_ordinal_columns_of_different_numbers_of_levels_can_be_trained():
    rng = np.random.default_rng(0)
    X = np.c_[rng.integers(0, 3, 300), rng.integers(0, 9, 300)].astype(float)
    model = Ordinal().resolve(X).build(2)
    model.fit_statistics(Rows(as_cells(X), np.arange(300), np.ones(300)))
    x = torch.from_numpy(X).float()
    model.log_prob(torch.zeros(300, 2), x).sum().backward()
    assert model.cuts.grad.isfinite().all()
