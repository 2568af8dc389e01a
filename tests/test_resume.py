"""A fit that was cut off is resumed from its file, and equals an uninterrupted one."""

import errno
import math
import os
import pickle
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from functools import partial
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from specs import OBJECTIVES, PRIORS
from torch import nn

import skvae
from skvae import (
    AutoencoderTransformer,
    ModelFileError,
    VAEImputer,
    VAEOutlierDetector,
    VAETransformer,
    objectives,
    priors,
    resume,
)
from skvae.callbacks import Checkpoint
from skvae.files._container import read, write
from skvae.objectives import (
    IWAE,
    MMD,
    RAE,
    Denoising,
    Neighbors,
    Objective,
    Reconstruction,
)
from skvae.priors import (
    AggregatePosterior,
    CategoricalLatents,
    Mixture,
    NoPrior,
    Prior,
    VampPrior,
)
from skvae.schedules import GECO, Constant, ControlVAE, StallDecay, WarmUp

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*components carry nothing", "ignore:.*has not held its target"
)

RNG = np.random.default_rng(0)
T = RNG.uniform(-3, 3, size=(60, 1))
X = np.hstack([np.cos(T), np.sin(T), np.cos(2 * T), T])
X += 0.1 * RNG.normal(size=X.shape)
MISSING = np.where(RNG.random(X.shape) < 0.2, np.nan, X)
TABLE = pd.DataFrame(X, columns=list("abcd"))
TABLE["e"] = pd.Categorical(np.where(T[:, 0] > 0, "up", "down"))
WEIGHTS = RNG.integers(1, 4, size=len(X)).astype(float)
N_EPOCHS, CUT = 5, 2


def tiny(n_components=2, cls=VAETransformer, **params):
    """Return an estimator whose fits take five epochs."""
    defaults = {"hidden_layer_sizes": (8,), "max_iter": N_EPOCHS, "tol": None}
    defaults |= {"batch_size": 24, "random_state": 0}
    defaults |= {"sampler": "prior"} if cls is VAETransformer else {}
    return cls(n_components, **(defaults | params))


class Hook:
    """Calls a function at the end of an epoch, or of each; what it returns may stop."""

    def __init__(self, function, epoch=None):
        self.function = function
        self.epoch = epoch

    def setup(self, estimator, context):
        pass

    teardown = on_fit_task_begin = setup

    def on_fit_task_end(self, estimator, context):
        is_epoch = context.task_name == "epoch"
        if is_epoch and self.epoch in (None, context.task_id + 1):
            return self.function()
        return False


class Cut(Exception):
    """What ends a fit."""


def cut():
    raise Cut


@pytest.fixture
def path(tmp_path):
    """Return the path of a file in a folder of its own."""
    return tmp_path / "fit.skvae"


def cut_off(estimator, path, rows=X, after=CUT, **settings):
    """Leave the file of a fit that ended with an error after some epochs."""
    estimator.set_callbacks(Checkpoint(path, **settings), Hook(cut, after))
    with pytest.raises(Cut):
        estimator.fit(rows)


def fit_and_keep(estimator, path, rows=X, sample_weight=None, after=CUT):
    """Return a fitted estimator, and leave the file as it was after some epochs."""
    now = path.with_suffix(".now")
    keep = Hook(lambda: shutil.copy(now, path) and False, after)
    estimator.set_callbacks(Checkpoint(now, 1, keep_best=False), keep)
    return estimator.fit(rows, sample_weight=sample_weight)


def read_counters(path):
    """Return the counters of the run in a file."""
    run = read(path)[1]["checkpoint"]["of"]["run"]["of"]
    return run["state"]["of"]["counters"]["of"]


