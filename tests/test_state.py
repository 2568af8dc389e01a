"""A run that was cut off is taken up as if nothing had happened; others follow."""

import json
import math
import pickle

import numpy as np
import pytest
import torch

from skvae import AutoencoderTransformer, VAETransformer
from skvae.objectives import Reconstruction
from skvae.priors import NoPrior
from skvae.schedules import Constant, OneCycle, WarmUp, Weight
from skvae.training import Saved
from skvae.training._interrupts import INTERRUPTS
from skvae.training._state import FlatParameters

# Fits of a few epochs may leave components idle, and say so.
pytestmark = pytest.mark.filterwarnings("ignore:.*components carry nothing")

RNG = np.random.default_rng(0)
T = RNG.uniform(-3, 3, size=(300, 1))
X = np.hstack([np.cos(T), np.sin(T), np.cos(2 * T), np.sin(2 * T), T])
X += 0.1 * RNG.normal(size=X.shape)
# Row 8 is held out by default.
HELD_OUT_CHANGED = X + 1e-3 * (np.arange(300) == 8)[:, None]


class Interrupted(OneCycle):
    """The default learning rate, with an error in the middle of the fifth epoch."""

    error = None

    def __call__(self, epoch, n_epochs):
        if self.error is not None and epoch / n_epochs > 4.5 / 6:
            raise self.error
        return super().__call__(epoch, n_epochs)


class Jump(Constant):
    """Steps that are absurd in the last two of six epochs."""

    def __call__(self, epoch, n_epochs):
        return self.value if epoch / n_epochs < 4 / 6 else 10.0


class Stopper:
    """A callback that stops a fit after four epochs."""

    def setup(self, estimator, context):
        pass

    teardown = setup

    def on_fit_task_begin(self, estimator, context, **kwargs):
        pass

    def on_fit_task_end(self, estimator, context, **kwargs):
        return context.task_name == "epoch" and context.task_id == 3


class Target(Weight):
    """Moves the weight of the KL term until the term is at a target."""

    def __init__(self, target, watches):
        self.target = target
        self.watches = watches

    def start(self):
        return (1.0, 0)

    def value(self, state, progress):
        return state[0]

    def update(self, state, means, progress):
        return (
            state[0] * float(np.exp(0.02 * (means["kl"] - self.target))),
            state[1] + 1,
        )


def _estimator(cls=VAETransformer, **params):
    defaults = {
        "hidden_layer_sizes": (32,),
        "max_iter": 6,
        "tol": None,
        "learning_rate": Interrupted(value=0.03),
        "batch_size": 20,
        "random_state": 0,
    }
    return cls(2, **(defaults | params))


def _stopped(how="callback", **params):
    """Return an estimator whose fit was stopped after four of its epochs."""
    estimator = _estimator(**params)
    if how == "callback":
        estimator.set_callbacks(Stopper()).fit(X)
        return estimator.set_callbacks()
    rate = estimator.learning_rate
    rate.error = KeyboardInterrupt()
    with pytest.warns(UserWarning, match="interrupted by user"):
        estimator.fit(X)
    rate.error = None
    return estimator


def _assert_same(one, other):
    a, b = (estimator.module_.state_dict() for estimator in (one, other))
    assert all(torch.equal(a[name], b[name]) for name in a)
    for name in ("loss", "validation", "term"):
        name = "term_curves_" if name == "term" else f"{name}_curve_"
        assert getattr(one, name) == getattr(other, name)
    assert one.n_iter_ == other.n_iter_
    assert one.best_loss_ == other.best_loss_
    assert np.array_equal(one.transform(X), other.transform(X))
    assert np.array_equal(one.score_samples(X), other.score_samples(X))


def _assert_trained(estimator):
    """Fail if what was returned is the start, which every run would return."""
    if estimator.early_stopping:
        assert estimator.best_loss_ < estimator.validation_curve_[0]


# A run that was cut off


