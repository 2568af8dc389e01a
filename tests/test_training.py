"""The loop keeps the best state, survives accidents, and can be resumed."""

import copy
import math
import warnings

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from torch.testing import assert_close

from skvae import _training as _training_module
from skvae._batches import Batches, Rows
from skvae._model import Architecture
from skvae._replay import Recording, Replayed
from skvae._start import start_linear
from skvae._state import AVERAGING_POWER, Best, Resumed
from skvae._training import CLIP_PER_FEATURE, Plan, Training
from skvae._validation import Bar
from skvae.likelihoods import Gaussian
from skvae.objectives import Terms, elbo, reconstruction
from skvae.priors import StandardNormal
from skvae.schedules import Constant, WarmUp

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 2)) @ RNG.normal(size=(2, 5)) + 0.3 * RNG.normal(size=(50, 5))
PLAN = Plan(
    solver="adam",
    learning_rate_init=1e-3,
    learning_rate=Constant(),
    alpha=0.0,
    beta=Constant(),
    max_iter=6,
    tol=None,
    n_iter_no_change=10,
    seed=0,
)


def _rows(X, weights=None):
    weights = np.ones(len(X)) if weights is None else weights
    return Rows(X, np.arange(len(X)), weights / weights.mean())


def _model(prior=True, linear=True):
    prior = StandardNormal() if prior else None
    architecture = Architecture(5, 2, (6,), "tanh", linear, Gaussian(), prior)
    model = architecture.build(seed=0)
    model.likelihood.fit_statistics(_rows(X))
    if linear:
        start_linear(model, _rows(X))
    return model


def _batches(model, X, batch_size=16, weights=None):
    rows, cpu = _rows(X, weights), torch.device("cpu")
    return Batches.from_rows(rows, model.likelihood.prepare, cpu, batch_size)


def _training(
    model=None, objective=elbo, held_out=False, batch_size=16, resumed=None, **plan
):
    """Return a training of three batches an epoch, or so."""
    model = _model() if model is None else model
    train = _batches(model, X[:40], batch_size)
    held_out = _batches(model, X[40:]) if held_out else None
    plan = PLAN._replace(**plan)
    return Training(model, objective, train, held_out, plan, resumed)


def _run(training, end=lambda: False):
    training.run(lambda: None, end)
    return training


def _weights(training):
    return training.weights.data.clone()


class Accident:
    """An objective to which something happens at the given steps of training."""

    def __init__(self, happen, steps):
        self.happen, self.steps, self.n_steps = happen, set(steps), 0

    def __call__(self, model, x, noise):
        terms = elbo(model, x, noise)
        if noise.ndim == 2:
            self.n_steps += 1
            if self.n_steps - 1 in self.steps:
                return self.happen(terms)
        return terms


def _lose(terms):
    return Terms(terms.reconstruction * math.nan, terms.kl)


def _interrupt(terms):
    raise KeyboardInterrupt


# The step


def test_training_lowers_the_loss_and_keeps_its_history():
    training = _run(
        _training(_model(linear=False), max_iter=30, learning_rate_init=0.02)
    )
    history = training.history
    assert training.n_epochs == len(history.loss) == 30
    assert history.loss[-1] < history.loss[0] - 1
    assert history.validation == []
    parts = np.add(history.reconstruction, history.kl)
    assert parts == pytest.approx(history.loss, rel=1e-5)


def test_training_moves_the_parameters_of_its_model():
    model = _model()
    before = copy.deepcopy(model.state_dict())
    _run(_training(model)).finish()
    moved = {name for name, p in model.named_parameters() if (p != before[name]).any()}
    assert moved == dict(model.named_parameters()).keys()
    assert all(p.grad is None for p in model.parameters())


def test_training_touches_nothing_global(untouched):
    _run(_training(held_out=True)).finish()


