"""One list of likelihoods (`case` in conftest.py), many properties."""

import pickle

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import kstest
from sklearn.base import clone
from torch.testing import assert_close

from skvae.likelihoods import (
    LIKELIHOODS,
    Columns,
    Gaussian,
    NormalScores,
    as_likelihood,
)
from skvae.table import Rows, _cells, as_cells


def _prepared(model, X):
    return torch.from_numpy(model.prepare(X))


def _log_prob(model, X, outputs):
    return model.log_prob(outputs, _prepared(model, X)).detach()


def _has_holes(X, fraction=0.3):
    """Return X with cells missing at random, none of the first row."""
    X = X.copy()
    X[np.random.default_rng(5).random(X.shape) < fraction] = np.nan
    return X


def _leaves(model):
    """Return the models of a mixture, or the model itself."""
    return list(getattr(model, "parts", [model]))


def _columns_of_inputs(model):
    """Return the column that each input of the encoder shows."""
    if hasattr(model, "parts"):
        pairs = zip(model.owned, model.parts, strict=True)
        owned = [np.array(columns)[_columns_of_inputs(part)] for columns, part in pairs]
        return np.concatenate(owned)
    same = torch.arange(model.n_inputs)
    return model.preparation().arrays.get("column", same).numpy()


def _counts_all_cells(model):
    return any(getattr(leaf, "size_factor", False) for leaf in _leaves(model))


# Scores


def _grid(case, model, outputs):
    """Return values all over the domain of one column, and the width of each."""
    name = type(case.spec).__name__
    if name in ("Gaussian", "StudentT", "LogNormal"):
        loc, scale = model.location(outputs).item(), model.std(outputs).item()
    if name in ("Gaussian", "StudentT"):
        # A substitution that reaches far out into the tails.
        t, step = np.linspace(-14, 14, 4001, retstep=True)
        return loc + scale * np.sinh(t), step * scale * np.cosh(t)
    if name == "LogNormal":
        t, step = np.linspace(-12, 12, 2001, retstep=True)
        values = np.exp(loc + scale * t)
        return values, step * scale * values
    if name == "NormalScores":
        return _grid_of_scores(model)
    if name == "ContinuousBernoulli":
        nodes, weights = np.polynomial.legendre.leggauss(40)
        return 0.5 + 0.5 * nodes, 0.5 * weights
    n = 2 if name == "Bernoulli" else getattr(model, "n_total", 3000)
    return np.arange(float(n)), 1.0


def _grid_of_scores(model):
    """Return cells of close scores, with what lies between, and atoms."""
    low, high, values = (t[0].numpy() for t in (model.low, model.high, model.values))
    scores = np.unique(np.concatenate((np.linspace(-14, 14, 28001), low, high)))
    ends = np.column_stack((low, high)).ravel()
    cells = np.interp(scores, ends, np.repeat(values, 2))
    # Every other piece is that of a value, which is an atom if it has a width.
    is_slope = np.searchsorted(ends, 0.5 * (scores[1:] + scores[:-1])) % 2 == 0
    middle, widths = 0.5 * (cells[1:] + cells[:-1]), np.diff(cells)
    is_atom = low < high
    resolution = np.full(is_atom.sum(), model.resolution.item())
    values = np.concatenate((middle[is_slope], values[is_atom]))
    return values, np.concatenate((widths[is_slope], resolution))


@pytest.mark.parametrize(
    "ends", [(0.0, 1.0), (0.1, 0.9), (-0.1, 0.9), (0.1, 1.1), (0.0, 3.0), (1e-9, 7.0)]
)
def test_likelihood_admits_no_values_that_its_check_refuses(case, ends):
    spec = case.spec.resolve(case.X)
    X = np.repeat(np.linspace(*ends, 9)[:, None], case.X.shape[1], axis=1)
    if spec.admits(*ends):
        spec.check_domain(X, str)
    assert not spec.admits(np.nan, np.nan)