def assert_same(one, other):
    """Fail unless two values are the same to the last bit; callbacks may differ."""
    assert type(one) is type(other)
    if isinstance(one, BaseEstimator):
        states = (dict(estimator.__getstate__()) for estimator in (one, other))
        one, other = ({k: s[k] for k in s if k != "_skl_callbacks"} for s in states)
        assert one.keys() == other.keys()
        one, other = list(one.items()), [(name, other[name]) for name in one]
    if isinstance(one, np.ndarray):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert one.tobytes() == other.tobytes()
    elif isinstance(one, dict):
        assert_same(list(one.items()), list(other.items()))
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for pair in zip(one, other, strict=True):
            assert_same(*pair)
    else:
        assert pickle.dumps(one) == pickle.dumps(other)


def assert_resumed(whole, path, rows=X, sample_weight=None, **given):
    """Fail unless the fit of a file ends as an uninterrupted one did."""
    resumed = resume(path, rows, sample_weight, **given)
    assert_same(resumed, whole)
    assert resumed.get_params().keys() == whole.get_params().keys()


# Every kind of fit

NEEDED = {CategoricalLatents: {"n_components": 4}, NoPrior: {"objective": RAE()}}
"""What goes with a prior."""

OF_PRIORS = [
    *({"prior": prior, **NEEDED.get(type(prior), {})} for prior in PRIORS),
    {"sampler": Mixture()},
    {"sampler": AggregatePosterior()},
]
NESTED = Neighbors(Denoising(IWAE(2)), n_neighbors=3, weight=MMD().weight)
OF_OBJECTIVES = [{"objective": o} for o in [*OBJECTIVES[:-1], NESTED]]
OTHERS = [
    {"cls": AutoencoderTransformer},
    {"sampler": "auto"},
    {"beta": ControlVAE(1.0)},
    {"beta": GECO(3.0)},
    {"beta": StallDecay(patience=1)},
    {"beta": WarmUp(0.8)},
    {"solver": "sgd", "init": "random"},
    {"solver": "rmsprop", "early_stopping": False},
    {"hidden_fraction": 0.5},
    {"n_components": "auto"},
    {"random_state": None},
    {"random_state": np.random.RandomState(3)},
    {"warm_start": True},
]


def public(module, base):
    """Return the public classes of a module that can be built."""
    members = (getattr(module, name) for name in module.__all__)
    return {cls for cls in members if isinstance(cls, type) and issubclass(cls, base)}


def said(params):
    """Return what parameters are, without addresses, which differ by process."""
    return re.sub(" at 0x[0-9A-F]+", "", str(params))


def test_every_prior_and_objective_is_resumed():
    fits = [*OF_PRIORS, *OF_OBJECTIVES]
    tried = {type(value) for params in fits for value in params.values()}
    # `Reconstruction` is that of the plain autoencoder.
    tried |= {Reconstruction, objectives.AddedTerm, objectives.Wrapper}
    assert public(priors, Prior) - {Prior} <= tried
    assert public(objectives, Objective) - {Objective} <= tried


@pytest.mark.parametrize("params", [*OF_PRIORS, *OF_OBJECTIVES, *OTHERS], ids=said)
def test_resumed_fit_equals_an_uninterrupted_one(params, path):
    assert_resumed(fit_and_keep(tiny(**params), path), path)


def test_prior_that_is_refitted_is_resumed_after_that(path):
    whole = fit_and_keep(tiny(prior=Mixture(2)), path, after=CUT + 1)
    # Other tests resume the fit right before.
    assert round(Mixture(2).build(2).refits_at * N_EPOCHS) == CUT
    assert_resumed(whole, path)


@pytest.mark.parametrize("cls", [VAEImputer, VAEOutlierDetector])
@pytest.mark.parametrize("is_given", [True, False])
def test_model_inside_is_resumed(cls, is_given, path):
    short = {"n_components": 2, "max_iter": N_EPOCHS, "random_state": 0}
    params = {"estimator": tiny()} if is_given else short
    assert_resumed(fit_and_keep(cls(**params), path, MISSING), path, MISSING)


