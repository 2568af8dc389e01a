"""Ctrl-C ends a fit of the user's own, and elsewhere all that goes on around a fit."""

import os
import pickle
import signal
import threading

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    cross_val_score,
    cross_validate,
    learning_curve,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skvae import (
    AutoencoderTransformer,
    VAEImputer,
    VAEOutlierDetector,
    VAETransformer,
)
from skvae.estimators._base import LatentTransformer
from skvae.schedules import Schedule
from skvae.training._interrupts import INTERRUPTS

pytestmark = pytest.mark.filterwarnings("ignore:.*components carry nothing")

X = load_iris().data
CUT_OFF, IN_FIRST = 2.5, 0.5
"""Moments of a fit, in epochs."""


def ended():
    return pytest.warns(UserWarning, match=r"interrupted by user.*A second Ctrl-C")


class Press(Schedule):
    """A constant learning rate; presses Ctrl-C at a moment of all fits, or of one."""

    n_fits = 0

    def __init__(self, at=None, fit=None):
        self.at = at
        self.fit = fit

    def __call__(self, epoch, n_epochs):
        Press.n_fits += epoch == 0.0
        if epoch == self.at and self.fit in (None, Press.n_fits):
            os.kill(os.getpid(), signal.SIGINT)
        return 0.003


class Callback:
    """At the end of a task, presses Ctrl-C or asks to stop."""

    def __init__(self, name, task_id=0, press=True):
        self.task = (name, task_id)
        self.press = press

    def setup(self, *args, **kwargs):
        pass

    teardown = on_fit_task_begin = setup

    def on_fit_task_end(self, estimator, context, **kwargs):
        is_now = (context.task_name, context.task_id) == self.task
        if is_now and self.press:
            signal.raise_signal(signal.SIGINT)
        return is_now


