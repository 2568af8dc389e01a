"""Every check of scikit-learn, none expected to fail."""

from unittest import SkipTest

import pytest
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from skvae import (
    AutoencoderTransformer,
    VAEImputer,
    VAEOutlierDetector,
    VAETransformer,
)
from skvae.networks import Perceptron
from skvae.objectives import IWAE

# Fits of a few epochs may leave components idle or not converge, and say so.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*components carry nothing", "ignore:Maximum iterations"
)


def small(cls=VAETransformer, n_components=2, **params):
    return cls(n_components, max_iter=3, tol=None, **params)


NETWORK = Perceptron((8,), "tanh")
# Checks set the parameter n_components to 1, and an estimator must agree with that.
ONE_COMPONENT = small(n_components=1, objective="iwae", encoder=NETWORK)
ESTIMATORS = [
    small(),
    small(AutoencoderTransformer),
    small(
        init="random",
        hidden_layer_sizes=(8,),
        early_stopping=False,
        solver="rmsprop",
    ),
    small(objective=IWAE(3), encoder=NETWORK, beta=2.0, hidden_fraction=0.5),
    small(AutoencoderTransformer, decoder=NETWORK, init="random", solver="sgd"),
    VAEImputer(max_iter=3, n_proposals=16),
    VAEImputer(estimator=ONE_COMPONENT, n_proposals=16, add_indicator=True),
    VAEOutlierDetector(max_iter=3),
    VAEOutlierDetector(estimator=ONE_COMPONENT),
]


@parametrize_with_checks(ESTIMATORS)
def test_estimator_passes_check(estimator, check):
    try:
        check(estimator)
    except SkipTest as skipped:
        pytest.fail(f"The check was skipped: {skipped}")


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_estimator_tags_are_true(estimator):
    tags = get_tags(estimator)
    if tags.transformer_tags is not None:
        assert tags.transformer_tags.preserves_dtype == ["float64", "float32"]
    assert tags.input_tags.allow_nan
    assert tags.input_tags.sparse != isinstance(estimator, VAEImputer)
    assert not tags.non_deterministic
    assert not tags._skip_test