def test_fit_to_a_table_with_categories_missing_cells_and_weights_is_resumed(path):
    rows = TABLE.where(~np.isnan(np.c_[MISSING, X[:, 0]]))
    model = tiny().set_output(transform="pandas")
    whole = fit_and_keep(model, path, rows, WEIGHTS)
    assert_resumed(whole, path, rows, WEIGHTS)
    resumed = resume(path, rows, WEIGHTS)
    assert resumed.sample(2, random_state=0)["e"].isin(["up", "down"]).all()
    pd.testing.assert_frame_equal(resumed.transform(rows), whole.transform(rows))


def layers(n_in, n_out):
    """Return a network of a user's own."""
    return nn.Sequential(nn.Linear(n_in, 8), nn.Dropout(0.5), nn.Linear(8, n_out))


def test_fit_with_a_network_of_the_users_own_is_resumed_when_that_is_given(path):
    own = {"encoder": layers, "hidden_layer_sizes": "auto"}
    whole = fit_and_keep(tiny(**own), path)
    with pytest.raises(ValueError, match=r"requires encoder=.*resume\(path, X, enc"):
        resume(path, X)
    with pytest.raises(ValueError, match="decoder must be left out"):
        resume(path, X, encoder=layers, decoder=layers)
    assert_resumed(whole, path, encoder=layers)


def test_training_that_follows_a_fit_is_resumed(path):
    first = tiny(warm_start=True, prior=VampPrior(5)).fit(X)
    whole = fit_and_keep(first, path)
    assert whole.n_iter_ == 2 * N_EPOCHS
    assert_resumed(whole, path)


def test_resumed_fit_stops_early_where_an_uninterrupted_one_does(path):
    params = {"tol": 1e9, "n_iter_no_change": 4, "max_iter": 20, "init": "random"}
    whole = fit_and_keep(tiny(**params), path)
    assert whole.n_iter_ == 4
    assert_resumed(whole, path)


def test_resumed_fit_returns_the_best_state_from_before(path):
    params = {"learning_rate": Constant(0.2), "init": "random", "max_iter": 12}
    model = tiny(**params)
    best = int(np.argmin(model.fit(X).validation_curve_))
    assert 0 < best < 12
    assert_resumed(fit_and_keep(model, path, after=best), path)


@pytest.mark.filterwarnings("ignore:The loss was not finite")
def test_resumed_fit_has_the_smaller_steps_from_before(path):
    params = {"learning_rate": Constant(1000.0), "init": "random", "solver": "sgd"}
    params |= {"objective": "elbo", "max_iter": 7}
    whole = fit_and_keep(tiny(**params), path, after=5)
    assert read_counters(path)["slowdown"] < 1.0
    assert_resumed(whole, path)


def test_checkpoints_do_not_change_a_fit(path, untouched):
    whole = fit_and_keep(tiny(sampler="auto"), path)
    assert_same(whole, tiny(sampler="auto").fit(X))


# How a fit is cut off


def test_error_leaves_the_estimator_as_it_was_and_a_file_that_is_resumed(path):
    model = tiny()
    cut_off(model, path, every=1)
    assert not hasattr(model, "n_iter_")
    assert model._running is None
    assert_resumed(tiny().fit(X), path)


def test_stop_between_checkpoints_is_resumed(path):
    model = tiny(n_components=1)
    model.set_callbacks(Checkpoint(path, 10), Hook(lambda: True, 3)).fit(X)
    assert model.n_iter_ == 3
    assert_resumed(tiny(n_components=1).fit(X), path)


def test_stop_of_training_that_follows_a_fit_is_resumed(path):
    first = tiny(warm_start=True).fit(X)
    whole = clone(first).fit(X).fit(X)
    first.set_callbacks(Checkpoint(path, 10), Hook(lambda: True, 3)).fit(X)
    assert first.n_iter_ == N_EPOCHS + 3
    assert_resumed(whole, path)


def test_fit_that_ended_is_returned(path):
    whole = tiny().set_callbacks(Checkpoint(path)).fit(X)
    assert_resumed(whole, path)