def test_training_repeats_by_seed():
    a, b, c = (_weights(_run(_training(seed=seed))) for seed in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_training_draws_fresh_noise_at_every_step():
    seen = []

    def objective(model, x, noise):
        if torch.is_grad_enabled():
            seen.append(noise)
        return elbo(model, x, noise)

    _run(_training(objective=objective))
    assert len({tuple(noise.reshape(-1)[:4].tolist()) for noise in seen}) == 18


def test_training_decodes_a_share_of_each_batch_at_its_code():
    seen = []

    def spy(model, x, noise):
        if noise.ndim == 2:
            seen.append((noise == 0.0).all(dim=1).sum().item() / len(noise))
        return elbo(model, x, noise)

    _run(_training(objective=spy, max_iter=2, batch_size=20, code_share=0.3))
    assert seen == [0.3] * 4


def test_training_takes_weights_as_repetitions():
    def step(X, weights=None):
        model = _model(prior=False)
        train = _batches(model, X, len(X), weights)
        plan = PLAN._replace(solver="sgd", max_iter=1)
        training = Training(model, reconstruction, train, None, plan)
        return _run(training)

    counts = 1 + np.arange(12) % 3
    weighted = step(X[:12], counts.astype(float))
    repeated = step(np.repeat(X[:12], counts, axis=0))
    assert_close(_weights(weighted), _weights(repeated))
    assert weighted.history.loss == pytest.approx(repeated.history.loss, rel=1e-5)


def test_training_weights_the_kl_term_by_beta():
    plain, heavy = (
        _run(_training(beta=Constant(beta), max_iter=40, learning_rate_init=0.02))
        for beta in (1.0, 8.0)
    )
    assert heavy.history.kl[-1] < 0.5 * plain.history.kl[-1]
    total = heavy.history.reconstruction[-1] + 8.0 * heavy.history.kl[-1]
    assert heavy.history.loss[-1] == pytest.approx(total, rel=1e-5)


def test_training_follows_schedules_step_by_step():
    seen = []

    class Spy(Constant):
        def __call__(self, epoch, n_epochs):
            seen.append((epoch, n_epochs))
            return 0.0

    training = _training(learning_rate=Spy(), max_iter=2)
    before = _weights(training)
    _run(training)
    epochs, lengths = zip(*seen, strict=True)
    assert epochs == pytest.approx([0, 1 / 3, 2 / 3, 1, 4 / 3, 5 / 3])
    assert set(lengths) == {2}
    assert torch.equal(_weights(training), before)


def test_training_validates_with_the_final_beta():
    held_out = [
        _training(held_out=True, beta=beta).history.validation[0]
        for beta in (WarmUp(0.3, 2.0), Constant(2.0), Constant(1.0))
    ]
    assert held_out[0] == held_out[1] > held_out[2]


def test_training_validates_with_the_share_of_code():
    check = {
        share: _training(held_out=True, code_share=share).history.validation[0]
        for share in (0.0, 0.25, 1.0)
    }
    assert check[1.0] < check[0.0]
    mixed = 0.75 * check[0.0] + 0.25 * check[1.0]
    assert check[0.25] == pytest.approx(mixed, rel=1e-5)


def test_training_decays_matrices_not_biases():
    training = _training(alpha=1.0)
    model = training.model
    for p in model.parameters():
        part = training.weights.decayed[: p.numel()]
        assert (part == float(p.ndim > 1)).all()
        training.weights.decayed = training.weights.decayed[p.numel() :]


def test_training_clips_gradients_to_a_bounded_norm():
    def objective(model, x, noise):
        return Terms(*(1e12 * part for part in elbo(model, x, noise)))

    training = _training(objective=objective, solver="sgd", batch_size=40, max_iter=1)
    before = _weights(training)
    _run(training)
    step = torch.linalg.vector_norm(_weights(training) - before)
    assert float(step) == pytest.approx(1e-3 * CLIP_PER_FEATURE * 5, rel=1e-4)


# The best state


def test_training_restores_the_best_held_out_state():
    training = _training(
        _model(linear=False), held_out=True, max_iter=25, learning_rate_init=0.1
    )
    _run(training)
    curve = training.history.validation
    assert len(curve) == 26
    assert curve[-1] > min(curve)
    training.finish()
    assert training.validate().loss == training.best.loss == min(curve)


def test_training_returns_to_the_start_where_steps_are_absurd():
    training = _training(held_out=True, learning_rate_init=1.0)
    before = _weights(training)
    training = _run(training)
    assert training.history.validation[0] == min(training.history.validation)
    last = _weights(training)
    training.finish()
    assert torch.equal(training.weights.data, before)
    assert not torch.equal(last, before)


def test_training_keeps_no_state_that_gives_held_out_rows_less_density():
    """Little weight on the KL term makes codes sharp, and the density worse."""
    plan = {"beta": Constant(0.02), "code_share": 0.5, "max_iter": 60}
    training = _run(_training(held_out=True, learning_rate_init=0.03, **plan))
    start = _training(held_out=True, **plan)
    losses = training.history.validation
    assert min(losses) < losses[0] - 0.3
    assert training.validate.density() < start.validate.density()
    training.finish()
    assert training.validate.density() >= start.validate.density()


def test_training_without_held_out_rows_keeps_the_last_state():
    training = _run(_training(learning_rate_init=1.0))
    last = _weights(training)
    training.finish()
    assert torch.equal(training.weights.data, last)


def test_training_finishes_with_the_weights_in_the_model():
    training = _run(_training(held_out=True))
    training.finish()
    parts = [p.detach().reshape(-1) for p in training.model.parameters()]
    assert torch.equal(torch.cat(parts), training.best.weights)


def test_best_counts_gains_below_tol_as_stale_but_keeps_them():
    best = Best(tol=0.5)
    for i, loss in enumerate([10.0, 9.8, 9.6, 9.4, 9.5, math.nan]):
        best.offer(loss, torch.tensor([float(i)]))
    assert best.loss == 9.4
    assert best.weights.item() == 3.0
    assert best.n_stale == 2


# Losses that are not finite


def test_training_repeats_an_epoch_with_smaller_steps_where_a_loss_is_lost():
    training = _training(objective=Accident(_lose, [4]), held_out=True)
    with pytest.warns(
        ConvergenceWarning, match=r"not finite in epoch 2.* to 0\.0001\."
    ):
        _run(training)
    assert training.slowdown == pytest.approx(0.1)
    assert training.n_epochs == 6
    assert np.isfinite(training.history.loss + training.history.validation).all()
    undisturbed = _run(_training(objective=Accident(_lose, []), held_out=True))
    assert training.history.loss[0] == undisturbed.history.loss[0]
    assert training.optimizer.n_steps == undisturbed.optimizer.n_steps


def test_training_stops_with_the_last_good_state_where_losses_stay_lost():
    training = _training(objective=Accident(_lose, range(7, 1000)))
    with pytest.warns(ConvergenceWarning) as caught:
        _run(training)
    assert len(caught) == 5
    assert training.n_epochs == len(training.history.loss) == 2
    undisturbed = _run(_training(objective=Accident(_lose, []), max_iter=2))
    assert torch.equal(_weights(training), _weights(undisturbed))


def test_training_without_any_finite_loss_is_an_error_in_words():
    training = _training(objective=Accident(_lose, range(1000)))
    message = "requires a finite loss.*extreme values in X, or lower learning_rate_init"
    with pytest.warns(ConvergenceWarning), pytest.raises(ValueError, match=message):
        _run(training)


@pytest.mark.parametrize("batch_size", [16, 40])
def test_training_ends_finite_where_the_last_step_of_an_epoch_diverges(batch_size):
    training = _training(
        batch_size=batch_size, learning_rate_init=1e20, solver="sgd", max_iter=8
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        try:
            _run(training)
        except ValueError:
            return
    training.finish()
    terms = elbo(training.model, training.train.source.x, torch.zeros(40, 2))
    assert sum(terms).isfinite().all()


# Recorded steps


def test_training_by_recorded_steps_is_the_same():
    """A stand-in for the CUDA graph calls the step again with the inputs it holds."""

    def call_again(take, inputs):
        answer = take(*inputs).clone()
        return Recording(inputs, answer, lambda: answer.copy_(take(*inputs)))

    plain, recorded = (_training(beta=WarmUp(), held_out=True) for _ in range(2))
    recorded.take = Replayed(
        recorded._take_step, recorded.snapshot, recorded._go_back, call_again
    )
    assert_close(_weights(_run(recorded)), _weights(_run(plain)), rtol=1e-5, atol=1e-6)
    assert recorded.history.loss == pytest.approx(plain.history.loss, rel=1e-5)


# Interruptions


def test_training_interrupted_keeps_the_last_whole_epoch():
    training = _training(objective=Accident(_interrupt, [7]), held_out=True)
    with pytest.warns(UserWarning, match="interrupted by user"):
        _run(training)
    undisturbed = _run(
        _training(objective=Accident(_interrupt, []), held_out=True, max_iter=2)
    )
    assert training.n_epochs == 2
    assert training.history == undisturbed.history
    assert torch.equal(_weights(training), _weights(undisturbed))
    assert training.optimizer.n_steps == 6


def test_training_interrupted_while_validating_keeps_the_last_whole_epoch():
    n_validations = 0

    def objective(model, x, noise):
        nonlocal n_validations
        n_validations += noise.ndim == 3
        if n_validations == 4:
            raise KeyboardInterrupt
        return elbo(model, x, noise)

    training = _training(objective=objective, held_out=True)
    with pytest.warns(UserWarning, match="interrupted by user"):
        _run(training)
    history = training.history
    assert len(history.loss) == len(history.validation) - 1 == training.n_epochs


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("solver", ["adam", "adamw", "rmsprop", "sgd"])
def test_training_resumed_equals_one_run(solver, average):
    whole = _run(_training(solver=solver, average=average, max_iter=6))
    first = _run(_training(solver=solver, average=average, max_iter=4))
    snapshot = first.snapshot().to_arrays()
    first.finish()
    resumed = Resumed(snapshot, solver, first.n_epochs, first.history)
    model = copy.deepcopy(first.model)
    options = {"solver": solver, "average": average, "resumed": resumed}
    second = _run(_training(model, max_iter=2, **options))
    assert torch.equal(_weights(second), _weights(whole))
    assert torch.equal(second.weights.average, whole.weights.average)
    assert second.history == whole.history
    assert len(first.history.loss) == 4


def test_training_resumed_goes_on_from_the_last_state_and_remembers_the_best():
    options = {"held_out": True, "learning_rate_init": 1.0}
    first = _run(_training(**options))
    start, last = first.best.weights.clone(), first.snapshot()
    first.finish()
    resumed = Resumed(last.to_arrays(), "adam", first.n_epochs, first.history)
    second = _training(copy.deepcopy(first.model), resumed=resumed, **options)
    assert torch.equal(second.weights.data, last.weights)
    assert second.best.loss == first.best.loss
    _run(second).finish()
    assert torch.equal(second.weights.data, start)
    assert len(second.history.validation) == 13


# The average


def _states_of_steps(**options):
    """Return the weights after each step of a training, and the training."""
    training, states = _training(**options), []
    take = training.take

    def spy(*inputs):
        answer = take(*inputs)
        states.append(_weights(training))
        return answer

    training.take = spy
    return states, _run(training)


def test_training_ends_with_the_average_of_its_states():
    states, training = _states_of_steps(average=True, max_iter=4)
    t = np.arange(1, len(states) + 1)
    # What is left of a state's part after all later ones have moved the average.
    parts = (1 + AVERAGING_POWER) / (t + AVERAGING_POWER)
    left = np.append(np.cumprod((1 - parts)[::-1])[::-1][1:], 1.0)
    expected = (parts * left) @ torch.stack(states).double().numpy()
    training.finish()
    assert_close(training.weights.data.double().numpy(), expected, rtol=1e-5, atol=1e-6)
    assert (parts * left)[-2:].sum() > 2 * (parts * left)[:2].sum()


def test_training_without_average_ends_with_its_last_state():
    states, training = _states_of_steps(max_iter=4)
    training.finish()
    assert torch.equal(training.weights.data, states[-1])


def test_training_checks_and_keeps_the_average():
    options = {"average": True, "held_out": True, "max_iter": 5}
    _, training = _states_of_steps(**options, learning_rate_init=0.05)
    training.finish()
    least = min(training.history.validation)
    assert training.best.loss == training.validate().loss == least
    assert len(training.history.validation) == 6


def test_training_takes_some_states_of_a_long_epoch_into_its_average(monkeypatch):
    monkeypatch.setattr(_training_module, "N_AVERAGED", 2)
    training = _training(average=True, batch_size=4, max_iter=3)
    assert training.train.n_steps == 10
    # Steps 1 and 6 of each epoch, and its last.
    assert _run(training).weights.n_averaged == 9


# The end


@pytest.mark.parametrize(("held_out", "n_epochs"), [(True, 4), (False, 5)])
def test_training_stops_after_epochs_without_a_gain_above_tol(held_out, n_epochs):
    plan = {"tol": 1e9, "n_iter_no_change": 4, "max_iter": 50}
    training = _training(_model(linear=False), held_out=held_out, **plan)
    assert _run(training).n_epochs == n_epochs


@pytest.mark.parametrize(("error", "expected"), [(-1.0, 30), (math.inf, 4)])
def test_training_goes_on_until_a_state_has_beaten_the_start(error, expected):
    plan = {"tol": 1e9, "n_iter_no_change": 4, "max_iter": 30}
    model = _model()
    model.decoder.bias.data.add_(1.0)  # so that there is something to learn
    training = _training(model, held_out=True, learning_rate_init=0.01, **plan)
    training.bar = Bar(error, -math.inf)
    _run(training)
    assert training.n_epochs == expected
    assert training.stays_linear == (expected == 30)


def test_training_without_tol_goes_on_to_the_end():
    training = _training(held_out=True, learning_rate_init=1.0, n_iter_no_change=1)
    assert _run(training).n_epochs == 6


@pytest.mark.parametrize("held_out", [True, False])
def test_training_warns_where_the_loss_still_improves(held_out):
    # Without noise, the loss of few steps falls in every epoch.
    model, options = _model(prior=False, linear=False), {"held_out": held_out}
    with pytest.warns(ConvergenceWarning, match=r"\(6\) reached .* Raise max_iter"):
        _run(_training(model, reconstruction, tol=1e-6, **options))
    _run(_training(model, reconstruction, tol=1e3, n_iter_no_change=50, **options))


def test_training_stops_in_silence_where_the_callback_asks():
    calls = []

    def end():
        calls.append("end")
        return calls.count("end") == 2

    training = _training(_model(linear=False), tol=1e-4, learning_rate_init=0.01)
    training.run(lambda: calls.append("begin"), end)
    assert training.n_epochs == 2
    assert calls == ["begin", "end"] * 2
