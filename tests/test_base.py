"""What the estimators share: failed fits change nothing, others say what they did."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from skvae import (
    AutoencoderTransformer,
    VAEImputer,
    VAEOutlierDetector,
    VAETransformer,
    likelihoods,
)
from skvae.networks import Perceptron
from skvae.schedules import OneCycle, Weight

pytestmark = pytest.mark.filterwarnings("ignore:.*components carry nothing")

X = load_iris().data
OTHER = np.c_[X[:60], X[:60]] + 1.0
"""Rows with another number of columns and other statistics."""

SMALL = {"hidden_layer_sizes": (8,), "max_iter": 4, "tol": None, "random_state": 0}
VAE = VAETransformer(2, **SMALL)
ESTIMATORS = [
    VAE,
    AutoencoderTransformer(2, **SMALL),
    VAEImputer(estimator=VAE),
    VAEOutlierDetector(estimator=VAE),
]


class Callback:
    """A callback that ends a task with an error, or with what it is given."""

    def __init__(self, task_name, task_id=0, answer=None):
        self.task = task_name, task_id
        self.answer = answer
        self.is_set_up = False

    def setup(self, estimator, context):
        self.is_set_up = True

    def teardown(self, estimator, context):
        self.is_set_up = False

    def on_fit_task_begin(self, estimator, context, **kwargs):
        assert self.is_set_up

    def on_fit_task_end(self, estimator, context, **kwargs):
        if (context.task_name, context.task_id) == self.task:
            if self.answer is None:
                raise RuntimeError("as asked")
            return self.answer
        return False


FAILURES = {
    "late parameter": {"hidden_layer_sizes": (8, 0)},
    "late spec": {"learning_rate": OneCycle(value=-1.0)},
    "two networks": {"encoder": Perceptron((4,))},
    "device": {"device": "cuda:99"},
    "domain": {"likelihood": "bernoulli"},
    "weights": {"sample_weight": -np.ones(60)},
    "infinite": {"X": np.where(OTHER == OTHER.max(), np.inf, OTHER)},
    "epoch": {"callback": Callback("epoch", 1)},
    "end": {"callback": Callback("fit")},
}


def contents(estimator):
    """Return all that an estimator holds, as bytes."""
    return {name: pickle.dumps(v) for name, v in estimator.__getstate__().items()}


def fail_to_fit(estimator, X=OTHER, sample_weight=None, callback=None, **params):
    """Fit to an error, and check that this leaves nothing behind."""
    prefix = "estimator__" if hasattr(estimator, "estimator") else ""
    estimator.set_params(**{prefix + name: value for name, value in params.items()})
    if callback is not None:
        estimator.set_callbacks(callback)
    before = contents(estimator)
    with pytest.raises((RuntimeError, ValueError)):
        estimator.fit(X, sample_weight=sample_weight)
    assert contents(estimator) == before
    assert callback is None or not callback.is_set_up
    estimator.set_callbacks()


def answers(estimator):
    names = ("transform", "score_samples", "posterior", "impute", "predict")
    return [getattr(estimator, name)(X) for name in names if hasattr(estimator, name)]


@pytest.fixture(scope="module", params=ESTIMATORS, ids=lambda e: type(e).__name__)
def fitted(request):
    return clone(request.param).fit(X)


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_failed_refit_leaves_the_estimator_as_it_was(fitted, failure):
    params, before = fitted.get_params(), answers(fitted)
    fail_to_fit(fitted, **failure)
    for one, other in zip(answers(fitted), before, strict=True):
        np.testing.assert_array_equal(one, other)
    fitted.set_params(**params)


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_failed_first_fit_leaves_the_estimator_unfitted(estimator, failure):
    estimator = clone(estimator)
    fail_to_fit(estimator, **failure)
    with pytest.raises(NotFittedError):
        check_is_fitted(estimator)
    assert not hasattr(estimator, "n_features_in_")
    assert not hasattr(estimator, "feature_names_in_")


class Rising(Weight):
    """A weight with a state: 1 % more after every step."""

    watches = "steps"

    def start(self):
        return 1.0

    def value(self, state, progress):
        return state

    def update(self, state, means, progress):
        return 1.01 * state


@pytest.mark.parametrize("failure", ["device", "weights", "epoch", "end"])
def test_failed_warm_start_leaves_an_unfinished_run_to_be_taken_up(failure):
    vae = clone(VAE).set_params(beta=Rising(), warm_start=True)
    whole = clone(vae).fit(X)
    vae.set_callbacks(Callback("epoch", 0, answer=True)).fit(X)
    failure = (
        {"sample_weight": -np.ones(150)} if failure == "weights" else FAILURES[failure]
    )
    fail_to_fit(vae, X, **failure)
    vae.set_params(device="auto").fit(X)
    assert vae.n_iter_ == whole.n_iter_ == 4
    assert vae.loss_curve_ == whole.loss_curve_
    for one, other in zip(answers(vae), answers(whole), strict=True):
        np.testing.assert_array_equal(one, other)


# What a fit says of its columns

TABLE = pd.DataFrame(X, columns=list("abcd")).assign(
    kind=["x", "y", None] * 50, odd=[True, False] * 75, n=list(range(5)) * 30
)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_fitted_likelihood_can_be_printed_edited_and_passed(estimator):
    def fit(likelihood):
        prefix = "estimator__" if hasattr(estimator, "estimator") else ""
        params = {f"{prefix}likelihood": likelihood}
        fitted = clone(estimator).set_params(**params).fit(TABLE)
        model = getattr(fitted, "estimator_", fitted)
        return model.transform(TABLE), repr(model.likelihood_)

    Z, printed = fit({"n": "poisson"})
    assert "(Poisson(), ['n'])" in printed
    again, same = fit(eval(printed, vars(likelihoods)))
    assert same == printed
    np.testing.assert_array_equal(again, Z)
    edited = printed.replace("Poisson()", "NegativeBinomial()")
    assert fit(eval(edited, vars(likelihoods)))[1] == edited