def test_resumed_fit_is_saved_and_can_be_resumed_again(path, monkeypatch):
    cut_off(tiny(), path, every=1)
    again = Hook(cut, 1)
    first = read(path)[1]
    original = Checkpoint.setup

    def setup(self, estimator, context):
        original(self, estimator, context)
        estimator._skl_callbacks.append(again)

    monkeypatch.setattr(Checkpoint, "setup", setup)
    with pytest.raises(Cut):
        resume(path, X)
    monkeypatch.undo()
    assert read(path)[1] != first
    assert_resumed(tiny().fit(X), path)


SCRIPT = """
import pickle, sys, warnings
from skvae.callbacks import Checkpoint

class Said:
    def setup(self, estimator, context): pass
    teardown = on_fit_task_begin = setup
    def on_fit_task_end(self, estimator, context):
        print(context.task_id + 1, flush=True)

with open(sys.argv[1], "rb") as file:
    model, X = pickle.load(file)
warnings.simplefilter("ignore")
for path in sys.argv[2:]:
    print(path, flush=True)
    model.set_callbacks(Checkpoint(path, 1, keep_best=False), Said()).fit(X)
"""


def test_fits_in_a_process_that_gets_signals_are_resumed(path):
    params = {"prior": VampPrior(5), "objective": "neighbors", "max_iter": 60}
    arguments = path.with_suffix(".pickle")
    arguments.write_bytes(pickle.dumps((tiny(**params), X)))
    signals = {str(path) + end: getattr(signal, end) for end in ("SIGINT", "SIGKILL")}
    run = [sys.executable, "-c", SCRIPT, str(arguments), *signals]
    # A shell turns Ctrl-C off for what runs in the background.
    restore = partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(
        run, stdout=subprocess.PIPE, text=True, preexec_fn=restore
    ) as child:
        number = None
        for line in map(str.strip, child.stdout):
            number = signals.get(line, number)
            if line == "10":
                child.send_signal(number)
    # Ctrl-C has ended a fit alone.
    assert child.returncode == -signal.SIGKILL
    whole = tiny(**params).fit(X)
    for file in signals:
        assert 10 <= read_counters(file)["n_epochs"] < 60
        assert_resumed(whole, file)


# When what is saved


def changes(path, model, rows=X):
    """Return the epochs after which there is another file."""
    found, before = [], [None]

    def look():
        now = path.stat().st_ino if path.exists() else None
        found.append(now != before[0])
        before[0] = now

    model._skl_callbacks.append(Hook(look))
    model.fit(rows)
    return [epoch for epoch, is_new in enumerate(found, start=1) if is_new]


@pytest.mark.parametrize(
    ("every", "epochs"),
    [
        (1, [1, 2, 3, 4, 5]),
        (2, [2, 4, 5]),
        (np.int64(4), [4, 5]),
        (100, [5]),
        ("0.0001s", [1, 2, 3, 4, 5]),
        ("1.5h", [5]),
        ("5 min", [5]),
    ],
)
def test_file_is_written_every_so_often_and_at_the_end(every, epochs, path):
    model = tiny().set_callbacks(Checkpoint(path, every, keep_best=False))
    assert changes(path, model) == epochs


def test_time_between_files_is_counted_from_the_last(path):
    model = tiny(max_iter=8).set_callbacks(
        Checkpoint(path, "0.15s", keep_best=False), Hook(lambda: time.sleep(0.1))
    )
    epochs = changes(path, model)
    assert 1 not in epochs
    assert all(b - a <= 2 for a, b in pairwise(epochs))
    assert len(epochs) >= 4


def test_best_model_of_a_fit_that_goes_on_is_what_it_would_return(path):
    params = {"learning_rate": Constant(0.01), "init": "random"}
    cut_off(tiny(**params), path, every=1, after=3)
    loaded = skvae.load(f"{path}.best")
    stopped = tiny(**params).set_callbacks(Hook(lambda: True, 3)).fit(X)
    assert loaded.n_iter_ == 3
    assert np.array_equal(loaded.transform(X), stopped.transform(X))
    assert np.array_equal(loaded.score_samples(X), stopped.score_samples(X))


