"""`VAEOutlierDetector` keeps the contract of scikit-learn's outlier detectors."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import roc_auc_score

from skvae import VAEOutlierDetector, VAETransformer
from skvae.table import as_cells

pytestmark = pytest.mark.filterwarnings("ignore:Maximum iterations")

GENERATOR = np.random.default_rng(0)
INLIERS = GENERATOR.normal(size=(190, 3)) @ GENERATOR.normal(size=(3, 6))
OUTLIERS = 4.0 * GENERATOR.normal(size=(10, 6))
X = np.r_[INLIERS, OUTLIERS] + 0.1 * GENERATOR.normal(size=(200, 6))
IS_OUTLIER = np.r_[np.zeros(190), np.ones(10)]


@pytest.fixture(scope="module")
def detector():
    model = VAETransformer(3, max_iter=60, tol=None, random_state=0)
    return VAEOutlierDetector(estimator=model, contamination=0.05).fit(X)


def test_outliers_score_below_others(detector):
    assert roc_auc_score(IS_OUTLIER, -detector.score_samples(X)) > 0.99


def test_contamination_is_the_fraction_of_outliers_in_training(detector):
    assert (detector.predict(X) == -1).sum() == 10


def test_answers_agree_with_each_other(detector):
    scores = detector.score_samples(X)
    decision = detector.decision_function(X)
    np.testing.assert_allclose(decision, scores - detector.offset_)
    np.testing.assert_array_equal(detector.predict(X), np.where(decision < 0, -1, 1))
    np.testing.assert_array_equal(detector.predict(X[::-1])[::-1], detector.predict(X))


def test_scale_of_scores_is_that_of_the_training_rows(detector):
    scores = detector.score_samples(X)
    # Each surprise has half of the rows above 0 and 2 of 200 above 1.
    assert (scores < 0.0).sum() >= 100
    assert 2 <= (scores < -1.0).sum() <= 4
    usual, large = detector._usual, detector._usual + detector._span
    surprises = detector._surprises(as_cells(X))
    np.testing.assert_array_equal((surprises > usual).sum(axis=0), 100)
    np.testing.assert_array_equal((surprises > large).sum(axis=0), 2)


def test_fit_predict_is_fit_then_predict(detector):
    np.testing.assert_array_equal(detector.fit_predict(X), detector.predict(X))


def test_weighted_rows_move_the_threshold_as_repeated_rows_do():
    weights = GENERATOR.integers(0, 4, len(X))
    params = {"max_iter": 2, "random_state": 0}
    weighted = VAEOutlierDetector(**params).fit(X, sample_weight=weights)
    repeated = VAEOutlierDetector(**params).fit(np.repeat(X, weights, axis=0))
    np.testing.assert_allclose(weighted.offset_, repeated.offset_, rtol=1e-9)


def test_incomplete_and_mixed_rows_are_scored():
    frame = pd.DataFrame(X[:, :3], columns=["a", "b", "c"])
    frame["kind"] = np.where(X[:, 0] > 0.0, "high", "low")
    frame.loc[::7, "b"] = np.nan
    detector = VAEOutlierDetector(max_iter=30, random_state=0).fit(frame)
    odd = frame.iloc[[1]].assign(kind="low" if frame.kind[1] == "high" else "high")
    usual, unusual = detector.score_samples(pd.concat([frame.iloc[[1]], odd]))
    assert unusual < usual


@pytest.mark.parametrize("contamination", [0.0, 0.7, "some"])
def test_wrong_contamination_is_refused(contamination):
    with pytest.raises(ValueError, match="'contamination' parameter"):
        VAEOutlierDetector(contamination=contamination).fit(X)


def test_malignant_tumors_among_benign_ones_are_found():
    rows, benign = load_breast_cancer(return_X_y=True)
    rows = np.r_[rows[benign == 1], rows[benign == 0][:20]]
    truth = np.r_[np.zeros((benign == 1).sum()), np.ones(20)]
    scores = VAEOutlierDetector(random_state=0).fit(rows).score_samples(rows)
    assert roc_auc_score(truth, -scores) > 0.8