@pytest.mark.parametrize("how", ["callback", "interrupt"])
@pytest.mark.parametrize("early_stopping", [True, False])
@pytest.mark.parametrize("init", ["pca", "random"])
def test_stopped_fit_taken_up_equals_an_uninterrupted_one(init, early_stopping, how):
    params = {"init": init, "early_stopping": early_stopping, "beta": WarmUp(0.8)}
    whole = _estimator(**params).fit(X)
    parts = _stopped(how, warm_start=True, **params)
    assert parts.n_iter_ == 4
    parts = pickle.loads(pickle.dumps(parts)).fit(X)
    _assert_same(parts, whole)
    _assert_trained(whole)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"cls": AutoencoderTransformer},
        {"objective": "iwae"},
        {"beta": Target(1.0, "steps")},
        {"beta": Target(1.0, "epochs")},
        {"hidden_fraction": 0.5},
        {"solver": "sgd", "init": "random"},
        {"solver": "rmsprop"},
    ],
    ids=str,
)
def test_stopped_fit_of_any_kind_taken_up_equals_an_uninterrupted_one(params):
    whole = _estimator(**params).fit(X)
    parts = pickle.loads(pickle.dumps(_stopped(**params)))
    _assert_same(parts.set_params(warm_start=True).fit(X), whole)
    _assert_trained(whole)


def test_stopped_fit_taken_up_returns_the_best_state_from_before():
    params = {"learning_rate": Jump(0.01), "init": "random"}
    whole = _estimator(**params).fit(X)
    best = np.argmin(whole.validation_curve_)
    assert 0 < best <= 4
    _assert_same(_stopped(**params).set_params(warm_start=True).fit(X), whole)


def test_stopped_fit_that_stays_at_its_start_is_taken_up():
    params = {"learning_rate": Interrupted(value=10.0)}
    whole = _estimator(**params).fit(X)
    assert whole.best_loss_ == whole.validation_curve_[0]
    parts = _stopped(**params).set_params(warm_start=True).fit(X)
    _assert_same(parts, whole)


def test_stopped_fit_taken_up_stops_early_where_an_uninterrupted_one_does():
    params = {"tol": 1e9, "n_iter_no_change": 6, "max_iter": 20, "init": "random"}
    whole = _estimator(**params).fit(X)
    parts = _stopped(**params).set_params(warm_start=True).fit(X)
    assert whole.n_iter_ == 6
    _assert_same(parts, whole)


def test_stopped_fit_taken_up_may_be_stopped_again():
    whole = _estimator().fit(X)
    parts = _stopped("interrupt", warm_start=True)
    parts.learning_rate.error = KeyboardInterrupt()
    INTERRUPTS.last = -math.inf  # long ago
    with pytest.warns(UserWarning, match="interrupted by user"):
        assert parts.fit(X).n_iter_ == 4
    parts.learning_rate.error = None
    _assert_same(parts.fit(X), whole)


def test_stopped_fit_can_be_taken_up_after_that_has_failed():
    params = {"beta": Target(1.0, "steps")}
    whole = _estimator(**params).fit(X)
    parts = _stopped(warm_start=True, **params)
    parts.learning_rate.error = OSError("the disk is full")
    with pytest.raises(OSError, match="disk is full"):
        parts.fit(X)
    assert parts.n_iter_ == 4
    parts.learning_rate.error = None
    _assert_same(parts.fit(X), whole)


def test_stopped_fit_taken_up_may_become_longer():
    parts = _stopped(max_iter=60, n_iter_no_change="auto", batch_size=300)
    parts.set_params(max_iter=100, warm_start=True)
    assert parts.fit(X).n_iter_ == 100
    assert len(parts.validation_curve_) == 101


