"""The best state is kept, and none that is worse than the start."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from skvae.objectives import ELBO
from skvae.schedules import Constant, Weight
from skvae.training import Start
from skvae.training._acceptance import TAIL_FACTOR, Acceptance, Standard, expected_gain
from skvae.training._state import Kept


def _acceptance(weights=(1.0, 1.0), tol=None):
    """Return what keeps the best state, by the loss of two terms."""
    weights = dict(zip("ab", weights, strict=True))

    def loss_of(means):
        return sum(weights[name] * mean for name, mean in means.items())

    return Acceptance(SimpleNamespace(kept=Kept()), loss_of, tol), weights


def _means(a, b=0.0):
    return {"a": a, "b": b}


def _validation(density, error=1.0):
    return SimpleNamespace(density=lambda: density, error=lambda: error)


def _theta(value):
    return torch.tensor([float(value)])


# The least loss


def test_acceptance_counts_gains_below_tol_as_stale_but_keeps_them():
    acceptance, _ = _acceptance(tol=0.5)
    for i, loss in enumerate([10.0, 9.8, 9.6, 9.4, 9.5, math.nan]):
        acceptance.offer(_means(loss), _theta(i), _validation(0.0))
    assert acceptance.loss == 9.4
    assert acceptance.kept.theta.item() == 3.0
    assert acceptance.kept.n_stale == 2


def test_acceptance_keeps_a_copy():
    acceptance, _ = _acceptance()
    theta = _theta(1.0)
    acceptance.offer(_means(2.0), theta, _validation(0.0))
    theta.zero_()
    assert acceptance.kept.theta.item() == 1.0


def test_acceptance_compares_states_under_the_present_weights():
    """What was the best is judged anew where a weight has changed since."""
    acceptance, weights = _acceptance(weights=(1.0, 0.0))
    acceptance.begin(_means(1.0, 5.0), _theta(0))
    assert acceptance.loss == 1.0
    weights["b"] = 1.0
    assert acceptance.loss == 6.0
    acceptance.offer(_means(2.0, 1.0), _theta(1), _validation(0.0))
    assert acceptance.loss == 3.0
    assert acceptance.kept.theta.item() == 1.0
    assert acceptance.kept.n_stale == 0


def test_acceptance_watches_training_losses_without_keeping_a_state():
    acceptance, _ = _acceptance()
    for loss in (3.0, 2.0, 4.0):
        acceptance.watch({"a": loss, "b": 0.0})
    assert acceptance.loss == 2.0
    assert acceptance.kept.theta is None
    assert acceptance.kept.n_stale == 1
    acceptance.wait()
    assert acceptance.loss == math.inf
    assert acceptance.kept.n_stale == 0


# Never worse than the start


@pytest.mark.parametrize(
    ("error", "density", "accepted"),
    [(1.0, -2.0, True), (0.9, -1.0, True), (1.1, -1.0, False), (0.9, -2.1, False)],
)
def test_acceptance_holds_states_to_the_standard_of_the_start(error, density, accepted):
    acceptance, _ = _acceptance()
    acceptance.begin(_means(5.0), _theta(0))
    acceptance.kept.is_start, acceptance.kept.standard = True, Standard(1.0, -2.0)
    acceptance.offer(_means(4.0), _theta(1), _validation(density, error))
    assert acceptance.stays_at_start == acceptance.awaits_standard == (not accepted)
    assert acceptance.loss == (4.0 if accepted else 5.0)
    # What is not accepted may yet show that training goes on well.
    assert acceptance.kept.n_stale == 0


def test_acceptance_asks_for_a_density_only_where_there_is_one():
    acceptance, _ = _acceptance()
    acceptance.kept.standard = Standard(1.0, -math.inf)
    no_density = SimpleNamespace(error=lambda: 1.0)
    acceptance.offer(_means(4.0), _theta(1), no_density)
    assert acceptance.loss == 4.0


def _at_start(n_components):
    """Return the validation of a start with a held-out density of -7."""
    model = SimpleNamespace(
        n_components=n_components,
        likelihood=SimpleNamespace(n_inputs=5, n_constant=0),
        posterior=SimpleNamespace(is_random=True),
    )
    return SimpleNamespace(model=model, n_rows=10, **vars(_validation(-7.0, 0.5)))


@pytest.mark.parametrize("n_train", [0, 40])
@pytest.mark.parametrize("n_components", [2, 5])
def test_standard_asks_for_what_more_rows_give_the_start(n_components, n_train):
    acceptance, _ = _acceptance()
    acceptance.set_standard(_at_start(n_components), n_train)
    gain = expected_gain(n_components, 5, 40, 50) if n_train else 0.0
    error, density = acceptance.kept.standard
    assert density == pytest.approx(-7.0 + TAIL_FACTOR * gain)
    # With as many components as columns, there is no error to be less than.
    assert error == (0.5 if n_components == 2 else math.inf)


def test_expected_gain_is_what_more_rows_are_worth():
    """The mean of 300 pairs of fits, to 100 and to 200 rows, on rows of their kind."""
    K, D = 2, 6
    rng = np.random.default_rng(0)
    loadings = rng.normal(size=(K, D)) * 2.0

    def draw(n):
        return rng.normal(size=(n, K)) @ loadings + rng.normal(size=(n, D))

    new, gains = draw(2000), []
    for _ in range(300):
        rows = draw(200)
        gains.append(PCA(K).fit(rows).score(new) - PCA(K).fit(rows[:100]).score(new))
    assert np.std(gains) / np.sqrt(300) < 0.05 * np.mean(gains)
    assert expected_gain(K, D, 100, 200) == pytest.approx(np.mean(gains), rel=0.15)


@pytest.mark.parametrize(
    ("start", "is_weak"),
    [
        (Start(True, True, 1.5), True),
        (Start(True, False, 2.5), False),
        (Start(False, False), False),
    ],
)
def test_start_is_weak_where_a_linear_model_holds_hardly_more_than_noise(
    start, is_weak
):
    assert start.is_weak == is_weak


# In a training


def test_training_restores_the_best_held_out_state(small):
    plan = {"max_iter": 25, "learning_rate": Constant(0.1)}
    training = small.run(small.model(has_path=False), held_out=True, **plan)
    curve = training.state.history.validation
    assert len(curve) == 26
    assert curve[-1] > min(curve)
    training.finish(small.rows(small.X))
    loss = sum(training.validate().values())
    assert loss == training.acceptance.loss == min(curve)


def test_training_checks_and_keeps_the_average(small):
    plan = {"max_iter": 5, "learning_rate": Constant(0.05)}
    training = small.run(small.model(has_path=False), held_out=True, **plan)
    assert torch.equal(training.state.kept.theta, training.parameters.average)
    assert not torch.equal(training.parameters.theta, training.parameters.average)


def test_training_returns_to_the_start_where_steps_are_absurd(small):
    training = small.training(held_out=True, learning_rate=Constant(1.0))
    before = training.parameters.theta.clone()
    training.run(lambda: None, lambda: False)
    validation = training.state.history.validation
    assert validation[0] == min(validation)
    last = training.parameters.theta.clone()
    training.finish(small.rows(small.X))
    assert torch.equal(training.parameters.theta, before)
    assert not torch.equal(last, before)


def test_training_keeps_no_state_that_gives_held_out_rows_less_density(small):
    """Little weight on the KL term makes posteriors sharp, and the density worse."""
    plan = {"objective": ELBO(0.5), "beta": 0.02, "max_iter": 60}
    training = small.run(held_out=True, learning_rate=Constant(0.03), **plan)
    start = small.training(held_out=True, **plan)
    losses = training.state.history.validation
    assert min(losses) < losses[0] - 0.3
    with training.parameters.averaged():
        assert training.validate.density() < start.validate.density()
    training.finish(small.rows(small.X))
    assert training.validate.density() >= start.validate.density()


@pytest.mark.parametrize(
    ("options", "is_held"),
    [
        ({"beta": 1.0}, True),
        ({"beta": 0.5}, True),
        ({"beta": 1.5}, False),
        ({"held_out": False}, False),
    ],
)
def test_training_is_held_to_an_exact_start_that_the_loss_would_keep(
    small, options, is_held
):
    training = small.training(**({"held_out": True} | options))
    assert (training.state.kept.standard is not None) == is_held


def test_training_is_not_held_to_a_start_that_is_not_exact(small):
    training = small.training(small.model(has_path=False), held_out=True)
    assert training.state.kept.standard is None


def test_training_finishes_with_the_best_parameters_in_the_model(small):
    plan = {"learning_rate": Constant(0.05)}
    training = small.run(small.model(has_path=False), held_out=True, **plan)
    training.finish(small.rows(small.X))
    # The parameters of the model are views of theta.
    assert torch.equal(training.parameters.theta, training.state.kept.theta)
    first = next(training.model.parameters()).detach()
    assert torch.equal(first.reshape(-1), training.state.kept.theta[: first.numel()])


def test_training_judges_the_best_state_by_the_present_weights(small):
    class Doubling(Weight):
        watches = "epochs"

        def start(self):
            return 1.0

        def value(self, state, progress):
            return state

        def update(self, state, means, progress):
            return 2.0 * state

    training = small.run(held_out=True, beta=Doubling(), learning_rate=Constant(0.01))
    best = training.state.kept.best
    assert training.state.counters.weights["kl"] == 64.0
    assert training.acceptance.loss == best["reconstruction"] + 64.0 * best["kl"]
