"""Controllers follow their equations, and fits end at their targets."""

import math
import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from skvae import AutoencoderTransformer, FitReport, VAETransformer
from skvae.displays import LossCurveDisplay
from skvae.objectives import ELBO, IWAE, Neighbors
from skvae.schedules import (
    GECO,
    Constant,
    ControlVAE,
    Cyclical,
    Progress,
    StallDecay,
    WarmUp,
    as_weight,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*components carry nothing")

RNG = np.random.default_rng(0)
IRIS = load_iris().data
TERMS = {
    "reconstruction": (8.0 + np.cumsum(RNG.normal(0, 0.3, 400))).tolist(),
    "kl": np.exp(1.0 + 0.4 * np.sin(np.arange(400) / 40)).tolist(),
}
HALF = Progress(0.5, 1.0)
CONTROLLERS = [ControlVAE(2.0), GECO(5.0), StallDecay(factor=0.5, patience=3)]
every_controller = pytest.mark.parametrize("controller", CONTROLLERS, ids=repr)


def _fitted(X=IRIS, n_components=2, **params):
    return _estimator(n_components, **params).fit(X)


def _estimator(n_components=2, **params):
    small = {"objective": "elbo", "hidden_layer_sizes": (32,), "sampler": "prior"}
    return VAETransformer(n_components, **{**small, "random_state": 0, **params})


def _weights(controller, terms=TERMS):
    """Return the weight after each step, and the last state."""
    state, values = controller.start(), []
    for means in zip(*terms.values(), strict=True):
        state = controller.update(state, dict(zip(terms, means, strict=True)), HALF)
        values.append(controller.value(state, 0.5))
    return np.array(values), state


# The equations


def _reference(error_of, gaps, log_least, log_most):
    """Return weights by the equations of the docstrings, in a plain loop."""
    integral = average = before = 0.0
    weight, weights = 1.0, []
    for t, gap in enumerate(gaps, start=1):
        error = max(-1.0, min(1.0, error_of(t - 1, weight)))
        average += (error - average) / min(t, 10 + t / 50)
        before += (gap - before) / min(t, 10 + t / 10)
        if average * integral < 0:
            counted = 3 * np.clip(average, -0.5, 0.5)
        elif abs(average) > 0.1 and abs(gap) < 0.9 * abs(before):
            counted = 0.0
        else:
            counted = np.clip(average, -0.1, 0.1)
        integral = np.clip(integral + 24 / (100 + t) * counted, log_least, log_most)
        log_weight = integral + 4 * np.clip(average, -0.1, 0.1)
        weight = np.exp(np.clip(log_weight, log_least, log_most))
        weights.append(weight)
    return weights


@pytest.mark.parametrize("bounds", [(3e-4, 3e3), (0.9, 1.2)])
@pytest.mark.parametrize("target", [1.5, 2.7, 6.0])
def test_control_vae_follows_its_equations(target, bounds):
    gaps = np.array(TERMS["kl"]) - target
    expected = _reference(lambda t, _: gaps[t] / target, gaps, *np.log(bounds))
    controller = ControlVAE(target, least=bounds[0], most=bounds[1])
    assert _weights(controller)[0] == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("bounds", [(3e-4, 3e3), (0.9, 1.2)])
@pytest.mark.parametrize("target", [3.0, 8.0, 20.0])
def test_geco_follows_its_equations(target, bounds):
    gaps = target - np.array(TERMS["reconstruction"])

    def error(t, weight):
        return gaps[t] / (weight * TERMS["kl"][t])

    expected = _reference(error, gaps, *np.log(bounds))
    controller = GECO(target, least=bounds[0], most=bounds[1])
    assert _weights(controller)[0] == pytest.approx(expected, rel=1e-10)


def test_target_that_rises_is_followed_by_the_equations():
    target = WarmUp(0.5, value=4.0)
    controller, state, weights = ControlVAE(target), ControlVAE(target).start(), []
    goals = np.minimum(4.0, 8.0 * np.arange(400) / 400)
    for t, kl in enumerate(TERMS["kl"]):
        state = controller.update(state, {"kl": kl}, Progress(t / 10, 40))
        weights.append(controller.value(state, 0.5))
    gaps = np.array(TERMS["kl"]) - goals
    units = np.maximum(goals, 1e-12)
    expected = _reference(lambda t, _: gaps[t] / units[t], gaps, *np.log([3e-4, 3e3]))
    assert weights == pytest.approx(expected, rel=1e-10)


def test_target_that_still_rises_is_not_held():
    controller = ControlVAE(WarmUp(0.5, value=4.0))
    state, accepted = controller.start(), []
    for t in range(1000):
        kl = min(4.0, 8.0 * t / 1000) + 1e-9
        state = controller.update(state, {"kl": kl}, Progress(t, 1000))
        accepted.append(controller.accepts(state))
    assert not any(accepted[:500])
    assert accepted[-1]


def test_integral_waits_while_a_large_error_shrinks():
    controller = GECO(0.0)
    shrinking = [{"reconstruction": 1e3 * 0.98**t, "kl": 1.0} for t in range(200)]
    stuck = [{"reconstruction": 1e3, "kl": 1.0}] * 200
    ends = []
    for means in (shrinking, stuck):
        state = controller.start()
        for each in means:
            state = controller.update(state, each, HALF)
        ends.append(state[0])
    assert ends[1] < ends[0] < 0.0
    assert ends[1] < 3.0 * ends[0]


def test_stall_decay_follows_its_rule():
    losses = [5.0, 4.0, 4.5, 4.2, 4.1, 3.9, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 3.0]
    weights, _ = _weights(
        StallDecay(factor=0.5, patience=3, most=2.0, least=0.4),
        {"reconstruction": losses},
    )
    # After three epochs above 4, then after each three above 3.9.
    assert weights.tolist() == [2.0] * 4 + [1.0] * 4 + [0.5] * 3 + [0.4] * 3


@pytest.mark.parametrize(("kl", "bound"), [(1e6, "most"), (1e-6, "least")])
def test_integral_does_not_wind_up_at_the_bounds(kl, bound):
    controller = ControlVAE(1.0, least=0.5, most=2.0)
    weights, (integral, *_) = _weights(controller, {"kl": [kl] * 500})
    assert weights[-1] == pytest.approx(getattr(controller, bound))
    assert math.exp(integral) == pytest.approx(getattr(controller, bound))


def test_controller_accepts_a_small_error_over_the_averaged_steps():
    controller, state = ControlVAE(1.0), ControlVAE(1.0).start()
    terms = 1.0 + np.random.default_rng(0).normal(0.0, 0.03, 480)
    terms[:80] += 1.0
    terms[400:403] += 0.3
    average, sizes = 0.0, []
    for t, term in enumerate(terms, start=1):
        state = controller.update(state, {"kl": term}, HALF)
        average += (min(1.0, term - 1.0) - average) / min(t, 10 + t / 50)
        sizes.append(abs(average))
        # What is left of each step in the average of parameters, up to a factor.
        counts = [math.comb(s + 8, 8) for s in range(t)]
        mean = np.average(sizes, weights=counts)
        assert controller.accepts(state) == (mean <= 0.025)
    # A short excursion does not matter.
    assert max(sizes[400:]) > 0.025 > mean


def test_controllers_start_at_one_or_the_nearest_bound():
    for bounds, start in (((0.1, 2.0), 1.0), ((2.0, 3.0), 2.0), ((0.1, 0.5), 0.5)):
        controller = GECO(1.0, least=bounds[0], most=bounds[1])
        assert controller.value(controller.start(), 0.0) == pytest.approx(start)


@every_controller
def test_state_of_a_controller_is_a_plain_value(controller):
    _, state = _weights(controller)
    assert isinstance(state, tuple)
    assert {type(one) for one in state} <= {int, float}


# Fits


@pytest.mark.parametrize(
    ("X", "n_components", "target"),
    [(IRIS, 2, 2.5), (load_wine().data, 3, 3.0)],
    ids=["iris", "wine"],
)
def test_control_vae_holds_the_kl_term(X, n_components, target):
    vae = _fitted(X, n_components, beta=ControlVAE(target))
    last = vae.term_curves_["kl"][-10:]
    mean, std = vae.posterior(X)
    kl = (0.5 * (mean**2 + std**2 - 1.0) - np.log(std)).sum(axis=1).mean()
    assert np.mean(last) == pytest.approx(target, rel=0.05)
    assert kl == pytest.approx(target, rel=0.05)
    assert vae.kl_per_component_.sum() == pytest.approx(target, rel=0.05)


def test_geco_reaches_the_reconstruction():
    params = {"max_iter": 150, "tol": None, "learning_rate": 0.004}
    ends = [_fitted(beta=beta, **params).term_curves_ for beta in (4.0, 0.25)]
    worst, best = (np.mean(curves["reconstruction"][-10:]) for curves in ends)
    target = 0.5 * (worst + best)
    vae = _fitted(beta=GECO(target), **params)
    last = np.mean(vae.term_curves_["reconstruction"][-10:])
    assert abs(last - target) < 0.05 * (worst - best)


def test_geco_reaches_a_mean_squared_error():
    X, error = IRIS, 0.15
    nats = 0.5 * X.shape[1] * np.log(2 * np.pi * np.e * error)
    params = {"early_stopping": False, "max_iter": 200, "tol": None}
    target = nats + np.log(X.std(axis=0)).sum()
    vae = _fitted(X, 2, beta=GECO(target), learning_rate=0.004, **params)
    mean, std = vae.posterior(X)
    draws = np.random.default_rng(0).normal(size=(20, *mean.shape))
    squares = [
        ((X - vae.inverse_transform(mean + std * e)) / X.std(axis=0)) ** 2
        for e in draws
    ]
    assert np.mean(squares) == pytest.approx(error, rel=0.05)


def test_capacity_that_rises_is_followed():
    beta, params = ControlVAE(WarmUp(0.5, value=2.5)), {"learning_rate": 0.006}
    vae = _fitted(beta=beta, batch_size=32, max_iter=150, tol=None, **params)
    kl = np.array(vae.term_curves_["kl"])
    capacity = 2.5 * (np.arange(50, 75) + 0.5) / 75
    assert np.abs(kl[50:75] / capacity - 1.0).mean() < 0.1
    assert kl[-15:].mean() == pytest.approx(2.5, rel=0.05)


@pytest.mark.filterwarnings("ignore:.*has not held its target")
def test_weight_of_an_added_term_may_be_controlled():
    objective = Neighbors(weight=ControlVAE(2.0, term="neighbors"))
    vae = _fitted(objective=objective, max_iter=20, tol=None)
    assert len(set(vae.term_weights_["neighbors"])) > 1
    assert len(set(vae.term_weights_["kl"])) == 1


def test_target_out_of_reach_is_warned_of():
    with pytest.warns(ConvergenceWarning, match=r"'kl', has not held its target\. It"):
        vae = _fitted(beta=ControlVAE(50.0), max_iter=30)
    assert vae.n_iter_ == 30
    assert vae.best_loss_ == vae.validation_curve_[-1]


def test_controlled_fit_may_stop_early_once_the_target_is_held():
    params = {"tol": 10.0, "n_iter_no_change": 5, "max_iter": 300}
    vae = _fitted(beta=ControlVAE(4.0), **params)
    assert 5 < vae.n_iter_ < 300
    assert vae.kl_per_component_.sum() == pytest.approx(4.0, rel=0.05)


def test_stall_decay_lowers_the_weight_before_the_fit_stops():
    beta = StallDecay(factor=0.5, patience=2, least=0.25)
    vae = _fitted(beta=beta, n_iter_no_change=4, learning_rate=0.02)
    weights = vae.term_weights_["kl"]
    assert set(weights) == {1.0, 0.5, 0.25}
    assert np.all(np.diff(weights) <= 0.0)
    assert vae.n_iter_ < vae.max_iter_


class Stopper:
    """A callback that stops a fit after four epochs."""

    def setup(self, estimator, context):
        pass

    teardown = setup

    def on_fit_task_begin(self, estimator, context, **kwargs):
        pass

    def on_fit_task_end(self, estimator, context, **kwargs):
        return context.task_name == "epoch" and context.task_id == 3


@every_controller
@pytest.mark.filterwarnings("ignore:.*has not held its target")
def test_stopped_fit_taken_up_has_the_weights_of_an_uninterrupted_one(controller):
    params = {"beta": controller, "max_iter": 8, "batch_size": 10, "tol": None}
    whole = _fitted(**params)
    parts = _estimator(warm_start=True, **params)
    parts.set_callbacks(Stopper()).fit(IRIS)
    assert parts.n_iter_ == 4
    parts = pickle.loads(pickle.dumps(parts.set_callbacks())).fit(IRIS)
    assert parts.term_weights_ == whole.term_weights_
    assert parts.term_curves_ == whole.term_curves_
    assert parts.best_loss_ == whole.best_loss_
    assert np.array_equal(parts.transform(IRIS), whole.transform(IRIS))


@every_controller
def test_controller_survives_clone_pickle_and_repr(controller):
    names = {type(one).__name__: type(one) for one in CONTROLLERS}
    for copy in (
        clone(controller),
        pickle.loads(pickle.dumps(controller)),
        eval(repr(controller), names),
    ):
        assert copy.get_params() == controller.get_params()


@pytest.mark.filterwarnings("ignore:.*has not held its target")
def test_grid_search_reaches_the_target():
    vae = _estimator(beta=ControlVAE(3.0), max_iter=3)
    search = GridSearchCV(vae, {"beta__target": [2.0, 4.0]}, cv=2).fit(IRIS)
    assert search.best_estimator_.beta_.target in (2.0, 4.0)


# The history of weights


def test_weights_of_the_terms_are_recorded_after_each_epoch():
    vae = _fitted(beta=WarmUp(0.5), max_iter=4, tol=None)
    assert vae.term_weights_ == {
        "reconstruction": [1.0] * 4,
        "kl": [0.5, 1.0, 1.0, 1.0],
    }
    model = AutoencoderTransformer(2, max_iter=3, tol=None, random_state=0).fit(IRIS)
    assert model.term_weights_ == {"reconstruction": [1.0] * 3}


def test_loss_curves_show_the_weights_that_change():
    weights = {"reconstruction": [1.0, 1.0], "kl": [0.5, 2.0]}
    terms = {"reconstruction": [4.0, 3.0], "kl": [1.0, 1.5]}
    both = LossCurveDisplay([5.0, 4.0], term_curves=terms, term_weights=weights)
    display = both.plot()
    assert len(display.axes_) == 3
    assert set(display.weight_lines_) == {"kl"}
    line = display.weight_lines_["kl"]
    assert line.get_xydata().tolist() == [[1.0, 0.5], [2.0, 2.0]]
    assert line.axes is display.axes_[2]
    assert line.get_color() == display.lines_["kl"].get_color()
    alone = LossCurveDisplay([5.0, 4.0], term_weights=weights).plot()
    assert len(alone.axes_) == 2
    assert list(alone.axes_[1].get_lines()) == [alone.weight_lines_["kl"]]
    assert alone.axes_[1].get_yscale() == "log"


def test_loss_curves_without_a_changing_weight_have_no_panel_for_weights():
    vae = _fitted(beta=0.5, max_iter=3, tol=None)
    display = LossCurveDisplay.from_estimator(vae)
    assert len(display.axes_) == 2
    assert not display.weight_lines_


def test_report_names_the_last_weights():
    vae = _fitted(beta=WarmUp(1.0, value=0.5), max_iter=4, tol=None)
    report = FitReport.from_estimator(vae, IRIS)
    assert report.weights == {"reconstruction": 1.0, "kl": 0.5}
    assert str(report).endswith("weights of the terms: reconstruction 1, kl 0.5")


# Errors


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (ControlVAE(0.0), r"target of ControlVAE\(target=0.0\) must be a number above"),
        (ControlVAE("auto"), r"target of .* nats per row\. Got 'auto'"),
        (ControlVAE(np.inf), r"target of .*Got inf"),
        (ControlVAE(1.0, least=2.0, most=1.0), r"least of .* at most most=1\.0\. Got"),
        (
            ControlVAE(WarmUp(value=0.0)),
            r"target of .* must end at a number above 0, in nats .*\. It ends at 0",
        ),
        (ControlVAE(WarmUp(2.0)), r"fraction of .* \[0, 1\]\. Got 2\.0"),
        (GECO(np.nan), r"target of .* must be a finite number.*Got nan"),
        (GECO(1.0, most=0.0), r"most of .* above 0\. Got 0\.0"),
        (StallDecay(factor=1.0), r"factor of .* \(0, 1\)\. Got 1\.0"),
        (StallDecay(patience=0), r"patience of .* positive integer\. Got 0"),
        (StallDecay(patience=2.5), r"patience of .* positive integer\. Got 2\.5"),
        (StallDecay(least=0), r"least of .* above 0.*Got 0"),
        (Cyclical(n_cycles=0), r"n_cycles of .* positive integer\. Got 0"),
        (Cyclical(n_cycles=1.5), r"n_cycles of .* positive integer\. Got 1\.5"),
        (Cyclical(fraction=2.0), r"fraction of .* \[0, 1\]\. Got 2\.0"),
    ],
    ids=repr,
)
def test_invalid_parameter_is_refused_in_words(weight, message):
    with pytest.raises(ValueError, match=message):
        as_weight(weight)
    with pytest.raises(ValueError, match=message):
        _fitted(beta=weight)