@pytest.mark.parametrize("warm_start", [True, False])
def test_best_model_of_a_fit_that_goes_on_can_be_trained_on(warm_start, path):
    params = {"learning_rate": Constant(0.01), "init": "random"}
    model = tiny(warm_start=warm_start, **params)
    cut_off(model, path, every=1, after=3)
    loaded = skvae.load(f"{path}.best")
    stopped = clone(model).set_callbacks(Hook(lambda: True, 3)).fit(X)
    assert not loaded._is_clone
    assert_same(loaded._saved, stopped._saved)
    assert_same(loaded.fit(X), stopped.set_callbacks().fit(X))


def test_best_model_is_written_where_it_is_another_one(path):
    best = path.with_name("fit.skvae.best")
    # It stays at the start, by steps that are too large.
    model = tiny(learning_rate=Constant(1.0), objective="elbo")
    model.set_callbacks(Checkpoint(path, 1))
    assert changes(best, model) == [1]
    assert np.array_equal(skvae.load(best).transform(X), model.transform(X))


def test_best_model_without_held_out_rows_is_that_of_the_last_epoch(path):
    best = path.with_name("fit.skvae.best")
    model = tiny(early_stopping=False).set_callbacks(Checkpoint(path, 2))
    assert changes(best, model) == [2, 4]
    assert_same(skvae.load(best).transform(X), model.transform(X))


def test_best_model_of_an_imputer_is_the_model_inside(path):
    imputer = VAEImputer(2, max_iter=N_EPOCHS, random_state=0)
    imputer.set_callbacks(Checkpoint(path, 1)).fit(MISSING)
    loaded = skvae.load(f"{path}.best")
    model = imputer.estimator_
    assert np.array_equal(loaded.transform(MISSING), model.transform(MISSING))


@pytest.mark.parametrize("after", [3, N_EPOCHS])
def test_best_model_is_in_the_end_what_the_fit_returns(after, path):
    model = tiny(sampler="auto")
    model.set_callbacks(Checkpoint(path, 2), Hook(lambda: True, after)).fit(X)
    loaded = skvae.load(f"{path}.best")
    assert loaded.n_iter_ == after
    assert_same(loaded.term_curves_, model.term_curves_)
    assert_same(loaded._saved, model._saved)
    assert_same(loaded.score_samples(X), model.score_samples(X))


def test_best_model_is_left_out_where_it_is_not_asked_for(path):
    tiny().set_callbacks(Checkpoint(path, 1, keep_best=False)).fit(X)
    assert os.listdir(path.parent) == [path.name]


class Sent(Hook):
    """Sends the estimators that it is given to another process."""

    def __init__(self):
        pass

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        sent = pickle.loads(pickle.dumps((estimator, fitted_estimator)))
        assert all(one._running is None for one in sent)
        assert sent[1].transform(X).shape == (60, 2)
        assert clone(estimator)._running is None


def test_estimator_that_a_callback_is_given_can_be_pickled_and_cloned(path):
    model = tiny().set_callbacks(Checkpoint(path), Sent()).fit(X)
    assert "_running" not in vars(model)
    assert "_unfinished" not in vars(resume(path, X))


# What is refused


@pytest.mark.parametrize(
    ("rows", "weights"),
    [
        (X[1:], None),
        (np.r_[X, X[:1]], None),
        (X + 1e-6 * (np.arange(60) == 30)[:, None], None),
        (X[:, [1, 0, 2, 3]], None),
        (X, WEIGHTS),
    ],
    ids=["fewer", "more", "changed", "other columns", "other weights"],
)
def test_other_rows_are_refused(rows, weights, path):
    cut_off(tiny(), path, every=1)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"resumed with its own rows .* Got others"):
        resume(path, rows, weights)
    assert path.read_bytes() == before


DATED = TABLE.assign(day=pd.date_range("2024-01-01", periods=60))


