"""The written-out step follows autograd, whatever the model is made of."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch.testing import assert_close

from skvae._model import Architecture
from skvae.likelihoods import Bernoulli, Gaussian
from skvae.networks import ACTIVATIONS, Network, Perceptron, _products
from skvae.objectives import ELBO, IWAE, AddedTerm, Reconstruction
from skvae.priors import NoPrior, Normal, StandardNormal
from skvae.priors._priors import StandardNormalModel
from skvae.schedules import Constant, as_weight
from skvae.table import Batch, Batches, Rows, as_cells
from skvae.training import Plan, Start, Training, _step
from skvae.training._state import FlatParameters
from skvae.training._step import AutogradStep, WrittenStep, step_for

X = np.random.default_rng(0).random((40, 5))
GAUSSIAN, NORMAL, BOUND = Gaussian(), StandardNormal(), ELBO(0.0)


def _rows(X):
    return Rows(as_cells(X), np.arange(len(X)), np.ones(len(X)))


def _model(
    likelihood=GAUSSIAN,
    X=X,
    *,
    hidden=(7, 6),
    activation="silu",
    has_path=True,
    prior=NORMAL,
    sees_missing=False,
):
    """Return a model all of whose parameters differ from zero."""
    encoder = Perceptron(hidden, activation)
    networks = (encoder, encoder.mirrored(), has_path)
    n_columns = X.shape[1]
    model = Architecture(
        n_columns, 2, *networks, likelihood, prior, sees_missing
    ).build(seed=1)
    model.likelihood.fit_statistics(_rows(X))
    random = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=random))
    return model


def _batch(model, X=X):
    """Return the rows of a table as a weighted batch, and noise, float64."""
    random = torch.Generator().manual_seed(3)
    x = torch.from_numpy(np.asarray(model.likelihood.prepare(X), dtype=np.float64))
    weights = 0.5 + torch.rand(len(X), generator=random, dtype=torch.float64)
    noise = torch.randn((1, len(X), 2), generator=random, dtype=torch.float64)
    return Batch.of(x, bool(np.isnan(X).any()), weights=weights), noise


def _gradient_of(model):
    return torch.cat([p.grad.reshape(-1) for p in model.parameters()])


def _gradients(model, batch, noise, objective=BOUND, dtype=torch.float32):
    """Return terms and gradient of both steps, the plain one in float64."""
    term_weights = [1.0, 0.7][: len(objective.names)]
    written = FlatParameters(model.to(dtype))
    # A step sets the gradient, whatever an earlier one has left.
    written.gradient.fill_(torch.nan)
    rounded = Batch(batch.x.to(dtype), batch.observed, batch.weights.to(dtype))
    with torch.inference_mode():
        terms = WrittenStep(model, objective)(rounded, noise.to(dtype), term_weights)
    gradient = _gradient_of(model).clone()
    plain = FlatParameters(model.double())
    truth = AutogradStep(model, objective, plain)(batch, noise, term_weights)
    return (terms, gradient), (truth, _gradient_of(model))


def _assert_same(one, other, rtol=1e-4):
    for a, b in zip(one, other, strict=True):
        assert_close(a.double(), b, rtol=rtol, atol=rtol * float(b.abs().max()))
        assert float(b.abs().max()) > 0


@pytest.mark.parametrize(
    ("dtype", "rtol"), [(torch.float64, 1e-8), (torch.float32, 1e-4)], ids=str
)
@pytest.mark.parametrize("prior", [NORMAL, NoPrior()], ids=repr)
@pytest.mark.parametrize("fraction", [0.0, 0.3])
def test_written_step_equals_autograd_for_each_likelihood(
    case, fraction, prior, dtype, rtol
):
    """With a fraction of the cells missing, and rows without any observed cell."""
    table = case.X.copy()
    if fraction:
        table[np.random.default_rng(4).random(table.shape) < fraction] = np.nan
        table[[3, 20]] = np.nan
    spec = case.spec.resolve(case.X)
    model = _model(spec, table, prior=prior, sees_missing=fraction > 0)
    objective = BOUND if model.posterior.is_random else Reconstruction()
    both = _gradients(model, *_batch(model, table), objective, dtype)
    _assert_same(*both, rtol)


@pytest.mark.parametrize("has_path", [True, False])
@pytest.mark.parametrize("hidden", [(6,), (7, 6), (4, 5, 6)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_written_step_equals_autograd_for_each_network(activation, hidden, has_path):
    model = _model(activation=activation, hidden=hidden, has_path=has_path)
    _assert_same(*_gradients(model, *_batch(model)))


def test_written_step_adds_up_the_pieces_of_a_batch(monkeypatch):
    monkeypatch.setattr(_step, "PIECE_ROWS", 7)
    table = X.copy()
    table[5:9, 1:] = table[30] = np.nan
    model = _model(X=table)
    _assert_same(*_gradients(model, *_batch(model, table)))


def test_written_step_bounds_log_variances_as_autograd_does():
    model = _model(has_path=False)
    with torch.no_grad():
        model.encoder.path.bias[2:] = torch.tensor([-40.0, 20.0])
    (_, gradient), (_, truth) = _gradients(model, *_batch(model))
    scale = float(truth.abs().max())
    assert_close(gradient.double() / scale, truth / scale, rtol=1e-4, atol=1e-4)


def test_written_step_equals_autograd_through_onednn(monkeypatch):
    monkeypatch.setattr(_products, "LEAST_WORK", 0)
    monkeypatch.setattr(_products, "THIN", 0)
    monkeypatch.setattr(_products, "_gain", lambda: 2.0)
    model = _model()
    _assert_same(*_gradients(model, *_batch(model)))


# The choice of a step


class Own(Network):
    """A user's network."""

    def build(self, n_in, n_out, random):
        return torch.nn.Linear(n_in, n_out)