@pytest.mark.parametrize("column", range(4))
def test_likelihood_of_a_column_has_total_mass_one(case, column):
    if isinstance(case.spec, Columns):
        pytest.skip("its parts are in the list")
    if getattr(case.spec, "size_factor", False):
        pytest.skip("its score is given the total, of which a single column has all")
    model = case.model(columns=[column])
    outputs = case.outputs(model, 1).detach()
    values, width = _grid(case, model, outputs)
    log_prob = _log_prob(model, values[:, None], outputs.expand(len(values), -1))
    assert_allclose((log_prob.exp().numpy() * width).sum(), 1.0, rtol=1e-6)


def test_likelihood_gradient_matches_finite_differences(case):
    model = case.model()
    x = _prepared(model, case.X[:5])
    outputs = case.outputs(model, 5).detach().requires_grad_()
    learned = [p for p in model.parameters() if p.requires_grad]
    torch.autograd.gradcheck(lambda *_: model.log_prob(outputs, x), (outputs, *learned))


@pytest.mark.parametrize("misses", [False, True])
def test_likelihood_loss_has_the_gradients_of_its_log_prob(case, misses):
    model = case.model()
    x = _prepared(model, _has_holes(case.X) if misses else case.X)
    seen = ~torch.isnan(x) if misses else None
    outputs = case.outputs(model, 40).detach().requires_grad_()
    weights = torch.linspace(0.5, 2.0, 40, dtype=torch.float64)
    log_prob = model.log_prob(outputs, x, seen)
    learned = [p for p in model.parameters() if p.requires_grad]
    expected = torch.autograd.grad(-(log_prob @ weights), [outputs, *learned])
    for p in learned:
        p.grad = torch.ones_like(p)
    with torch.no_grad():
        loss, gradient = model.loss_and_gradient(outputs, x, weights, seen)
    assert_close(loss, -log_prob.detach())
    assert_close(gradient, expected[0])
    for p, by_p in zip(learned, expected[1:], strict=True):
        # Added to what was there.
        assert_close(p.grad - 1.0, by_p)


def test_likelihood_takes_several_draws_of_outputs(case):
    model = case.model()
    x, outputs = _prepared(model, case.X), case.outputs(model, 3, 40).detach()
    observed = ~torch.isnan(_prepared(model, _has_holes(case.X)))
    for seen in (None, observed):
        together = model.log_prob(outputs, x, seen)
        apart = [model.log_prob(draw, x, seen) for draw in outputs]
        assert_close(together, torch.stack(apart))