@pytest.mark.parametrize(
    "rows",
    [
        DATED.rename(columns={"a": "z"}),
        DATED.assign(e=DATED["e"].cat.rename_categories({"up": "upper"})),
        DATED.assign(day=DATED["day"] + pd.Timedelta(days=7)),
        DATED.astype({"a": "Float64"}),
    ],
    ids=["names", "categories", "dates", "types"],
)
def test_other_columns_with_the_same_codes_are_refused(rows, path):
    cut_off(tiny(), path, DATED, every=1)
    with pytest.raises(ValueError, match="Here the columns differ"):
        resume(path, rows)
    assert resume(path, DATED).n_iter_ == N_EPOCHS


def test_array_in_place_of_a_table_is_refused(path):
    cut_off(tiny(), path, pd.DataFrame(X), every=1)
    with pytest.raises(ValueError, match="Here the columns differ"):
        resume(path, X)


def test_order_of_rows_does_not_matter(path):
    whole = fit_and_keep(tiny(), path)
    assert_resumed(whole, path, X[::-1])


def test_file_of_a_model_is_refused_and_a_checkpoint_is_no_model(path):
    model = tiny().fit(X)
    model.save(path)
    with pytest.raises(ModelFileError, match=r"of a model, which skvae\.load loads"):
        resume(path, X)
    cut_off(tiny(), path, every=1)
    with pytest.raises(ModelFileError, match=r"Resume it with skvae\.resume"):
        skvae.load(path)


def changed(path, change):
    """Change a file, with a sum that is right."""
    arrays, facts = read(path)
    arrays = {name: array.copy() for name, array in arrays.items()}
    change(arrays, facts["checkpoint"]["of"])
    write(path, arrays, facts)


def put(*place, value):
    def change(arrays, said):
        for name in place[:-1]:
            said = said[name]["of"]
        said[place[-1]] = value

    return change


def without(*place):
    def change(arrays, said):
        for name in place[:-1]:
            said = said[name]["of"]
        del said[place[-1]]

    return change


def nan(arrays, said):
    arrays["run/state/arrays/theta"][3] = np.nan


def short(arrays, said):
    arrays["run/state/arrays/theta"] = arrays["run/state/arrays/theta"][:-1]


def another_type(arrays, said):
    name = "run/state/arrays/slot_mean"
    arrays[name] = arrays[name].astype(float)


def nothing(arrays, said):
    arrays["run/constants/center"] = arrays["run/constants/center"][:0]


HOSTILE = [
    put("run", "seed", value="0"),
    put("run", "start", value=[True, True, 1.0]),
    put("run", "start", "strength", value="strong"),
    put("run", "columns", value=None),
    put("run", "rows", value={"$": "tuple", "of": [1]}),
    put("run", "state", "counters", "n_epochs", value="two"),
    put("run", "state", "counters", "more", value=1),
    put("run", "state", "kept", "losses", value=[0.0]),
    put("run", "state", "history", "terms", value=None),
    put("run", "state", "n_steps", value=None),
    put("settings", "every", value="x"),
    put("settings", value=None),
    put("estimator", value=None),
    put("estimator", value={"$": "names", "of": {}}),
    put("more", value=1),
    without("run"),
    without("run", "seconds"),
    without("run", "state", "kept"),
    nan,
]


@pytest.mark.parametrize("change", HOSTILE)
def test_file_with_other_contents_is_refused(change, path):
    cut_off(tiny(), path, every=1)
    changed(path, change)
    with pytest.raises(ModelFileError):
        resume(path, X)


@pytest.mark.parametrize("change", [short, another_type, nothing])
def test_file_of_another_model_is_refused(change, path):
    cut_off(tiny(), path, every=1)
    changed(path, change)
    with pytest.raises(ValueError, match="with its own model only"):
        resume(path, X)


def test_file_of_other_settings_is_refused(path):
    cut_off(tiny(), path, every=1)
    changed(path, lambda _, said: said["estimator"]["state"].update(tol=0.1))
    with pytest.raises(ValueError, match="with its own settings only"):
        resume(path, X)


def test_file_that_is_damaged_or_absent_is_refused(path):
    with pytest.raises(FileNotFoundError):
        resume(path, X)
    cut_off(tiny(), path, every=1)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelFileError):
        resume(path, X)