@pytest.mark.parametrize(
    ("beta", "name"),
    [
        (ControlVAE(1.0, term="KL"), "term"),
        (GECO(1.0, weighted="order"), "weighted"),
        (StallDecay(term="loss"), "term"),
    ],
    ids=repr,
)
def test_term_that_is_not_there_is_refused_in_words(beta, name):
    message = rf"{name} of .* one of \['kl', 'reconstruction'\]\. Got"
    with pytest.raises(ValueError, match=message):
        _fitted(beta=beta)


def test_objective_that_needs_a_large_weight_refuses_a_controller_without_a_bound():
    with pytest.raises(ValueError, match=r"requires beta >= 1 .* is 0\.0003 at one"):
        _fitted(objective=IWAE(2), beta=ControlVAE(4.0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        vae = _fitted(objective=IWAE(2), beta=ControlVAE(2.0, least=1.0), max_iter=5)
    assert min(vae.term_weights_["kl"]) >= 1.0


def test_controlled_bound_is_the_textbooks():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        vae = _fitted(beta=ControlVAE(4.0), max_iter=3)
    assert vae.objective_.get_params() == ELBO(mean_fraction=0.0).get_params()
    assert isinstance(_fitted(beta=1.0, max_iter=3, tol=None).beta_, Constant)
