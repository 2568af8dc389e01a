"""The loop takes steps, survives accidents, and knows when to end."""

import math
import warnings

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from torch.testing import assert_close

from skvae.objectives import ELBO, Reconstruction
from skvae.priors import NoPrior
from skvae.schedules import Constant, WarmUp, Weight
from skvae.training import _loop
from skvae.training._acceptance import Standard
from skvae.training._loop import CLIP_PER_COLUMN
from skvae.training._replay import Recording, Replayed
from skvae.training._state import AVERAGING_POWER


def _theta(training):
    return training.parameters.theta.clone()


class Spied(ELBO):
    """The bound; a function sees the noise and the terms of each step."""

    has_written_gradient = False

    def __init__(self, see=None, mean_fraction=0.0):
        super().__init__(mean_fraction)
        self.see = see

    def terms(self, model, batch, noise):
        terms = super().terms(model, batch, noise)
        return self.see(terms, noise) if torch.is_grad_enabled() else terms


def _spied(mean_fraction=0.0):
    """Return an objective, and a list of what will be its noise in training."""
    seen = []

    def see(terms, noise):
        seen.append(noise)
        return terms

    return Spied(see, mean_fraction), seen


def _accident(happen, steps):
    """Return an objective to which something happens at some steps of training."""
    count = iter(range(10_000))
    steps = set(steps)
    return Spied(lambda terms, _: happen(terms) if next(count) in steps else terms)


def _lose(terms):
    return {**terms, "reconstruction": terms["reconstruction"] * math.nan}


def _interrupt(terms):
    raise KeyboardInterrupt


# The step


def test_training_lowers_the_loss_and_keeps_its_history(small):
    model = small.model(has_path=False)
    history = small.run(model, max_iter=30, learning_rate=Constant(0.02)).state.history
    assert len(history.loss) == 30
    assert history.loss[-1] < history.loss[0] - 1
    assert history.validation == []
    terms = np.add(history.terms["reconstruction"], history.terms["kl"])
    assert terms == pytest.approx(history.loss, rel=1e-5)


def test_training_moves_the_parameters_of_its_model(small):
    model = small.model()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    small.run(model).finish(small.rows(small.X))
    moved = {name for name, p in model.named_parameters() if (p != before[name]).any()}
    assert moved == before.keys()
    assert all(p.grad is None for p in model.parameters())


def test_training_touches_nothing_global(small, untouched):
    small.run(held_out=True).finish(small.rows(small.X))