@pytest.mark.parametrize(
    "every", [0, -1, 1.5, True, None, "5", "min", "0s", "-1s", "5 days", "1e3s"]
)
def test_period_that_is_none_is_refused(every, path):
    model = tiny().set_callbacks(Checkpoint(path, every))
    with pytest.raises(ValueError, match="every must be a positive number of epochs"):
        model.fit(X)


def test_checkpoint_that_could_not_be_written_is_refused_before_training(tmp_path):
    absent = tmp_path / "absent" / "fit.skvae"
    with pytest.raises(FileNotFoundError, match="requires a folder that exists"):
        tiny().set_callbacks(Checkpoint(absent)).fit(X)
    with pytest.raises(PermissionError, match="Use another path"):
        tiny().set_callbacks(Checkpoint(tmp_path)).fit(X)


class OwnRate(Constant):
    """A schedule of a user's own, which no file can hold."""


def test_estimator_that_no_file_holds_is_refused_before_training(path):
    model = tiny(learning_rate=OwnRate(0.01)).set_callbacks(Checkpoint(path))
    with pytest.raises(TypeError, match=r"OwnRate.*learning_rate"):
        model.fit(X)


def test_estimator_of_another_package_is_refused(path):
    with pytest.raises(TypeError, match=r"requires an estimator of skvae. Got PCA"):
        Checkpoint(path).setup(PCA(), None)


# Faults


