"""`VAEImputer` stands where `IterativeImputer` stands."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.datasets import load_iris
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from skvae import VAEImputer, VAETransformer
from skvae.likelihoods import Gaussian

IRIS = load_iris()
MISSING = np.random.default_rng(0).random(IRIS.data.shape) < 0.3
MISSING[:, 0] = False
X = np.where(MISSING, np.nan, IRIS.data)
NAMES = ["a", "b", "c", "d"]

pytestmark = pytest.mark.filterwarnings("ignore:Maximum iterations")


def quick(**params):
    return VAEImputer(max_iter=3, n_proposals=64, random_state=0, **params)


@pytest.fixture(scope="module")
def imputer():
    return VAEImputer(max_iter=60, random_state=0).fit(X)


def test_observed_cells_stay_and_others_are_filled(imputer):
    filled = imputer.transform(X)
    np.testing.assert_array_equal(filled[~MISSING], X[~MISSING])
    assert np.isfinite(filled).all()


def test_imputer_beats_the_mean(imputer):
    scale = IRIS.data.std(axis=0)
    ours, theirs = (
        np.square((filled - IRIS.data) / scale)[MISSING].mean()
        for filled in (imputer.transform(X), SimpleImputer().fit_transform(X))
    )
    assert ours < 0.4 * theirs


def test_rows_never_seen_are_filled_whatever_is_missing():
    imputer = VAEImputer(max_iter=60, random_state=0).fit(IRIS.data[::2])
    rows = IRIS.data[1::2].copy()
    rows[:, 1:3] = np.nan
    filled = imputer.transform(rows)
    correlation = np.corrcoef(filled[:, 2], IRIS.data[1::2, 2])[0, 1]
    assert correlation > 0.9


def test_imputer_stands_in_a_pipeline():
    pipeline = make_pipeline(
        VAEImputer(add_indicator=True, max_iter=60, random_state=0),
        LogisticRegression(max_iter=1000),
    )
    assert pipeline.fit(X, IRIS.target).score(X, IRIS.target) > 0.85


def test_indicator_marks_what_was_missing_in_fit():
    imputer = quick(add_indicator=True)
    filled = imputer.fit_transform(X)
    np.testing.assert_array_equal(imputer.indicated_, [1, 2, 3])
    np.testing.assert_array_equal(filled[:, 4:], MISSING[:, 1:])
    assert imputer.transform(IRIS.data).shape == (150, 7)


def test_names_of_columns_are_those_of_scikit_learn():
    imputer = quick(add_indicator=True)
    imputer.fit(pd.DataFrame(X, columns=NAMES))
    theirs = SimpleImputer(add_indicator=True).fit(pd.DataFrame(X, columns=NAMES))
    assert imputer.get_feature_names_out().tolist() == (
        theirs.get_feature_names_out().tolist()
    )


@pytest.mark.parametrize("library", [pd, pl])
def test_tables_come_back_with_types_and_indicators(library):
    grade = ["low", "high", None] * 50
    table = library.DataFrame({**dict(zip(NAMES, X.T, strict=True)), "grade": grade})
    imputer = quick(add_indicator=True)
    filled = imputer.fit_transform(table)
    assert isinstance(filled, library.DataFrame)
    assert list(filled.columns) == list(imputer.get_feature_names_out())
    assert set(filled["grade"]) == {"low", "high"}
    assert list(filled["missingindicator_grade"]) == [False, False, True] * 50


def test_indicators_beside_names_of_several_levels():
    names = pd.MultiIndex.from_product([["a", "b"], ["x", "y"]], names=["one", "two"])
    filled = quick(add_indicator=True).fit_transform(pd.DataFrame(X, columns=names))
    assert filled.columns.names == ["one", "two"]
    assert filled.columns[:4].equals(names)
    np.testing.assert_array_equal(filled["missingindicator_x1"], MISSING[:, 1])


def test_array_of_dates_cannot_hold_indicators():
    dates = np.datetime64("2026", "D") + np.arange(40).reshape(20, 2)
    imputer = quick(add_indicator=True).fit(dates)
    with pytest.raises(ValueError, match=r"Got an array of datetime64.*DataFrame"):
        imputer.transform(dates)


def test_set_output_of_arrays_is_followed():
    imputer = quick().set_output(transform="pandas").fit(X)
    assert imputer.transform(X).columns.tolist() == ["x0", "x1", "x2", "x3"]


def test_dtype_is_kept():
    filled = quick().fit_transform(X.astype(np.float32))
    assert filled.dtype == np.float32


def test_defaults_are_those_of_imputation(imputer):
    model = imputer.estimator_
    assert model.n_components_ == 2
    assert model.hidden_fraction_ == 0.5
    assert model.validation_fraction_ == 0.1
    assert repr(model.likelihood_) == repr(Gaussian(noise="decoder"))
    assert repr(model.objective_) == "IWAE(n_draws=8)"
    assert imputer.n_components == "auto"


def test_only_the_default_model_gets_the_epochs_of_imputation():
    model = VAETransformer(1, hidden_layer_sizes=(4,))
    fits = [VAEImputer(estimator=m, random_state=0).fit(X[:20]) for m in (None, model)]
    assert [fit.estimator_.max_iter_ for fit in fits] == [150, 300]


def test_multiple_imputations_come_from_the_model(imputer):
    drawn = imputer.estimator_.impute(X, n_draws=4)
    assert drawn.shape == (4, 150, 4)
    assert (drawn.std(axis=0)[MISSING] > 0.0).all()


def test_imputer_survives_pickling(imputer):
    copy = pickle.loads(pickle.dumps(imputer))
    np.testing.assert_array_equal(copy.transform(X[:9]), imputer.transform(X[:9]))


def test_wrong_statistic_is_refused():
    with pytest.raises(ValueError, match="'statistic' parameter"):
        VAEImputer(statistic="max").fit(X)