@pytest.mark.parametrize(
    ("params", "rows"),
    [
        ({}, X[:-1]),
        ({}, X + 1e-6),
        ({}, HELD_OUT_CHANGED),
        ({"beta": 0.9}, X),
        ({"objective": "iwae"}, X),
        ({"learning_rate": 0.01}, X),
        ({"solver": "sgd"}, X),
        ({"batch_size": 33}, X),
        ({"tol": 0.1}, X),
        ({"hidden_fraction": 0.3}, X),
        ({"early_stopping": False}, X),
        ({"validation_fraction": 0.4}, X),
        ({"max_iter": 3}, X),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_stopped_fit_is_followed_by_a_new_run_where_something_else_is_asked(
    params, rows
):
    parts = (
        _stopped(hidden_fraction=0.1).set_params(**params, warm_start=True).fit(rows)
    )
    assert parts.n_iter_ == 4 + parts.max_iter
    assert len(parts.loss_curve_) == parts.n_iter_


# A run that ended


@pytest.mark.parametrize("warm_start", [True, False])
def test_finished_fit_runs_as_many_epochs_again(warm_start):
    estimator = _estimator(warm_start=warm_start).fit(X)
    first = estimator.loss_curve_
    estimator.set_params(warm_start=True).fit(X)
    assert estimator.n_iter_ == 12
    assert estimator.loss_curve_[:6] == first
    assert len(estimator.validation_curve_) == 13


def test_warm_start_resolves_beta_for_another_objective():
    estimator = _estimator().fit(X)
    assert estimator.beta_.value == 0.6
    estimator.set_params(objective="iwae", warm_start=True).fit(X)
    assert estimator.objective_.n_draws == 20
    assert estimator.beta_.value == 1.0


def test_warm_start_refuses_what_a_first_fit_refuses():
    changed = _estimator(warm_start=True).fit(X)
    asked = {"objective": "iwae", "beta": 0.6}
    before = changed.score_samples(X)
    for estimator in (_estimator(**asked), changed.set_params(**asked)):
        with pytest.raises(ValueError, match=r"requires beta >= 1 throughout.*is 0\.6"):
            estimator.fit(X)
    assert np.array_equal(changed.score_samples(X), before)
    assert changed.n_iter_ == 6


def test_warm_start_weighs_the_kl_term_by_a_changed_beta():
    estimator = _estimator(beta=1.0, objective="elbo").fit(X)
    estimator.set_params(beta=4.0, warm_start=True).fit(X)
    assert estimator.beta_.value == 4.0
    curves = (estimator.term_curves_[name] for name in ("reconstruction", "kl"))
    reconstruction, kl = map(np.array, curves)
    weights = np.repeat([1.0, 4.0], 6)
    assert estimator.loss_curve_ == pytest.approx(reconstruction + weights * kl)
    assert kl[-1] < 0.7 * kl[5]


@pytest.mark.parametrize("solver", ["adam", "rmsprop", "sgd"])
def test_training_that_follows_with_the_same_rate_equals_one_run(small, solver):
    whole = small.run(solver=solver)
    first = small.run(solver=solver, max_iter=4)
    earlier = first.save(with_arrays=True)
    first.finish(small.rows(small.X))
    second = small.run(first.model, solver=solver, max_iter=2, earlier=earlier)
    for name, array in second.state.arrays().items():
        assert torch.equal(array, whole.state.arrays()[name])
    assert second.state.history == whole.state.history
    assert second.n_iter == 6
    assert len(first.state.history.loss) == 4


def test_training_that_follows_goes_on_from_the_last_state_and_keeps_the_best(small):
    options = {"held_out": True, "learning_rate": Constant(1.0)}
    first = small.run(**options)
    earlier, last = first.save(with_arrays=True), first.parameters.theta.clone()
    first.finish(small.rows(small.X))
    best = first.parameters.theta.clone()
    second = small.training(first.model, earlier=earlier, **options)
    assert torch.equal(second.parameters.theta, last)
    assert second.acceptance.loss == first.acceptance.loss
    second.run(lambda: None, lambda: False)
    second.finish(small.rows(small.X))
    assert torch.equal(second.parameters.theta, best)
    assert len(second.state.history.validation) == 13


def test_training_without_arrays_is_followed_from_the_state_it_returned(small):
    first = small.run(held_out=True)
    earlier = first.save(with_arrays=False)
    assert earlier.arrays == {}
    first.finish(small.rows(small.X))
    best = first.parameters.theta.clone()
    second = small.training(first.model, held_out=True, earlier=earlier)
    assert torch.equal(second.parameters.theta, best)
    assert second.n_iter == 6


# The state


def _plain(value):
    """Return whether a value is made of what any file format knows."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _plain(value[key]) for key in value)
    if isinstance(value, list | tuple):
        return all(map(_plain, value))
    return value is None or type(value) in (bool, int, float, str)


def _after(small, n_epochs, **options):
    """Return a training stopped after some epochs."""
    ends = iter([False] * (n_epochs - 1) + [True])
    return small.run(end=lambda: next(ends), **options)


STATES = [
    {"held_out": True},
    {"held_out": False, "beta": WarmUp(0.9), "tol": 0.01},
    {"held_out": True, "beta": Target(0.5, "steps"), "solver": "sgd"},
]


@pytest.mark.parametrize("options", STATES, ids=str)
def test_facts_of_a_state_are_plain_and_survive_json(small, options):
    facts = _after(small, 4, **options).state.facts()
    assert _plain(facts)
    text = json.dumps(facts)
    assert json.dumps(json.loads(text)) == text


def test_facts_may_be_infinite_where_a_start_sets_no_limit(small):
    """JSON's own numbers are finite; Python's module writes and reads Infinity."""
    model = small.model(prior=NoPrior())
    training = small.training(model, objective=Reconstruction(), held_out=True)
    facts = json.loads(json.dumps(training.state.facts()))
    error, density = facts["kept"]["standard"]
    assert 0 < error < math.inf
    assert density == -math.inf


@pytest.mark.parametrize("options", STATES, ids=str)
def test_state_saved_and_loaded_is_all_that_an_epoch_changes(small, options):
    whole = small.run(**options)
    saved = _after(small, 4, **options).save(with_arrays=True)
    arrays = pickle.loads(pickle.dumps(saved.arrays))
    assert all(isinstance(array, np.ndarray) for array in arrays.values())
    facts = json.loads(json.dumps(saved.facts))
    # A model of other parameters: all that matters is loaded.
    model = small.model()
    for p in model.parameters():
        torch.nn.init.constant_(p, 0.5)
    rest = small.run(model, earlier=Saved(arrays, facts), **options)
    for name, array in rest.state.arrays().items():
        assert torch.equal(array, whole.state.arrays()[name])
    assert json.dumps(rest.state.facts()) == json.dumps(whole.state.facts())


def test_state_saved_is_a_copy(small):
    training = _after(small, 2, held_out=True, beta=Target(0.5, "epochs"))
    saved = training.state.save()
    arrays = {name: array.clone() for name, array in saved.arrays.items()}
    facts = json.dumps(saved.facts)
    for _ in range(2):
        training.run(lambda: None, lambda: True)
        assert json.dumps(saved.facts) == facts
        assert all(torch.equal(saved.arrays[name], arrays[name]) for name in arrays)
        training.state.load(saved)


def test_flat_parameters_are_those_of_the_model(small):
    model = small.model()
    before = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
    parameters = FlatParameters(model)
    assert parameters.theta.sum() == pytest.approx(float(before.sum()), rel=1e-5)
    assert all(p.data_ptr() % 64 == 0 for p in model.parameters())
    with torch.no_grad():
        parameters.theta.add_(1.0)
        parameters.gradient.fill_(2.0)
    assert torch.equal(
        torch.cat([p.detach().reshape(-1) for p in model.parameters()]), before + 1.0
    )
    assert all((p.grad == 2.0).all() for p in model.parameters())


def test_averaged_parameters_are_given_for_a_while(small):
    parameters = _after(small, 2).parameters
    theta = parameters.theta.clone()
    with parameters.averaged():
        assert torch.equal(parameters.theta, parameters.average)
    assert torch.equal(parameters.theta, theta)
    assert not torch.equal(parameters.average, theta)
