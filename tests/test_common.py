"""Every check of scikit-learn, none expected to fail."""

import pytest
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

from skvae import (
    AutoencoderTransformer,
    VAEImputer,
    VAEOutlierDetector,
    VAETransformer,
)

# Fits of a few epochs may leave components idle, and say so.
pytestmark = pytest.mark.filterwarnings("ignore:.*components carry nothing")

# tol=None: a fit of three epochs would rightly be warned about.
ESTIMATORS = [
    VAETransformer(max_iter=3, tol=None),
    AutoencoderTransformer(max_iter=3, tol=None),
    VAETransformer(
        max_iter=3,
        tol=None,
        init="random",
        hidden_layer_sizes=(8,),
        early_stopping=False,
        solver="rmsprop",
    ),
    VAEImputer(max_iter=3, tol=None, n_proposals=16),
    VAEImputer(max_iter=3, tol=None, n_proposals=16, add_indicator=True),
    VAEOutlierDetector(max_iter=3, tol=None),
]


@parametrize_with_checks(ESTIMATORS)
def test_estimator_passes_check(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_estimator_skips_no_check(estimator):
    results = check_estimator(estimator, on_skip=None)
    assert {result["status"] for result in results} == {"passed"}


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_estimator_tags_are_true(estimator):
    tags = get_tags(estimator)
    if tags.transformer_tags is not None:
        assert tags.transformer_tags.preserves_dtype == ["float64", "float32"]
    assert tags.input_tags.allow_nan
    assert tags.input_tags.sparse != isinstance(estimator, VAEImputer)
    assert not tags.non_deterministic
    assert not tags._skip_test