@pytest.fixture(autouse=True)
def terminal():
    """Let SIGINT interrupt, as in a terminal, and see that nobody changes that.

    A shell turns it off for what it runs in the background.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    Press.n_fits = 0
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def tiny(at=None, cls=VAETransformer, **params):
    """Return an estimator whose epochs take an even number of steps."""
    defaults = {
        "hidden_layer_sizes": (8,),
        "max_iter": 5,
        "tol": None,
        "batch_size": 30,
        "learning_rate": Press(at),
        "random_state": 0,
    }
    return cls(2, **(defaults | params))


def imputer(at=None):
    return VAEImputer(estimator=tiny(at))


def detector(at=None):
    return VAEOutlierDetector(estimator=tiny(at))


def contents(estimator):
    return {name: pickle.dumps(v) for name, v in estimator.__getstate__().items()}


def assert_same(one, other):
    assert one.n_iter_ == other.n_iter_
    assert one.loss_curve_ == other.loss_curve_
    assert np.array_equal(one.transform(X), other.transform(X))


# A fit of the user's own


@pytest.mark.parametrize("cls", [VAETransformer, AutoencoderTransformer])
def test_ctrl_c_ends_a_fit_at_the_last_whole_epoch(cls):
    with ended():
        estimator = tiny(CUT_OFF, cls).fit(X)
    assert estimator.n_iter_ == 2
    stop = Callback("epoch", 1, press=False)
    assert_same(estimator, tiny(cls=cls).set_callbacks(stop).fit(X))


def test_ctrl_c_between_epochs_loses_none():
    with ended():
        assert tiny().set_callbacks(Callback("epoch", 2)).fit(X).n_iter_ == 3


def test_fit_that_ctrl_c_has_ended_is_resumed():
    parts, whole = tiny(warm_start=True), tiny(warm_start=True).fit(X)
    with ended():
        parts.set_callbacks(Callback("epoch", 2)).fit(X)
    assert_same(parts.set_callbacks().fit(X), whole)


def test_ctrl_c_ends_the_model_inside_an_estimator():
    with ended():
        imputing = imputer(CUT_OFF).fit(X)
    assert imputing.n_iter_ == 2
    assert np.array_equal(imputing.transform(X), X)


def test_ctrl_c_ends_the_model_inside_a_detector():
    with ended():
        detecting = detector(CUT_OFF).fit(X)
    assert detecting.n_iter_ == 2
    assert detecting.predict(X).shape == (150,)


def test_ctrl_c_ends_the_fit_of_a_step_of_a_pipeline():
    pipeline = make_pipeline(StandardScaler(), tiny(CUT_OFF), KMeans(2, n_init=1))
    with ended():
        pipeline.fit(X)
    assert pipeline[1].n_iter_ == 2


def test_ctrl_c_ends_the_fit_of_an_estimator_that_a_search_has_left_behind():
    search = GridSearchCV(tiny(), {"n_components": [1]}, cv=2).fit(X)
    with ended():
        best = search.best_estimator_.set_params(learning_rate=Press(CUT_OFF)).fit(X)
    assert best.n_iter_ == 2


# What has no whole epoch


class Pressing:
    """Rows during whose reading Ctrl-C is pressed."""

    def __array__(self, dtype=None, copy=None):
        signal.raise_signal(signal.SIGINT)
        return X


@pytest.mark.parametrize("make", [tiny, imputer, detector])
@pytest.mark.parametrize("at", ["reading", IN_FIRST])
@pytest.mark.parametrize("is_fitted", [True, False])
def test_ctrl_c_before_the_first_whole_epoch_changes_nothing(make, at, is_fitted):
    estimator = make().fit(X) if is_fitted else make()
    rows = Pressing() if at == "reading" else X
    if at == IN_FIRST:
        vae = getattr(estimator, "estimator", estimator)
        vae.set_params(learning_rate=Press(at))
    before = contents(estimator)
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(rows)
    assert contents(estimator) == before


def test_ctrl_c_in_the_first_epoch_of_a_run_that_follows_keeps_the_run_before():
    vae = tiny(warm_start=True).fit(X).set_params(learning_rate=Press(IN_FIRST))
    with pytest.raises(KeyboardInterrupt):
        vae.fit(X)
    assert vae.n_iter_ == 5
    vae.set_params(learning_rate=Press()).fit(X)
    assert_same(vae, tiny(warm_start=True).fit(X).fit(X))


# After the last epoch


def press_in_description(monkeypatch, calls):
    """Press Ctrl-C in some of the calls that describe a trained model."""
    describe, count = LatentTransformer._describe_components, iter(range(100))

    def method(*args):
        answer = describe(*args)
        if next(count) in calls:
            signal.raise_signal(signal.SIGINT)
        return answer

    monkeypatch.setattr(LatentTransformer, "_describe_components", method)


@pytest.mark.parametrize("likelihood", ["gaussian", "student_t"])
@pytest.mark.parametrize("rate", [None, 1e-9])
def test_ctrl_c_after_the_last_epoch_loses_nothing(monkeypatch, rate, likelihood):
    params = {"warm_start": True, "likelihood": likelihood}
    params |= {"learning_rate": rate} if rate else {}
    whole = tiny(**params).fit(X)
    with monkeypatch.context() as patch, ended():
        press_in_description(patch, {0})
        parts = tiny(**params).fit(X)
    assert_same(parts, whole)
    assert_same(parts.fit(X), whole.fit(X))


def test_ctrl_c_in_a_callback_at_the_end_of_a_fit_raises():
    vae = tiny().set_callbacks(Callback("fit"))
    before = contents(vae)
    with pytest.raises(KeyboardInterrupt):
        vae.fit(X)
    assert contents(vae) == before


# The second one


def test_second_ctrl_c_in_a_fit_raises(monkeypatch):
    press_in_description(monkeypatch, {0})
    vae = tiny(CUT_OFF)
    before = contents(vae)
    with ended(), pytest.raises(KeyboardInterrupt):
        vae.fit(X)
    assert contents(vae) == before


def test_second_ctrl_c_after_the_last_epoch_raises(monkeypatch):
    press_in_description(monkeypatch, {0, 1})
    with ended(), pytest.raises(KeyboardInterrupt):
        tiny().fit(X)


def test_second_ctrl_c_stops_a_loop_of_fits():
    fits = (tiny(CUT_OFF, random_state=seed).fit(X) for seed in range(3))
    with ended():
        assert next(fits).n_iter_ == 2
    with pytest.raises(KeyboardInterrupt):
        next(fits)


@pytest.mark.parametrize("seconds", [50.0, 70.0])
def test_second_ctrl_c_counts_for_a_minute(monkeypatch, seconds):
    with ended():
        tiny(CUT_OFF).fit(X)
    monkeypatch.setattr(INTERRUPTS, "last", INTERRUPTS.last - seconds)
    with pytest.raises(KeyboardInterrupt) if seconds < 60.0 else ended():
        tiny(CUT_OFF).fit(X)


def test_ctrl_c_after_a_second_one_is_a_first_one():
    with ended(), pytest.raises(KeyboardInterrupt):
        [tiny(CUT_OFF).fit(X) for _ in range(2)]
    with ended():
        assert tiny(CUT_OFF).fit(X).n_iter_ == 2


# Fits of clones


GRID = {"n_components": [1, 2]}
NESTED = {"vaetransformer__n_components": [1, 2]}


def pipeline():
    return make_pipeline(StandardScaler(), tiny(CUT_OFF), KMeans(2, n_init=1))


def density(estimator, X, y=None):
    return estimator.score_samples(X).mean()


def in_a_loop(estimator, X):
    for n_components in (1, 2):
        clone(estimator).set_params(n_components=n_components).fit(X)


AROUND = {
    "grid": lambda: GridSearchCV(tiny(CUT_OFF), GRID, cv=2).fit(X),
    "random": lambda: RandomizedSearchCV(tiny(CUT_OFF), GRID, n_iter=2, cv=2).fit(X),
    "halving": lambda: HalvingGridSearchCV(tiny(CUT_OFF), GRID, cv=2).fit(X),
    "pipeline": lambda: GridSearchCV(pipeline(), NESTED, cv=2).fit(X),
    "imputer": lambda: cross_validate(
        make_pipeline(imputer(CUT_OFF), KMeans(2, n_init=1)), X, cv=2
    ),
    "detector": lambda: GridSearchCV(
        detector(CUT_OFF), {"trim": [0.1, 0.2]}, cv=2, scoring=density
    ).fit(X),
    "scores": lambda: cross_val_score(tiny(CUT_OFF), X, cv=2),
    "validation": lambda: cross_validate(pipeline(), X, cv=2),
    "learning curve": lambda: learning_curve(
        tiny(CUT_OFF), X, y=None, train_sizes=[1.0], cv=2
    ),
    "columns": lambda: ColumnTransformer([("vae", tiny(CUT_OFF), [0, 1, 2])]).fit(X),
    "loop": lambda: in_a_loop(tiny(CUT_OFF), X),
}


@pytest.mark.parametrize("fit", AROUND.values(), ids=AROUND)
def test_ctrl_c_stops_all_that_goes_on_around_a_fit(fit):
    with pytest.raises(KeyboardInterrupt):
        fit()
    assert Press.n_fits == 1


def test_ctrl_c_in_the_last_fit_of_a_search_stops_it():
    search = GridSearchCV(tiny(), {"learning_rate": [Press(CUT_OFF, fit=3)]}, cv=2)
    with pytest.raises(KeyboardInterrupt):
        search.fit(X)
    assert Press.n_fits == 3


def test_ctrl_c_raises_in_a_worker_that_a_clone_was_sent_to():
    sent = pickle.loads(pickle.dumps(clone(tiny(CUT_OFF))))
    with pytest.raises(KeyboardInterrupt):
        sent.fit(X)


def test_ctrl_c_stops_a_search_in_threads():
    """Ctrl-C reaches the main thread; the fits of the others go on to their end."""
    halves = [(np.arange(0, 150, 2), np.arange(1, 150, 2))]
    grid = {"learning_rate": [Press(CUT_OFF), Press()]}
    search = GridSearchCV(tiny(), grid, cv=halves, n_jobs=2)
    before = set(threading.enumerate())
    with parallel_config(backend="threading"), pytest.raises(KeyboardInterrupt):
        search.fit(X)
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=60.0)