class OwnNormal(Normal):
    """A posterior whose outputs mean something else."""

    is_normal = False


class OwnPrior(StandardNormal):
    """A prior that is not known to be normal, or whose posterior is not."""

    def __init__(self, knows_prior=True):
        self.knows_prior = knows_prior
        self.posterior = Normal() if knows_prior else OwnNormal()

    def build(self, n_components):
        model = StandardNormalModel(n_components)
        model.is_standard_normal = not self.knows_prior
        return model


class Zero(AddedTerm):
    """A term that adds nothing."""

    name = "zero"

    def term(self, model, batch, noise):
        return batch.x.new_zeros(())


@pytest.mark.parametrize(
    ("options", "objective", "expected"),
    [
        ({}, BOUND, WrittenStep),
        ({}, ELBO(0.4), WrittenStep),
        ({"sees_missing": True}, BOUND, WrittenStep),
        ({"prior": NoPrior()}, Reconstruction(), WrittenStep),
        ({"prior": OwnPrior(True)}, BOUND, AutogradStep),
        ({"prior": OwnPrior(False)}, BOUND, AutogradStep),
        ({"hidden": ()}, BOUND, AutogradStep),
        ({}, IWAE(4), AutogradStep),
        ({}, Zero(), AutogradStep),
    ],
    ids=repr,
)
def test_step_is_written_out_where_everything_is_known(options, objective, expected):
    model = _model(**options)
    assert type(step_for(model, objective, FlatParameters(model))) is expected


def test_step_of_another_network_is_left_to_autograd():
    known = (Own(), Perceptron((4,)), False, GAUSSIAN, NORMAL)
    model = Architecture(5, 2, *known).build(seed=0)
    assert type(step_for(model, BOUND, FlatParameters(model))) is AutogradStep


@pytest.mark.parametrize("solver", ["adam", "rmsprop", "sgd"])
def test_written_step_trains_to_the_same_parameters_in_100_steps(solver):
    X = load_digits().data / 16
    rows = _rows(X)

    def trained(step_of):
        networks = (Perceptron((32,), "relu"),) * 2
        known = (False, Bernoulli(), NORMAL)
        model = Architecture(64, 2, *networks, *known).build(seed=0)
        model.likelihood.fit_statistics(rows)
        weights, rate = {"kl": as_weight(1.0)}, Constant(1e-3)
        plan = Plan(BOUND, weights, solver, rate, 5, None, 10, 0)
        cpu = torch.device("cpu")
        batches = Batches.from_rows(rows, model.likelihood.prepare, cpu, 90)
        training = Training(model, batches, None, None, plan, Start(False, False))
        training.step = step_of(model, training.parameters)
        training.run(lambda: None, lambda: False)
        assert training.optimizer.n_steps == 100
        return training.parameters.theta

    plain = trained(lambda model, theta: AutogradStep(model, BOUND, theta))
    written = trained(lambda model, theta: WrittenStep(model, BOUND))
    error = torch.linalg.vector_norm(written - plain) / torch.linalg.vector_norm(plain)
    assert float(error) < 1e-6


class Weighted(ELBO):
    """The bound, with a weight of the reconstruction."""

    def weights(self):
        return {"reconstruction": as_weight(2.0)}


def test_objective_with_weights_of_its_own_is_not_written_out():
    model = _model()
    steps = [
        step_for(model, objective, FlatParameters(model))
        for objective in (ELBO(0.0), Weighted(0.0))
    ]
    assert list(map(type, steps)) == [WrittenStep, AutogradStep]