def limited(path, n_bytes):
    """Let no file of this process become larger, as on a full disk."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))


@pytest.fixture
def unlimited():
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_file_that_cannot_be_written_leaves_the_old_one_and_the_fit(path, unlimited):
    model = tiny().set_callbacks(
        Checkpoint(path, 1, keep_best=False), Hook(lambda: limited(path, 1000), CUT)
    )
    said = r"after epoch \d could not be saved: .*older file is as it was.* goes on"
    with pytest.warns(UserWarning, match=said) as found:
        model.fit(X)
    said = [str(one.message) for one in found if "could not be" in str(one.message)]
    assert len(said) == N_EPOCHS - CUT
    limited(path, resource.RLIM_INFINITY)
    whole = tiny().fit(X)
    assert_same(model, whole)
    assert os.listdir(path.parent) == [path.name]
    assert_resumed(whole, path)


def test_folder_that_is_gone_does_not_end_a_fit(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    model = tiny().set_callbacks(
        Checkpoint(folder / "fit.skvae", 1), Hook(lambda: shutil.rmtree(folder), CUT)
    )
    with pytest.warns(UserWarning, match=r"after epoch \d could not be saved"):
        model.fit(X)
    assert_same(model, tiny().fit(X))


def of_ids():
    """Return rows with categories that no file holds."""
    ids = [uuid.UUID(int=i % 3) for i in range(60)]
    return pd.DataFrame(X, columns=list("abcd")).assign(e=pd.Categorical(ids))


def test_best_model_that_no_file_holds_is_said_once_and_does_not_end_a_fit(path):
    model = tiny(early_stopping=False).set_callbacks(Checkpoint(path, 1))
    said = r"The best model after epoch 1 could not be saved: .*UUID.* goes on"
    with pytest.warns(UserWarning, match=said) as found:
        model.fit(of_ids())
    assert len([w for w in found if "could not be saved" in str(w.message)]) == 1
    assert model.n_iter_ == N_EPOCHS
    assert os.listdir(path.parent) == [path.name]
    with pytest.warns(UserWarning, match="The best model after epoch 5 could not be"):
        assert_resumed(model, path, of_ids())


def test_error_of_the_best_model_does_not_end_a_fit(path, monkeypatch):
    def fail(running):
        raise RuntimeError("The sampler failed.")

    whole = tiny().fit(X)
    monkeypatch.setattr("skvae.estimators._running.Running.best", fail)
    model = tiny().set_callbacks(Checkpoint(path, 1))
    with pytest.warns(UserWarning, match=r"could not be saved: The sampler failed\."):
        model.fit(X)
    assert_same(model, whole)


def test_settings_too_long_for_a_file_are_refused_before_training(path):
    columns = {j: "gaussian" for j in range(70_000)}
    model = tiny(likelihood=columns).set_callbacks(Checkpoint(path))
    with pytest.raises(ValueError, match="A file requires at most"):
        model.fit(np.zeros((3, 70_000)))


def fill(folder):
    """Write a file until there is no room."""
    with open(folder / "fill", "wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


@pytest.fixture
def full_disk(tmp_path):
    """Return a folder that is a small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    run = [mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if mount is None or subprocess.run(run, capture_output=True).returncode:
        pytest.skip("a file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_full_disk_leaves_the_old_file_and_the_fit(full_disk):
    path = full_disk / "fit.skvae"
    model = tiny().set_callbacks(
        Checkpoint(path, 1, keep_best=False), Hook(lambda: fill(full_disk), CUT)
    )
    with pytest.warns(UserWarning, match=os.strerror(errno.ENOSPC)):
        model.fit(X)
    assert sorted(os.listdir(full_disk)) == ["fill", "fit.skvae"]
    (full_disk / "fill").unlink()
    assert_resumed(model, path)


# Time


def slow(**params):
    """Return an estimator whose epochs take a tenth of a second or more."""
    defaults = {"max_iter": 1000, "max_time": 0.25}
    return tiny(**(defaults | params)).set_callbacks(Hook(lambda: time.sleep(0.1)))


def test_max_time_ends_a_fit_after_an_epoch():
    model = slow(init="random", learning_rate=Constant(0.002)).fit(X)
    assert 1 <= model.n_iter_ <= 3
    stop = Hook(lambda: True, model.n_iter_)
    same = clone(model).set_params(max_time=None).set_callbacks(stop).fit(X)
    assert_same(same.set_params(max_time=0.25), model)


def test_max_time_leaves_time_for_one_epoch():
    assert tiny(max_time=1e-9).fit(X).n_iter_ == 1


def test_max_time_that_ends_a_fit_which_improves_is_said():
    model = slow(init="random", tol=0.0)
    said = r"Maximum time \(0.25 s\) over after \d of at most 1000 epochs.*max_time"
    with pytest.warns(ConvergenceWarning, match=said):
        model.fit(X)


def test_max_time_that_is_not_reached_changes_nothing():
    model = tiny(max_time=1e6).fit(X)
    assert_same(model.set_params(max_time=None), tiny().fit(X))


def test_max_time_counts_what_was_used_before(path):
    model = slow()
    model._skl_callbacks.append(Checkpoint(path, 1, keep_best=False))
    model.fit(X)
    assert_resumed(model, path)


def test_time_before_an_interruption_is_in_the_file(path):
    model = tiny(max_time=1e6)
    model.set_callbacks(Hook(lambda: time.sleep(0.1)), Checkpoint(path), Hook(cut, 3))
    model._skl_callbacks[1].every = 1
    with pytest.raises(Cut):
        model.fit(X)
    seconds = read(path)[1]["checkpoint"]["of"]["run"]["of"]["seconds"]
    assert 0.3 <= seconds < 100
    changed(path, put("run", "seconds", value=2e6))
    assert resume(path, X).n_iter_ == 3


def test_warm_start_has_the_time_anew():
    model = slow(warm_start=True).fit(X)
    first = model.n_iter_
    model.fit(X)
    assert first < model.n_iter_ <= first + 3
    whole = tiny(max_iter=1000, warm_start=True)
    whole.set_callbacks(Hook(lambda: True, model.n_iter_)).fit(X)
    assert_same(whole.set_params(max_time=0.25), model)


@pytest.mark.parametrize("value", [0, -1.0, "1h", math.nan])
@pytest.mark.parametrize("cls", [VAETransformer, AutoencoderTransformer])
def test_time_that_is_none_is_refused(cls, value):
    with pytest.raises(ValueError, match="'max_time' parameter"):
        cls(max_time=value).fit(X)
