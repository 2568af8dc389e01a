"""The model inside `VAEImputer` and `VAEOutlierDetector`."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.callback import ProgressBar
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV

from skvae import VAEImputer, VAEOutlierDetector, VAETransformer
from skvae.likelihoods import Gaussian
from skvae.objectives import ELBO, IWAE, AddedTerm
from skvae.schedules import Constant
from skvae.table import _read

pytestmark = pytest.mark.filterwarnings(
    "ignore:Maximum iterations", "ignore:.*components carry nothing"
)

X = load_iris().data
X_MISSING = np.where(np.random.default_rng(0).random(X.shape) < 0.2, np.nan, X)

IMPUTING = {
    "objective": IWAE(8),
    "hidden_fraction": 0.5,
    "validation_fraction": 0.1,
    "batch_size": 256,
    "learning_rate": 0.006,
    "likelihood": Gaussian(noise="decoder"),
}
"""What the default model of the imputer has other than `VAETransformer`."""

both = pytest.mark.parametrize("cls", [VAEImputer, VAEOutlierDetector])


def small(n_components=2, **params):
    defaults = {"hidden_layer_sizes": (8,), "max_iter": 3, "tol": None}
    return VAETransformer(n_components, **(defaults | params), random_state=0)


def answer(estimator, X=X_MISSING):
    method = "transform" if isinstance(estimator, VAEImputer) else "score_samples"
    return getattr(estimator, method)(X)


@both
def test_default_model_is_that_of_the_documentation(cls):
    params = dict(IMPUTING if cls is VAEImputer else {})
    params |= {"sampler": "prior"}
    model = VAETransformer(2, max_iter=2, random_state=0, **params)
    short = cls(n_components=2, max_iter=2, random_state=0).fit(X_MISSING)
    long = cls(estimator=model).fit(X_MISSING)
    np.testing.assert_array_equal(answer(short), answer(long))
    assert short.n_iter_ == long.n_iter_ == 2


@both
def test_estimator_is_cloned_and_its_settings_reach_the_fit(cls):
    model = small(likelihood="student_t")
    fitted = cls(estimator=model).fit(X_MISSING)
    assert not hasattr(model, "module_")
    assert fitted.estimator_ is not model
    assert repr(fitted.estimator_.likelihood_) == "StudentT()"
    assert fitted.estimator_.hidden_layer_sizes == (8,)
    fitted.set_params(estimator__n_components=1).fit(X)
    assert fitted.estimator_.n_components_ == 1


@both
@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_components": 3}, r"n_components must be .* estimator__n_components"),
        ({"likelihood": "poisson"}, r"likelihood must be .* estimator__likelihood"),
        ({"likelihood": {0: "poisson"}}, r"likelihood must .* estimator__likelihood"),
        ({"max_iter": 7}, r"max_iter must be 'auto' .* Got 7.*estimator__max_iter"),
        ({"handle_unknown": "missing"}, r"handle_unknown .* estimator__handle_unkn"),
    ],
)
def test_setting_beside_an_estimator_names_where_it_belongs(cls, params, message):
    with pytest.raises(ValueError, match=message):
        cls(estimator=small(), **params).fit(X)


@both
def test_setting_that_agrees_with_the_estimator_is_taken(cls):
    model = small(1, likelihood=Gaussian())
    fitted = cls(1, estimator=model, likelihood=Gaussian(), max_iter=3).fit(X)
    np.testing.assert_array_equal(answer(fitted), answer(cls(estimator=model).fit(X)))


@both
@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"estimator": PCA()}, "'estimator' parameter"),
        ({"estimator": small(objective="map")}, "'objective' parameter"),
        ({"estimator": small(objective=ELBO("some"))}, "mean_fraction of ELBO"),
        ({"estimator": small(max_iter=0)}, "'max_iter' parameter"),
        ({"max_iter": 0}, "'max_iter' parameter"),
        ({"handle_unknown": "drop"}, "'handle_unknown' parameter"),
        ({"likelihood": "cauchy"}, "'likelihood' parameter"),
        ({"n_components": 0}, "'n_components' parameter"),
        ({"random_state": "seed"}, "'random_state' parameter"),
    ],
)
def test_wrong_parameter_is_refused(cls, params, message):
    with pytest.raises(ValueError, match=message):
        cls(**params).fit(X)


@both
def test_seed_and_verbosity_of_the_estimator_hold_unless_others_are_given(cls, capsys):
    one = cls(estimator=small()).fit(X_MISSING)
    same = cls(estimator=small(), random_state=0).fit(X_MISSING)
    other = cls(estimator=small(), random_state=1).fit(X_MISSING)
    np.testing.assert_array_equal(answer(one), answer(same))
    assert not np.array_equal(answer(one), answer(other))
    assert not capsys.readouterr().out
    for loud in (cls(estimator=small(verbose=True)), cls(max_iter=3, verbose=True)):
        loud.fit(X_MISSING)
        assert len(capsys.readouterr().out.splitlines()) == 3


class Shrinkage(AddedTerm):
    """The squared posterior mean."""

    name = "shrinkage"

    def term(self, model, batch, noise):
        return model.posterior_mean(batch).square().sum(-1)


@both
@pytest.mark.parametrize(
    ("objective", "mean_fraction", "beta"),
    [("elbo", 0.0, 1.0), (ELBO(), 0.0, 1.0), (ELBO(0.3), 0.3, 0.7)],
)
def test_estimator_gives_no_density_for_reconstructions_unless_told(
    cls, objective, mean_fraction, beta
):
    model = small(objective=objective, likelihood="gaussian")
    fitted = cls(estimator=model).fit(X).estimator_
    assert fitted.objective_.mean_fraction == mean_fraction
    assert fitted.beta_(1, 1) == pytest.approx(beta)
    # Alone, "auto" does trade on these rows.
    trades = model.fit(X).objective_.mean_fraction
    assert trades == (mean_fraction or 0.4)


@both
def test_base_of_an_added_term_is_resolved_for_density_too(cls):
    fitted = cls(estimator=small(objective=Shrinkage(weight=0.1))).fit(X).estimator_
    assert repr(fitted.objective_.base) == "ELBO(mean_fraction=0.0)"
    assert isinstance(fitted.beta_, Constant)


# scikit-learn's protocols


class Watcher:
    """A callback that keeps which of its hooks were called."""

    def __init__(self):
        self.calls = []

    def setup(self, estimator, context):
        self.calls.append("setup")

    def teardown(self, estimator, context):
        self.calls.append("teardown")

    def on_fit_task_begin(self, estimator, context, **kwargs):
        self.calls.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None, **kwargs):
        assert np.isfinite(fitted_estimator.score(X))
        self.calls.append(f"end {context.task_name}")


FIT = ["setup", "begin fit", *["begin epoch", "end epoch"] * 3, "end fit", "teardown"]


@both
def test_callback_follows_each_epoch(cls):
    watcher = Watcher()
    fitted = cls(estimator=small()).set_callbacks(watcher).fit(X)
    assert watcher.calls == FIT
    assert not hasattr(fitted.estimator_, "_skl_callbacks")
    assert answer(clone(fitted).set_callbacks().fit(X)).shape == answer(fitted).shape
    assert watcher.calls == FIT


@both
def test_callbacks_of_the_estimator_are_kept_beside_others(cls):
    watchers = Watcher(), Watcher()
    model = small().set_callbacks(watchers[0])
    cls(estimator=model).set_callbacks(watchers[1]).fit(X)
    assert watchers[0].calls == watchers[1].calls == FIT


def mean_answer(estimator, X, y=None):
    return answer(estimator).mean()


@both
def test_search_sets_parameters_of_the_estimator_and_hands_callbacks_on(cls, capsys):
    watcher = Watcher()
    search = GridSearchCV(
        cls(estimator=small()).set_callbacks(watcher),
        {"estimator__n_components": [1, 2]},
        scoring=mean_answer,
        cv=2,
        error_score="raise",
    )
    search.set_callbacks(ProgressBar(max_propagation_depth=None)).fit(X)
    n_components = search.best_params_["estimator__n_components"]
    assert search.best_estimator_.estimator_.n_components_ == n_components
    assert watcher.calls == FIT * 5
    printed = capsys.readouterr().out
    assert "GridSearchCV" in printed
    assert "VAETransformer" in printed


@both
def test_progress_bar_runs(cls, capsys):
    cls(estimator=small()).set_callbacks(ProgressBar()).fit(X)
    assert "VAETransformer" in capsys.readouterr().out


@both
@pytest.mark.parametrize("kind", ["array", "table"])
def test_fit_validates_the_rows_once(cls, kind, monkeypatch):
    calls = []

    def counted(name):
        function = getattr(_read, name)

        def call(*args, **kwargs):
            calls.append(name)
            return function(*args, **kwargs)

        return call

    for name in ("validate_data", "as_cells", "read_layout"):
        monkeypatch.setattr(_read, name, counted(name))
    rows = X_MISSING
    if kind == "table":
        rows = pd.DataFrame(X, columns=list("abcd")).assign(e=["x", "y", "z"] * 50)
    cls(estimator=small()).fit(rows)
    assert calls.count("validate_data") == calls.count("read_layout") == 1
    assert calls.count("as_cells") == (kind == "array")


@both
def test_columns_of_fit_are_known_and_held_against_others(cls):
    unfitted = cls(estimator=small())
    assert not hasattr(unfitted, "n_features_in_")
    assert not hasattr(unfitted, "feature_names_in_")
    with pytest.raises(NotFittedError, match="not fitted"):
        _ = unfitted.feature_names_in_
    frame = pd.DataFrame(X, columns=list("abcd"))
    fitted = unfitted.fit(frame)
    assert fitted.n_features_in_ == 4
    assert fitted.feature_names_in_.tolist() == list("abcd")
    with pytest.raises(ValueError, match="same order"):
        answer(fitted, frame[list("bacd")])
    assert not hasattr(fitted.fit(X), "feature_names_in_")