def test_training_repeats_by_seed(small):
    a, b, c = (_theta(small.run(seed=seed)) for seed in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_training_draws_fresh_noise_at_every_step(small):
    objective, seen = _spied()
    small.run(objective=objective)
    assert len({tuple(noise.reshape(-1)[:4].tolist()) for noise in seen}) == 18


def test_training_decodes_a_fraction_of_each_batch_at_the_posterior_mean(small):
    objective, seen = _spied(mean_fraction=0.3)
    small.run(objective=objective, max_iter=2, batch_size=20)
    for noise in seen:
        assert noise.all()
        at_mean = (objective.noise_at(noise) == 0.0).all(dim=(0, 2))
        assert at_mean.float().mean().item() == pytest.approx(0.3)


def test_training_takes_sample_weights_as_repetitions(small):
    def step(X, weights=None):
        model = small.model(prior=NoPrior())
        plan = {"objective": Reconstruction(), "solver": "sgd", "max_iter": 1}
        training = small.training(model, **plan)
        training.train = small.batches(model, X, len(X), weights)
        training.run(lambda: None, lambda: False)
        return training

    counts = 1 + np.arange(12) % 3
    weighted = step(small.X[:12], counts.astype(float))
    repeated = step(np.repeat(small.X[:12], counts, axis=0))
    assert_close(_theta(weighted), _theta(repeated))
    losses = weighted.state.history.loss
    assert losses == pytest.approx(repeated.state.history.loss, rel=1e-5)


def test_training_weights_the_kl_term_by_beta(small):
    plain, heavy = (
        small.run(beta=beta, max_iter=40, learning_rate=Constant(0.02)).state.history
        for beta in (1.0, 8.0)
    )
    kl, reconstruction = heavy.terms["kl"][-1], heavy.terms["reconstruction"][-1]
    assert kl < 0.5 * plain.terms["kl"][-1]
    assert heavy.loss[-1] == pytest.approx(reconstruction + 8.0 * kl, rel=1e-5)


def test_training_follows_schedules_step_by_step(small):
    seen = []

    class Spy(Constant):
        def __call__(self, epoch, n_epochs):
            seen.append(epoch / n_epochs)
            return 0.0

    training = small.training(learning_rate=Spy(), max_iter=2)
    before = _theta(training)
    training.run(lambda: None, lambda: False)
    assert seen == pytest.approx(np.arange(6) / 6)
    assert torch.equal(_theta(training), before)


def test_training_clips_gradients_to_a_bounded_norm(small):
    huge = Spied(lambda terms, _: {name: 1e12 * term for name, term in terms.items()})
    training = small.training(objective=huge, solver="sgd", batch_size=40, max_iter=1)
    before = _theta(training)
    training.run(lambda: None, lambda: False)
    step = torch.linalg.vector_norm(_theta(training) - before)
    assert float(step) == pytest.approx(1e-3 * CLIP_PER_COLUMN * 5, rel=1e-4)


# Weights of terms


class Controller(Weight):
    """Moves the weight of a term; counts and keeps what it is given."""

    def __init__(self, watches, factor=1.0, seen=None):
        self.watches = watches
        self.factor = factor
        self.seen = [] if seen is None else seen

    def start(self):
        return (0, 1.0)

    def value(self, state, progress):
        return state[1]

    def update(self, state, means, progress):
        self.seen.append(means)
        return (state[0] + 1, state[1] * self.factor)


def _means_of(history):
    return [
        dict(zip(history.terms, means, strict=True))
        for means in zip(*history.terms.values(), strict=True)
    ]


def test_weight_that_watches_steps_is_given_the_mean_terms_of_each_batch(small):
    controller = Controller("steps")
    training = small.run(beta=controller, batch_size=20)
    assert training.state.counters.weights == {"kl": (12, 1.0)}
    pairs = zip(controller.seen[::2], controller.seen[1::2], strict=True)
    for means, (a, b) in zip(_means_of(training.state.history), pairs, strict=True):
        assert means == pytest.approx({k: (a[k] + b[k]) / 2 for k in a}, rel=1e-5)


def test_weight_that_watches_epochs_is_given_the_mean_terms_of_training_rows(small):
    controller = Controller("epochs")
    training = small.run(beta=controller)
    assert controller.seen == _means_of(training.state.history)


def test_weight_that_watches_epochs_is_given_the_mean_terms_of_held_out_rows(small):
    controller = Controller("epochs")
    training = small.run(beta=controller, held_out=True)
    losses = [sum(means.values()) for means in controller.seen]
    assert losses == pytest.approx(training.state.history.validation[1:])


@pytest.mark.parametrize("watches", ["steps", "epochs"])
def test_weight_with_a_state_weighs_the_steps_that_follow(small, watches):
    training = small.training(beta=Controller(watches, 2.0), batch_size=40)
    take, seen = training.take, []

    def spy(batch, noise, rate, weights):
        seen.append(weights)
        return take(batch, noise, rate, weights)

    training.take = spy
    training.run(lambda: None, lambda: False)
    assert seen == [[1.0, 2.0**i] for i in range(6)]


def test_weight_state_goes_back_with_the_epoch_whose_loss_was_lost(small):
    objective, controller = _accident(_lose, [4, 7]), Controller("steps", 1.1)
    with pytest.warns(ConvergenceWarning) as caught:
        training = small.run(objective=objective, beta=controller)
    assert len(caught) == 2
    assert training.state.counters.weights["kl"][0] == training.optimizer.n_steps == 18


# Losses that are not finite


def test_training_repeats_an_epoch_with_smaller_steps_where_a_loss_is_lost(small):
    message = r"not finite in epoch 2.* 10 times lower\. Lower learning_rate"
    with pytest.warns(ConvergenceWarning, match=message):
        training = small.run(objective=_accident(_lose, [4]), held_out=True)
    history, counters = training.state.history, training.state.counters
    assert counters.slowdown == pytest.approx(0.1)
    assert training.n_iter == 6
    assert np.isfinite(history.loss + history.validation).all()
    undisturbed = small.run(objective=_accident(_lose, []), held_out=True)
    assert history.loss[0] == undisturbed.state.history.loss[0]
    assert training.optimizer.n_steps == undisturbed.optimizer.n_steps


def test_training_stops_with_the_last_good_state_where_losses_stay_lost(small):
    with pytest.warns(ConvergenceWarning) as caught:
        training = small.run(objective=_accident(_lose, range(7, 1000)))
    assert len(caught) == 5
    assert training.n_iter == len(training.state.history.loss) == 2
    undisturbed = small.training(objective=_accident(_lose, []))
    ends = iter([False, True])
    undisturbed.run(lambda: None, lambda: next(ends))
    assert torch.equal(_theta(training), _theta(undisturbed))


def test_training_without_any_finite_loss_is_an_error_in_words(small):
    training = small.training(objective=_accident(_lose, range(1000)))
    message = "requires a finite loss.*extreme values in X, or lower learning_rate"
    with pytest.warns(ConvergenceWarning), pytest.raises(ValueError, match=message):
        training.run(lambda: None, lambda: False)


@pytest.mark.parametrize("batch_size", [16, 40])
def test_training_ends_finite_where_the_last_step_of_an_epoch_diverges(
    small, batch_size
):
    plan = {"learning_rate": Constant(1e20), "solver": "sgd", "max_iter": 8}
    training = small.training(batch_size=batch_size, **plan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        try:
            training.run(lambda: None, lambda: False)
        except ValueError:
            return
    training.finish(small.rows(small.X))
    assert np.isfinite(list(training.validate().values())).all()


# Recorded steps


def test_training_by_recorded_steps_is_the_same(small):
    """A stand-in for the CUDA graph calls the step again with the inputs it holds."""

    def call_again(take, inputs):
        answer = take(*inputs).clone()
        return Recording(inputs, answer, lambda: answer.copy_(take(*inputs)))

    plain, recorded = (small.training(beta=WarmUp(), held_out=True) for _ in range(2))
    state = recorded.state
    take = recorded.take_values
    recorded.replayed = Replayed(take, state.save, state.load, call_again)
    for training in (plain, recorded):
        training.run(lambda: None, lambda: False)
    assert_close(_theta(recorded), _theta(plain), rtol=1e-5, atol=1e-6)
    losses = recorded.state.history.loss
    assert losses == pytest.approx(plain.state.history.loss, rel=1e-5)


# Interruptions


def test_training_interrupted_keeps_the_last_whole_epoch(small):
    training = small.training(objective=_accident(_interrupt, [7]), held_out=True)
    with pytest.raises(KeyboardInterrupt):
        training.run(lambda: None, lambda: False)
    ends = iter([False, True])
    stopped = small.run(
        objective=_accident(_interrupt, []), held_out=True, end=lambda: next(ends)
    )
    assert training.n_iter == 2
    assert training.state.history == stopped.state.history
    assert torch.equal(_theta(training), _theta(stopped))
    assert training.optimizer.n_steps == 6


@pytest.mark.parametrize(
    ("owner", "name"),
    [("", "validate"), ("acceptance", "offer"), ("acceptance", "_watch")],
)
def test_training_interrupted_at_the_end_of_an_epoch_keeps_the_last_whole_one(
    small, owner, name
):
    training = small.training(held_out=True)
    owner = getattr(training, owner, training)
    method, count = getattr(owner, name), iter(range(100))

    def interrupted(*args):
        if next(count) == 3:
            raise KeyboardInterrupt
        return method(*args)

    setattr(owner, name, interrupted)
    with pytest.raises(KeyboardInterrupt):
        training.run(lambda: None, lambda: False)
    ends = iter([False, False, True])
    stopped = small.run(held_out=True, end=lambda: next(ends))
    assert training.n_iter == 3
    facts, expected = (each.state.facts() for each in (training, stopped))
    assert facts == expected
    assert torch.equal(_theta(training), _theta(stopped))


def test_training_interrupted_by_a_callback_keeps_the_epoch_that_it_saw(small):
    def end():
        raise KeyboardInterrupt

    training = small.training()
    with pytest.raises(KeyboardInterrupt):
        training.run(lambda: None, end)
    assert training.n_iter == 1


# The average


def _states_of_steps(small, **options):
    """Return the parameters after each step of a training, and the training."""
    training, states = small.training(**options), []
    take = training.take

    def spy(*inputs):
        answer = take(*inputs)
        states.append(_theta(training))
        return answer

    training.take = spy
    training.run(lambda: None, lambda: False)
    return states, training


def test_training_ends_with_the_average_of_its_states(small):
    states, training = _states_of_steps(small, max_iter=4)
    t = np.arange(1, len(states) + 1)
    # What is left of a state's fraction after all later ones have moved the average.
    fractions = (1 + AVERAGING_POWER) / (t + AVERAGING_POWER)
    left = np.append(np.cumprod((1 - fractions)[::-1])[::-1][1:], 1.0)
    expected = (fractions * left) @ torch.stack(states).double().numpy()
    training.finish(small.rows(small.X))
    assert_close(_theta(training).double().numpy(), expected, rtol=1e-5, atol=1e-6)
    assert (fractions * left)[-2:].sum() > 2 * (fractions * left)[:2].sum()


def test_training_takes_some_states_of_a_long_epoch_into_its_average(
    small, monkeypatch
):
    monkeypatch.setattr(_loop, "N_AVERAGED", 2)
    training = small.training(batch_size=4, max_iter=3)
    assert training.train.n_steps == 10
    training.run(lambda: None, lambda: False)
    # Steps 1 and 6 of each epoch, and its last.
    assert training.parameters.n_averaged == 9


# The end


@pytest.mark.parametrize(("held_out", "n_epochs"), [(True, 4), (False, 5)])
def test_training_stops_after_epochs_without_a_gain_above_tol(
    small, held_out, n_epochs
):
    plan = {"tol": 1e9, "n_iter_no_change": 4, "max_iter": 50}
    training = small.run(small.model(has_path=False), held_out=held_out, **plan)
    assert training.n_iter == n_epochs
    assert training.state.counters.is_finished


@pytest.mark.parametrize(("error", "expected"), [(-1.0, 30), (math.inf, 4)])
def test_training_goes_on_until_a_state_has_beaten_the_start(small, error, expected):
    plan = {"tol": 1e9, "n_iter_no_change": 4, "max_iter": 30}
    model = small.model()
    model.decoder.path.bias.data.add_(1.0)  # so that there is something to learn
    training = small.training(
        model, held_out=True, learning_rate=Constant(0.01), **plan
    )
    training.state.kept.standard = Standard(error, -math.inf)
    training.run(lambda: None, lambda: False)
    assert training.n_iter == expected
    assert training.acceptance.stays_at_start == (expected == 30)


def test_training_without_tol_goes_on_to_the_end(small):
    plan = {"learning_rate": Constant(1.0), "n_iter_no_change": 1}
    assert small.run(held_out=True, **plan).n_iter == 6


def test_training_does_not_stop_while_a_term_gains_weight(small):
    plan = {"tol": 1e9, "n_iter_no_change": 1, "max_iter": 20}
    model = small.model(has_path=False)
    assert small.run(model, beta=WarmUp(0.5), **plan).n_iter == 11


@pytest.mark.parametrize("held_out", [True, False])
def test_training_warns_where_the_loss_still_improves(small, held_out):
    # Without noise, the loss of few steps falls in every epoch.
    model = small.model(prior=NoPrior(), has_path=False)
    options = {"objective": Reconstruction(), "held_out": held_out}
    with pytest.warns(ConvergenceWarning, match=r"\(6\) reached .* Raise max_iter"):
        small.run(model, tol=1e-6, **options)
    small.run(model, tol=1e3, n_iter_no_change=50, **options)


def test_training_stops_in_silence_where_the_callback_asks(small):
    calls = []

    def end():
        calls.append("end")
        return calls.count("end") == 2

    plan = {"tol": 1e-4, "learning_rate": Constant(0.01)}
    training = small.training(small.model(has_path=False), **plan)
    training.run(lambda: calls.append("begin"), end)
    assert training.n_iter == 2
    assert calls == ["begin", "end"] * 2
    assert not training.state.counters.is_finished
