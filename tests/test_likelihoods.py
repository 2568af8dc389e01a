"""One list of likelihoods (`case` in conftest.py), many properties."""

import pickle

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from torch.testing import assert_close

from skvae import _batches
from skvae.likelihoods import LIKELIHOODS, Columns, Gaussian, as_likelihood


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
    parts = getattr(model, "parts", None)
    return [model] if parts is None else [part.model for part in parts]


def _counts_all_cells(model):
    return any(getattr(leaf, "size_factor", False) for leaf in _leaves(model))


# Scores


def _grid(case, model, outputs):
    """Return values all over the domain of one column, and the width of each."""
    p, name = model.distribution(outputs), type(case.spec).__name__
    if name in ("Gaussian", "StudentT"):
        # A substitution that reaches far out into the tails.
        t, step = np.linspace(-14, 14, 4001, retstep=True)
        values = p.loc.item() + p.scale.item() * np.sinh(t)
        return values, step * p.scale.item() * np.cosh(t)
    if name == "LogNormal":
        t, step = np.linspace(-12, 12, 2001, retstep=True)
        values = np.exp(p.loc.item() + p.scale.item() * t)
        return values, step * p.scale.item() * values
    if name == "ContinuousBernoulli":
        nodes, weights = np.polynomial.legendre.leggauss(40)
        return 0.5 + 0.5 * nodes, 0.5 * weights
    n = 2 if name == "Bernoulli" else getattr(model, "n_total", 3000)
    return np.arange(float(n)), 1.0


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
    model = case.model(columns=[column])
    outputs = case.outputs(model, 1).detach()
    values, width = _grid(case, model, outputs)
    if getattr(case.spec, "size_factor", False):
        # The score is given the total, of which a single column has all.
        p = model.distribution(outputs)
        log_prob = p.log_prob(torch.from_numpy(values[:, None]))[:, 0].detach()
    else:
        log_prob = _log_prob(model, values[:, None], outputs.expand(len(values), -1))
    assert_allclose((log_prob.exp().numpy() * width).sum(), 1.0, rtol=1e-6)


def test_likelihood_gradient_matches_finite_differences(case):
    model = case.model()
    x = _prepared(model, case.X[:5])
    outputs = case.outputs(model, 5).detach().requires_grad_()
    learned = [p for p in model.parameters() if p.requires_grad]
    torch.autograd.gradcheck(lambda *_: model.log_prob(outputs, x), (outputs, *learned))


def test_likelihood_loss_has_the_gradients_of_its_log_prob(case):
    model = case.model()
    x = _prepared(model, case.X)
    outputs = case.outputs(model, 40).detach().requires_grad_()
    weights = torch.linspace(0.5, 2.0, 40, dtype=torch.float64)
    log_prob = model.log_prob(outputs, x)
    learned = [p for p in model.parameters() if p.requires_grad]
    expected = torch.autograd.grad(-(log_prob @ weights), [outputs, *learned])
    for p in learned:
        p.grad = torch.ones_like(p)
    with torch.no_grad():
        loss, gradient = model.loss_and_gradient(outputs, x, weights)
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
    assert model.marginal_outputs().isfinite().all()


def test_likelihood_encoder_sees_the_usual_where_cells_are_missing(case):
    model, holes = case.model(), _has_holes(case.X)
    x = _prepared(model, holes)
    seen = ~torch.isnan(x)
    h = model.encoder_inputs(x, seen)
    usual = model.marginal_inputs().expand_as(h)
    spread = model.spread(seen)
    assert h.shape == (40, model.n_inputs)
    assert_close(h[~spread], usual[~spread])
    if not _counts_all_cells(model):
        complete = model.encoder_inputs(_prepared(model, case.X))
        assert_close(h[spread], complete[spread])


def test_likelihood_residual_is_missing_where_the_cell_is(case):
    model, holes = case.model(), _has_holes(case.X)
    residual = model.residual(case.outputs(model, 40), _prepared(model, holes))
    assert_array_equal(residual.isnan().numpy(), np.isnan(holes))


# The start


def test_likelihood_marginal_outputs_are_stationary(case):
    model = case.model(start=False)
    if _counts_all_cells(model) and hasattr(model, "set_log_theta"):
        pytest.skip("shares are those that are best for Poisson counts")
    outputs = model.marginal_outputs().requires_grad_()
    x = _prepared(model, case.X)
    best = model.log_prob(outputs.expand(40, -1), x).sum()
    best.backward()
    # Half a row for each category is what smoothing may hold back, of five at most.
    is_smoothed = any(
        hasattr(m, "rate") or hasattr(m, "frequency") for m in _leaves(model)
    )
    assert (outputs.grad.abs() <= (2.5 if is_smoothed else 1e-5)).all()
    for direction in torch.eye(model.n_outputs, dtype=torch.float64):
        for step in (-0.5, 0.5):
            moved = (outputs + step * direction).expand(40, -1)
            assert model.log_prob(moved, x).sum() <= best + 0.3


def test_likelihood_linear_outputs_move_the_residual_as_asked(case):
    model = case.model()
    if model.n_inputs != model.n_features or _counts_all_cells(model):
        pytest.skip("inputs of a column are tied to each other")
    x, start = _prepared(model, case.X[:1]), model.marginal_outputs()
    random = torch.Generator().manual_seed(2)
    directions = torch.randn((3, 4), generator=random, dtype=torch.float64)
    varies = torch.from_numpy(np.ptp(case.X, axis=0) > 0)
    moved = start + 1e-6 * model.linear_outputs(directions)
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
    monkeypatch.setattr(_batches, "CHUNK_VALUES", 12)
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
    assert_array_equal(other.marginal_outputs(), model.marginal_outputs())


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
