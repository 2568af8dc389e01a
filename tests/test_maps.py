"""Measures of a map, against a plain computation of each row by itself."""

import numpy as np
import pytest
import scipy.sparse
import sklearn
from numpy.testing import assert_allclose
from scipy.spatial.distance import cdist
from scipy.stats import spearmanr
from sklearn.manifold import trustworthiness as sklearn_trustworthiness

from skvae import inspection

MEASURES = [
    inspection.neighbor_recall,
    inspection.neighbor_recall_samples,
    inspection.trustworthiness,
    inspection.continuity,
    inspection.rank_correlation,
]
every_measure = pytest.mark.parametrize("measure", MEASURES, ids=lambda f: f.__name__)


@pytest.fixture(scope="module")
def spaces():
    """Training rows and their map, other rows and theirs."""
    random = np.random.default_rng(0)
    X = random.normal(size=(90, 5))
    Z = X[:, :2] + 0.3 * random.normal(size=(90, 2))
    return X[:60], Z[:60], X[60:], Z[60:]


def _ranks(rows, train):
    """Return at which place each training row is, by distance from each row."""
    return cdist(rows, train).argsort(axis=1).argsort(axis=1) + 1


def test_recall_is_the_fraction_of_common_neighbors(spaces):
    X_train, Z_train, X, Z = spaces
    common = (_ranks(X, X_train) <= 7) & (_ranks(Z, Z_train) <= 7)
    recall = inspection.neighbor_recall_samples(*spaces, n_neighbors=7)
    assert_allclose(recall, common.sum(axis=1) / 7)
    assert inspection.neighbor_recall(*spaces, n_neighbors=7) == recall.mean()


def test_trustworthiness_is_that_of_the_formula(spaces):
    X_train, Z_train, X, Z = spaces
    n, m, k = len(X), len(X_train), 7
    in_x, in_z = _ranks(X, X_train), _ranks(Z, Z_train)

    def of(true, mapped):
        penalty = np.where(mapped <= k, np.maximum(true - k, 0), 0).sum()
        return 1 - 2 * penalty / (n * k * (2 * m - 3 * k + 1))

    found = [f(*spaces, n_neighbors=k) for f in MEASURES[2:4]]
    assert found == pytest.approx([of(in_x, in_z), of(in_z, in_x)])


def test_trustworthiness_of_training_rows_is_that_of_scikit_learn(spaces):
    X, Z = spaces[:2]
    expected = sklearn_trustworthiness(X, Z, n_neighbors=15)
    assert inspection.trustworthiness(X, Z) == pytest.approx(expected)
    expected = sklearn_trustworthiness(Z, X, n_neighbors=15)
    assert inspection.continuity(X, Z) == pytest.approx(expected)


def test_rank_correlation_is_spearmans(spaces):
    X_train, Z_train, X, Z = spaces
    pairs = zip(cdist(X, X_train), cdist(Z, Z_train), strict=True)
    expected = np.mean([spearmanr(*pair).statistic for pair in pairs])
    assert inspection.rank_correlation(*spaces) == pytest.approx(expected)


def test_rank_correlation_of_training_rows_leaves_out_each_row_itself(spaces):
    X, Z = spaces[:2]
    others = ~np.eye(len(X), dtype=bool)
    in_x, in_z = (cdist(A, A)[others].reshape(len(X), -1) for A in (X, Z))
    expected = np.mean([spearmanr(*p).statistic for p in zip(in_x, in_z, strict=True)])
    assert inspection.rank_correlation(X, Z) == pytest.approx(expected)


def test_accuracy_is_the_fraction_of_rows_whose_neighbors_tell_their_class():
    Z_train, y_train = [[0.0], [1.0], [10.0], [11.0]], ["a", "a", "b", "b"]
    accuracy = inspection.neighbor_accuracy(
        Z_train, y_train, [[0.4], [10.4], [10.6], [0.6]], list("abab"), n_neighbors=1
    )
    assert accuracy == 0.5


@every_measure
def test_map_that_changes_nothing_is_perfect(measure, spaces):
    X_train, _, X, _ = spaces
    assert_allclose(measure(X_train, 3.0 * X_train, X, 3.0 * X), 1.0)
    assert_allclose(measure(X_train, X_train), 1.0)


@every_measure
def test_random_map_gets_what_is_expected_of_one(measure):
    random = np.random.default_rng(0)
    X, Z = random.normal(size=(600, 4)), random.normal(size=(600, 2))
    expected = {"rank_correlation": 0.0, "neighbor_recall": 15 / 599}
    expected["neighbor_recall_samples"] = 15 / 599
    value = np.mean(measure(X, Z))
    assert value == pytest.approx(expected.get(measure.__name__, 0.5), abs=0.02)


@every_measure
def test_answers_do_not_depend_on_chunks_offset_or_storage(measure, spaces):
    expected = measure(*spaces)
    X_train, Z_train, X, Z = spaces
    with sklearn.config_context(working_memory=0.01):
        assert_allclose(measure(*spaces), expected)
    assert_allclose(measure(X_train + 1e7, Z_train, X + 1e7, Z - 0.0), expected)
    stored = map(scipy.sparse.csr_array, (X_train, X))
    of_train, of_rows = stored
    assert_allclose(measure(of_train, Z_train, of_rows, Z), expected)


@every_measure
def test_equal_rows_are_equally_near(measure):
    X = np.repeat(np.random.default_rng(0).normal(size=(20, 3)), 4, axis=0)
    assert_allclose(measure(X, X), 1.0)
    assert np.isfinite(measure(np.zeros((40, 3)), X[:40])).all()


@every_measure
def test_rows_must_fit_together(measure, spaces):
    X_train, Z_train, X, Z = spaces
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        measure(X_train, Z_train[1:], X, Z)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        measure(X_train, Z_train, X, Z[1:])
    with pytest.raises(ValueError, match="X must have as many columns as X_train, 5"):
        measure(X_train, Z_train, X[:, 1:], Z)
    with pytest.raises(ValueError, match="contains NaN"):
        measure(X_train, Z_train, np.where(X > 1, np.nan, X), Z)


@pytest.mark.parametrize("measure", MEASURES[:4], ids=lambda f: f.__name__)
@pytest.mark.parametrize("n_neighbors", [31, 0, 2.0])
def test_number_of_neighbors_must_fit_the_rows(measure, n_neighbors, spaces):
    message = "positive integer, at most half of the other training rows, 60. Got"
    with pytest.raises(ValueError, match=message):
        measure(*spaces, n_neighbors=n_neighbors)


@every_measure
def test_only_one_of_the_two_spaces_given_is_an_error(measure, spaces):
    X_train, Z_train, X, Z = spaces
    with pytest.raises(ValueError, match="X and Z must both be given, or neither"):
        measure(X_train, Z_train, X)
    with pytest.raises(ValueError, match="X and Z must both be given, or neither"):
        measure(X_train, Z_train, Z=Z)
