"""The written-out step follows autograd, whatever the model is made of."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch.testing import assert_close

from skvae import AutoencoderTransformer, VAETransformer, _products, _step
from skvae._batches import Batches, Rows
from skvae._model import Architecture
from skvae._state import FlatWeights
from skvae._step import AutogradStep, WrittenStep, step_for
from skvae._training import Plan, Training
from skvae.likelihoods import Bernoulli, Gaussian
from skvae.networks import ACTIVATIONS
from skvae.objectives import IWAE, elbo, reconstruction
from skvae.priors import StandardNormal
from skvae.schedules import Constant

X = np.random.default_rng(0).random((40, 5))
LIKELIHOODS = [
    Bernoulli(),
    Gaussian(),
    Gaussian(noise="column"),
    Gaussian(noise=0.3),
]


def _model(
    likelihood=LIKELIHOODS[1],
    *,
    hidden=(7, 6),
    activation="silu",
    linear=True,
    prior=True,
):
    """Return a model all of whose weights differ from zero."""
    prior = StandardNormal() if prior else None
    architecture = Architecture(5, 2, hidden, activation, linear, likelihood, prior)
    model = architecture.build(seed=1)
    rows = Rows(X, np.arange(len(X)), np.ones(len(X)))
    model.likelihood.fit_statistics(rows)
    random = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=random))
    return model


def _batch(model, n_rows=40):
    random = torch.Generator().manual_seed(3)
    x = torch.from_numpy(model.likelihood.prepare(X[:n_rows])).float()
    noise = torch.randn((n_rows, 2), generator=random)
    return x, 0.5 + torch.rand(n_rows, generator=random), noise


def _gradients(model, *batch, objective=elbo):
    """Return terms and gradient of both steps, the plain one in float64."""
    written = FlatWeights(model)
    # A step sets the gradient, whatever an earlier one has left.
    written.gradient.fill_(torch.nan)
    with torch.no_grad():
        terms = WrittenStep(model)(*batch, 0.7)
    gradient = written.gradient.clone()
    plain = FlatWeights(model.double())
    x, weights, noise = (values.double() for values in batch)
    truth = AutogradStep(model, objective, plain)(x, weights, noise, 0.7)
    return (terms, gradient), (truth, plain.gradient)


def _assert_same(one, other):
    for a, b in zip(one, other, strict=True):
        assert_close(a.double(), b, rtol=1e-4, atol=1e-4 * float(b.abs().max()))
        assert float(b.abs().max()) > 0


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=repr)
def test_written_step_equals_autograd_for_each_likelihood(likelihood):
    model = _model(likelihood)
    _assert_same(*_gradients(model, *_batch(model)))


@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("hidden", [(6,), (7, 6), (4, 5, 6)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_written_step_equals_autograd_for_each_network(activation, hidden, linear):
    model = _model(activation=activation, hidden=hidden, linear=linear)
    _assert_same(*_gradients(model, *_batch(model)))


def test_written_step_equals_autograd_for_a_plain_autoencoder():
    model = _model(prior=False)
    _assert_same(*_gradients(model, *_batch(model), objective=reconstruction))


def test_written_step_adds_up_the_pieces_of_a_batch(monkeypatch):
    monkeypatch.setattr(_step, "PIECE_ROWS", 7)
    model = _model()
    _assert_same(*_gradients(model, *_batch(model)))


def test_written_step_bounds_log_variances_as_autograd_does():
    model = _model(linear=False)
    with torch.no_grad():
        model.encoder.bias[2:] = torch.tensor([-40.0, 20.0])
    x, weights, noise = _batch(model)
    (_, gradient), (_, truth) = _gradients(model, x, weights, noise)
    scale = float(truth.abs().max())
    assert_close(gradient.double() / scale, truth / scale, rtol=1e-4, atol=1e-4)


def test_written_step_equals_autograd_through_onednn(monkeypatch):
    monkeypatch.setattr(_products, "LEAST_WORK", 0)
    monkeypatch.setattr(_products, "THIN", 0)
    monkeypatch.setattr(_products, "_gain", lambda: 2.0)
    model = _model()
    _assert_same(*_gradients(model, *_batch(model)))


def test_step_is_written_for_the_standard_models_alone():
    def kind(model, objective):
        return type(step_for(model, objective, FlatWeights(model)))

    assert kind(_model(), elbo) is WrittenStep
    incomplete = _model()
    incomplete.may_miss = True
    assert kind(incomplete, elbo) is AutogradStep
    assert kind(_model(prior=False), reconstruction) is WrittenStep
    assert kind(_model(), lambda *batch: elbo(*batch)) is AutogradStep
    assert kind(_model(hidden=()), elbo) is AutogradStep


@pytest.mark.parametrize("solver", ["adam", "rmsprop", "sgd"])
def test_written_step_trains_to_the_same_weights_in_100_steps(solver):
    X = load_digits().data / 16
    rows = Rows(X, np.arange(len(X)), np.ones(len(X)))

    def trained(step_of):
        architecture = Architecture(
            64, 2, (32,), "relu", False, Bernoulli(), StandardNormal()
        )
        model = architecture.build(seed=0)
        model.likelihood.fit_statistics(rows)
        plan = Plan(solver, 1e-3, Constant(), 0.0, Constant(), 5, None, 10, 0)
        batches = Batches.from_rows(
            rows, model.likelihood.prepare, torch.device("cpu"), 90
        )
        training = Training(model, elbo, batches, None, plan)
        training.step = step_of(model, training.weights)
        training.run(lambda: None, lambda: False)
        assert training.optimizer.n_steps == 100
        return training.weights.data

    plain = trained(lambda model, weights: AutogradStep(model, elbo, weights))
    written = trained(lambda model, weights: WrittenStep(model))
    error = torch.linalg.vector_norm(written - plain) / torch.linalg.vector_norm(plain)
    assert float(error) < 1e-6


# Precision


@pytest.mark.parametrize("prior", [True, False])
def test_step_in_bfloat16_follows_float32_to_its_eight_bits(prior):
    model, objective = _model(prior=prior), elbo if prior else reconstruction
    batch = _batch(model)
    weights = FlatWeights(model)
    with torch.no_grad():
        exact_terms = step_for(model, objective, weights)(*batch, 0.7)
    exact = weights.gradient.clone()
    step = step_for(model, objective, weights, "bfloat16")
    terms = step(*batch, 0.7)
    assert weights.gradient.dtype == weights.data.dtype == torch.float32
    assert_close(terms, exact_terms, rtol=0.02, atol=0)
    error = (weights.gradient - exact).norm() / exact.norm()
    # Rounding is there, and no more of it than a few products in a row make.
    assert 1e-4 < float(error) < 4 * 2.0**-8
    assert not torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize("objective", [elbo, IWAE(4)], ids=["elbo", "iwae"])
@pytest.mark.parametrize("linear", [True, False])
def test_bfloat16_goes_no_further_than_the_networks(linear, objective):
    model = _model(linear=linear)
    x, _, noise = _batch(model)
    with torch.autocast("cpu", torch.bfloat16):
        assert model.encoder.perceptron.hidden[0](x).dtype is torch.bfloat16
        outputs = (*model.encoder(x), model.decoder(noise), *objective(model, x, noise))
    assert {values.dtype for values in outputs} == {torch.float32}


@pytest.mark.parametrize("cls", [VAETransformer, AutoencoderTransformer])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_fit_in_bfloat16_ends_where_one_in_float32_does(cls, likelihood):
    X = load_digits().data / 16
    exact, rounded = (
        cls(
            likelihood=likelihood,
            hidden_layer_sizes=32,
            init="random",
            learning_rate_init=0.01,
            max_iter=30,
            tol=None,
            precision=precision,
            random_state=0,
        ).fit(X)
        for precision in ("float32", "bfloat16")
    )
    # The start is the same, and validation rounds nothing.
    assert rounded.validation_curve_[0] == exact.validation_curve_[0]
    # Where an output is off by 2^-8, the loss of its cell is by so many nats or less.
    allowed = X.shape[1] * 2.0**-8
    assert exact.validation_curve_[0] - exact.best_loss_ > 5 * allowed
    assert 0 < abs(rounded.best_loss_ - exact.best_loss_) < allowed


def test_fit_in_bfloat16_answers_in_float32_or_better():
    X = load_digits().data[:400]
    rounded = VAETransformer(4, precision="bfloat16", max_iter=5, tol=None).fit(X)
    assert {p.dtype for p in rounded.module_.parameters()} == {torch.float32}
    one, all_rows = rounded.transform(X[:1]), rounded.transform(X)
    assert one.dtype == np.float64
    np.testing.assert_allclose(one, all_rows[:1], rtol=1e-12)


def test_fits_of_two_precisions_in_two_threads_do_not_meet():
    X = load_digits().data[:200]

    def curve(precision):
        model = VAETransformer(
            precision=precision, max_iter=5, tol=None, random_state=0
        )
        return model.fit(X).loss_curve_

    jobs = ["bfloat16", "float32"] * 2
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(curve, jobs))
    assert together == [curve(precision) for precision in jobs]
    assert together[0] != together[1]


def test_precision_must_be_known():
    with pytest.raises(ValueError, match="'precision' parameter"):
        VAETransformer(precision="float16").fit(X)