def test_likelihood_in_float32_is_near_float64(case):
    model = case.model()
    outputs, x = case.outputs(model, 40).detach(), _prepared(model, case.X)
    holes = ~torch.isnan(_prepared(model, _has_holes(case.X)))
    double = [model.log_prob(outputs, x, seen) for seen in (None, holes)]
    inputs = model.encoder_inputs(x)
    model.float()
    single = [model.log_prob(outputs.float(), x.float(), s) for s in (None, holes)]
    assert all(values.dtype == torch.float32 for values in single)
    assert model.encoder_inputs(x.float(), holes).dtype == torch.float32
    assert_close(
        torch.stack(single).double(), torch.stack(double), rtol=1e-4, atol=2e-4
    )
    assert_close(model.encoder_inputs(x.float()).double(), inputs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("unit", [1e-3, 1e4])
def test_likelihood_of_rescaled_columns_moves_by_the_jacobian(case, unit):
    names = ("Gaussian", "StudentT", "LogNormal")
    noise = getattr(case.spec, "noise", None)
    if type(case.spec).__name__ not in names:
        pytest.skip("its columns have no unit")
    if not isinstance(noise, str) and type(case.spec).__name__ != "LogNormal":
        pytest.skip("its noise has a unit")
    outputs = case.outputs(case.model(), 40).detach()
    before = _log_prob(case.model(), case.X, outputs)
    after = _log_prob(case.model(case.X * unit), case.X * unit, outputs)
    assert_allclose(after, before - 4 * np.log(unit), rtol=1e-6)


# Forms of preparation and link


def _has_its_numpy_form(of_numpy, of_torch):
    assert isinstance(of_numpy, np.ndarray)
    assert_allclose(of_numpy, of_torch.detach().numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("misses", [False, True])
def test_likelihood_preparation_is_the_same_in_numpy_and_torch(case, misses):
    preparation = case.model().preparation()
    X = _has_holes(case.X) if misses else case.X
    x = preparation.units(torch.from_numpy(X))
    _has_its_numpy_form(preparation.units(X), x)
    seen = ~torch.isnan(x) if misses else None
    of_numpy = preparation.inputs(x.numpy(), seen.numpy() if misses else None)
    _has_its_numpy_form(of_numpy, preparation.inputs(x, seen))


def test_likelihood_link_is_the_same_in_numpy_and_torch(case):
    model = case.model()
    link, outputs = model.link(), case.outputs(model, 40).detach()
    _has_its_numpy_form(link.cells(outputs.numpy()), link.cells(outputs))
    assert_array_equal(model.mean(outputs).detach(), link.cells(outputs).detach())


def test_likelihood_average_of_one_draw_is_its_mean(case):
    model = case.model()
    outputs = case.outputs(model, 40).detach()
    average = model.link().cells(outputs[None], lambda draws: draws[0].double())
    assert_close(average, model.mean(outputs).double(), rtol=1e-12, atol=0.0)


# Missing cells


def test_likelihood_of_observed_cells_is_the_sum_over_them(case):
    model, holes = case.model(), _has_holes(case.X)
    if _counts_all_cells(model):
        pytest.skip("a missing cell changes what the total is taken for")
    outputs, x = case.outputs(model, 40).detach(), _prepared(model, holes)
    cells = model.cell_log_prob(outputs, _prepared(model, case.X)).detach().numpy()
    expected = np.where(np.isnan(holes), 0.0, cells).sum(axis=1)
    assert_allclose(model.log_prob(outputs, x, ~torch.isnan(x)).detach(), expected)


def test_likelihood_gradient_is_that_of_the_observed_cells(case):
    model, X = case.model(), case.X[:5].copy()
    if _counts_all_cells(model):
        pytest.skip("shares of a total move together")
    outputs = case.outputs(model, 5).detach().requires_grad_()
    others = model.cell_log_prob(outputs, _prepared(model, X))[:, 1:]
    learned = [outputs, *(p for p in model.parameters() if p.requires_grad)]
    expected = torch.autograd.grad(others.sum(), learned)
    X[:, 0] = np.nan
    x = _prepared(model, X)
    log_prob = model.log_prob(outputs, x, ~torch.isnan(x))
    for gradient, of_others in zip(
        torch.autograd.grad(log_prob.sum(), learned), expected, strict=True
    ):
        assert_close(gradient, of_others)


@pytest.mark.parametrize("column", range(4))
def test_likelihood_statistics_are_those_of_observed_cells(case, column):
    if case.X.shape[1] > 4:
        pytest.skip("its parts are in the list")
    X = case.X[:, [column]]
    holes = np.insert(X, [0, 3, 3, 20, 40], np.nan, axis=0)
    model, other = case.model(X, [column]), case.model(holes, [column])
    state = other.state_dict()
    for name, value in model.state_dict().items():
        assert_close(state[name], value, rtol=1e-7, atol=1e-9)


def test_likelihood_of_a_column_without_observed_cells_is_finite(case):
    X = case.X.copy()
    X[:, 0] = np.nan
    model = case.model(X)
    x = _prepared(model, X)
    seen = ~torch.isnan(x)
    assert model.encoder_inputs(x, seen).isfinite().all()
    assert model.log_prob(case.outputs(model, 40), x, seen).isfinite().all()
    assert model.linearized().outputs.isfinite().all()


def test_likelihood_encoder_sees_the_usual_where_cells_are_missing(case):
    model, holes = case.model(), _has_holes(case.X)
    x = _prepared(model, holes)
    seen = ~torch.isnan(x)
    h = model.encoder_inputs(x, seen)
    usual = model.linearized().inputs.expand_as(h)
    spread = seen[:, _columns_of_inputs(model)]
    assert h.shape == (40, model.n_inputs)
    assert_close(h[~spread], usual[~spread])
    if not _counts_all_cells(model):
        complete = model.encoder_inputs(_prepared(model, case.X))
        assert_close(h[spread], complete[spread])


def test_likelihood_residual_is_that_of_complete_rows_where_cells_are_observed(case):
    model, holes = case.model(), _has_holes(case.X)
    if _counts_all_cells(model):
        pytest.skip("a missing cell changes what the total is taken for")
    outputs, x = case.outputs(model, 40), _prepared(model, holes)
    seen = ~torch.isnan(x)
    residual = model.residual(outputs, model.fill(x, seen))
    complete = model.residual(outputs, _prepared(model, case.X))
    assert_close(residual[seen], complete[seen])
    assert residual.isfinite().all()


# The start


def _is_of_noise(model):
    """Return which outputs of a model say what its noise is."""
    n = model.noise.n_outputs if hasattr(model, "noise") else 0
    return torch.arange(model.n_outputs) >= model.n_outputs - n


def test_likelihood_marginal_outputs_are_stationary(case):
    model = case.model(start=False)
    if _counts_all_cells(model) and hasattr(model, "set_log_theta"):
        pytest.skip("shares are those that are best for Poisson counts")
    outputs = model.linearized().outputs.requires_grad_()
    x = _prepared(model, case.X)
    best = model.log_prob(outputs.expand(40, -1), x).sum()
    best.backward()
    # Half a row for each category is what smoothing may hold back, of five at most.
    is_smoothed = any(
        hasattr(m, "rate") or hasattr(m, "frequency") for m in _leaves(model)
    )
    # Outputs of the noise are best for the noise that training starts with.
    others = ~torch.cat([_is_of_noise(m) for m in _leaves(model)])
    assert (outputs.grad[others].abs() <= (2.5 if is_smoothed else 1e-5)).all()
    for direction in torch.eye(model.n_outputs, dtype=torch.float64)[others]:
        for step in (-0.5, 0.5):
            moved = (outputs + step * direction).expand(40, -1)
            assert model.log_prob(moved, x).sum() <= best + 0.3


def test_likelihood_linear_outputs_move_the_residual_as_asked(case):
    model = case.model()
    if model.n_inputs != model.n_features or _counts_all_cells(model):
        pytest.skip("inputs of a column are tied to each other")
    x, start = _prepared(model, case.X[:1]), model.linearized().outputs
    random = torch.Generator().manual_seed(2)
    directions = torch.randn((3, 4), generator=random, dtype=torch.float64)
    varies = torch.from_numpy(np.ptp(case.X, axis=0) > 0)
    moved = start + 1e-6 * model.linearized().directions(directions)
    change = (model.residual(start, x) - model.residual(moved, x)).detach() / 1e-6
    assert_close(change[:, varies], directions[:, varies], rtol=1e-4, atol=1e-4)


# Statistics


def test_likelihood_statistics_of_weighted_rows_equal_those_of_repeated_rows(case):
    counts = np.where(case.X[:, 0] > case.X[:, 0].mean(), 3, 1)
    weighted = case.model(weights=counts.astype(float))
    repeated = case.model(np.repeat(case.X, counts, axis=0))
    # Smoothing counts distinct rows.
    smoothed = ("Bernoulli", "Categorical", "Columns", "ContinuousBernoulli", "Ordinal")
    tolerance = 0.2 if type(case.spec).__name__ in smoothed else 1e-6
    state = repeated.state_dict()
    for name, value in weighted.state_dict().items():
        assert_close(state[name], value, rtol=tolerance, atol=tolerance)


def test_likelihood_statistics_do_not_depend_on_chunks(case, monkeypatch):
    whole = case.model()
    monkeypatch.setattr(_cells, "CHUNK_VALUES", 12)
    parts = case.model().state_dict()
    for name, value in whole.state_dict().items():
        assert_close(parts[name], value, rtol=1e-7, atol=1e-9)


def test_likelihood_statistics_leave_X_unchanged(case):
    X = _has_holes(case.X)
    before = X.copy()
    X.setflags(write=False)
    model = case.model(X)
    model.prepare(X)
    assert_array_equal(X, before)


# Survival


def test_likelihood_model_survives_its_state_dict(case):
    model = case.model()
    spec = pickle.loads(pickle.dumps(case.spec.resolve(case.X)))
    other = spec.build(case.X.shape[1]).double()
    other.load_state_dict(model.state_dict())
    outputs = case.outputs(model, 40).detach()
    assert_array_equal(
        _log_prob(other, case.X, outputs), _log_prob(model, case.X, outputs)
    )
    assert_array_equal(other.linearized().outputs, model.linearized().outputs)


def test_likelihood_spec_survives_clone_and_params(case):
    for copy in (clone(case.spec), type(case.spec)(**case.spec.get_params(deep=False))):
        assert repr(copy) == repr(case.spec)


def test_likelihood_spec_resolves_once(case):
    resolved = case.spec.resolve(case.X)
    assert repr(resolved.resolve(case.X)) == repr(resolved)
    assert resolved is not case.spec


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_as_likelihood_takes_names(name):
    words = type(as_likelihood(name)).__name__
    assert words.lower() == name.replace("_", "")


def test_as_likelihood_keeps_a_spec():
    spec = Gaussian(noise="column")
    assert as_likelihood(spec) is spec
    assert isinstance(as_likelihood({0: "gaussian"}), Columns)


def _fitted_scores(X):
    model = NormalScores().build(X.shape[1]).double()
    model.fit_statistics(Rows(as_cells(X), np.arange(len(X)), np.ones(len(X))))
    return model


def test_normal_scores_draw_what_the_column_has():
    n, random = 1000, np.random.default_rng(0)
    pay = np.where(random.random(n) < 0.6, 0.0, random.lognormal(5.0, size=n))
    X = np.column_stack(
        (pay, random.poisson(1.5, size=n), random.normal(size=n).round(2))
    )
    model = _fitted_scores(X)
    model.start_noise(torch.ones(3).double())
    outputs = torch.zeros((n, model.n_outputs)).double()
    draws = model.draw(outputs, torch.Generator().manual_seed(0)).detach().numpy()
    # Frequencies of two samples differ by less with probability 0.9999.
    assert abs((draws[:, 0] == 0.0).mean() - (pay == 0.0).mean()) < 3.9 / np.sqrt(n)
    assert draws[:, 0].min() == 0.0
    assert set(draws[:, 1]) <= set(X[:, 1])
    assert_allclose(draws[:, 2], draws[:, 2].round(2), rtol=0.0, atol=0.0)
    # The range is no bound, but draws beyond it are rare.
    assert (draws[:, 2] > X[:, 2].max()).mean() < 0.01


def test_normal_scores_of_cells_between_atoms_are_those_of_the_nearest():
    X = np.repeat([[0.0], [1.0], [4.0]], 20, axis=0)
    model = _fitted_scores(X)
    asked = np.array([[-7.0], [0.4], [0.6], [2.4], [2.6], [50.0]])
    nearest = np.array([[0.0], [0.0], [1.0], [1.0], [4.0], [4.0]])
    assert_allclose(model.prepare(asked), model.prepare(nearest))
    log_prob = _log_prob(model, nearest, torch.zeros((6, 2)).double())
    assert torch.isfinite(log_prob).all()
    # Masses of three levels, over the least difference.
    assert_allclose(log_prob[[0, 2, 4]].exp().sum(), 1.0)


def test_normal_scores_are_normal():
    X = np.random.default_rng(0).standard_cauchy(size=(2000, 1))
    model = _fitted_scores(X)
    scores = model.prepare(X)[:, 0]
    assert kstest(scores, "norm").statistic < 0.02
    assert_allclose(np.argsort(scores), np.argsort(X[:, 0]))


def test_normal_scores_are_finite_whatever_the_weights():
    X = np.repeat(np.arange(60.0), 10)[:, None]
    for seed in range(50):
        weights = np.random.default_rng(seed).random(len(X))
        model = NormalScores().build(1).double()
        model.fit_statistics(Rows(as_cells(X), np.arange(len(X)), weights))
        assert np.isfinite(model.prepare(X)).all()
        assert np.isfinite(model.prepare(X + 60.0)).all()


def test_normal_scores_have_no_less_noise_than_ranks():
    X = np.random.default_rng(0).normal(size=(100, 1))
    model = _fitted_scores(X)
    model.start_noise(torch.zeros(1).double())
    # The scores of neighbors near the median differ by as much.
    spacing = np.sqrt(2.0 * np.pi) / 100
    assert_allclose(model.std().detach(), spacing / np.sqrt(12.0), rtol=1e-3)
