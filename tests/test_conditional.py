"""Rows of which some cells are given."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_iris

from skvae import VAETransformer
from skvae.likelihoods import Gaussian

pytestmark = pytest.mark.filterwarnings("ignore:.*components carry nothing")

X = load_iris().data
FRAME = load_iris(as_frame=True).data.assign(
    kind=pd.Categorical(load_iris().target_names[load_iris().target]),
    count=np.arange(150) % 7,
    seen=pd.date_range("2020-01-01", periods=150).to_numpy(),
)
LONG = "sepal length (cm)"


def linear(**params):
    """Return a model that stays at probabilistic PCA, and its mean and covariance."""
    options = {"hidden_layer_sizes": (), "likelihood": Gaussian(), "max_iter": 1}
    options |= {"tol": None, "early_stopping": False, "learning_rate": 1e-12}
    vae = VAETransformer(2, **options, **params, sampler="prior", random_state=0).fit(X)
    origin = vae.inverse_transform(np.zeros((1, 2)))
    loadings = vae.inverse_transform(np.eye(2)) - origin
    noise = vae.module_.likelihood.std().detach().numpy() ** 2
    return vae, origin[0], loadings.T @ loadings + np.diag(noise)


@pytest.fixture(scope="module")
def table():
    return VAETransformer(3, max_iter=40, tol=None, random_state=0).fit(FRAME)


@pytest.mark.parametrize("seen", [[0], [0, 2], [0, 1, 2]])
@pytest.mark.parametrize("value", [0.0, 2.0])
def test_draws_are_from_the_conditional_of_a_linear_model(seen, value):
    vae, mean, covariance = linear()
    free = [j for j in range(4) if j not in seen]
    std = np.sqrt(np.diag(covariance))
    cells = {j: mean[j] + value * std[j] * (1 if j != 1 else -1) for j in seen}
    rows = vae.sample(8000, random_state=0, given=cells)
    weights = covariance[np.ix_(free, seen)] @ np.linalg.inv(
        covariance[np.ix_(seen, seen)]
    )
    expected = mean[free] + weights @ (np.array([*cells.values()]) - mean[seen])
    left = covariance[np.ix_(free, free)] - weights @ covariance[np.ix_(seen, free)]
    assert_array_equal(rows[:, seen], np.tile([*cells.values()], (8000, 1)))
    found = (rows[:, free] - expected) / std[free]
    assert_allclose(found.mean(0), 0.0, atol=0.06)
    scale = np.outer(std[free], std[free])
    assert_allclose(np.cov(found.T), left / scale, atol=0.08)


def test_rows_have_the_given_cells_exactly(table):
    given = {"kind": "virginica", "count": 6, "seen": pd.Timestamp("2020-03-01")}
    rows = table.sample(20, random_state=0, given=given)
    assert list(rows.columns) == list(FRAME.columns)
    assert (rows.dtypes == FRAME.dtypes).all()
    for name, value in given.items():
        assert (rows[name] == value).all()
    assert rows[LONG].nunique() == 20


def test_rows_fit_to_what_is_given(table):
    petals = [
        table.sample(300, random_state=0, given={"kind": kind})["petal length (cm)"]
        for kind in load_iris().target_names
    ]
    means = [lengths.mean() for lengths in petals]
    assert means[0] + 1.0 < means[1] < means[2] - 0.5


def test_partial_rows_are_completed_one_by_one(table):
    given = FRAME.iloc[[0, 100]][["kind", LONG]].copy()
    given[LONG] = [np.nan, 6.3]
    rows = table.sample(random_state=0, given=given)
    assert len(rows) == 2
    assert list(rows["kind"]) == list(given["kind"])
    assert rows[LONG].iloc[1] == 6.3
    several = table.sample(3, random_state=0, given=given)
    assert list(several["kind"]) == [given["kind"].iloc[i] for i in (0, 0, 0, 1, 1, 1)]


def test_given_rows_may_be_of_another_library_or_an_array(table):
    given = pl.DataFrame({"kind": ["setosa"]})
    assert (table.sample(4, given=given)["kind"] == "setosa").all()
    vae = VAETransformer(2, max_iter=3, tol=None, random_state=0).fit(X)
    rows = np.full((2, 4), np.nan)
    rows[:, 1] = [3.0, 2.5]
    assert_array_equal(vae.sample(given=rows)[:, 1], [3.0, 2.5])
    assert_array_equal(vae.sample(2, given={1: 3.0})[:, 1], [3.0, 3.0])


def test_draws_repeat_with_their_seed_and_vary_without(table):
    given = {"kind": "setosa"}
    first, second = (table.sample(5, 1, given=given) for _ in range(2))
    assert first.equals(second)
    assert not first.equals(table.sample(5, given=given))


def test_means_given_cells_are_expectations(table):
    rows = table.sample(5, 0, given={"kind": "setosa"}, kind="mean")
    assert (rows["kind"] == "setosa").all()


def test_given_cells_that_are_all_free_are_no_condition():
    vae, mean, covariance = linear()
    rows = vae.sample(4000, 0, given=np.full((1, 4), np.nan))
    std = np.sqrt(np.diag(covariance))
    assert_allclose((rows.mean(0) - mean) / std, 0.0, atol=0.06)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "given must name a column. Got an empty dict"),
        ({"color": "red"}, "given must name columns of X: .*Got 'color'"),
        ({"kind": "rosa"}, "Column 'kind' must hold categories seen in fit"),
        ({LONG: np.inf}, "X must be finite"),
        (np.zeros((1, 3)), "given must have the 7 columns of X"),
    ],
)
def test_wrong_cells_are_refused_in_words(table, given, message):
    with pytest.raises(ValueError, match=message):
        table.sample(2, given=given)


def test_very_improbable_cells_are_warned_of(monkeypatch):
    monkeypatch.setattr("skvae.estimators._conditional.N_LAST_MOVES", 0)
    monkeypatch.setattr("skvae.estimators._conditional.N_MOVES", 0)
    vae, mean, _ = linear()
    with pytest.warns(UserWarning, match="only .* differ, given row 0"):
        vae.sample(100, 0, given={0: mean[0] + 50.0, 2: mean[2] - 50.0})


def test_cells_are_missing_together_as_in_fit():
    holed = FRAME.copy()
    holed.loc[::3, [LONG, "kind"]] = None
    vae = VAETransformer(2, max_iter=3, tol=None, random_state=0).fit(holed)
    rows = vae.sample(600, random_state=0, missing="as_in_fit")
    assert_array_equal(rows[LONG].isna(), rows["kind"].isna())
    assert rows["kind"].isna().mean() == pytest.approx(1 / 3, abs=0.06)
    assert not rows.drop(columns=[LONG, "kind"]).isna().any(axis=None)
    assert not vae.sample(50, random_state=0).isna().any(axis=None)
    given = vae.sample(50, 0, given={"kind": "setosa"}, missing="as_in_fit")
    assert (given["kind"] == "setosa").all()
    assert given[LONG].isna().any()


def test_complete_rows_have_no_gaps_to_repeat(table):
    assert not table.sample(20, 0, missing="as_in_fit").isna().any(axis=None)
    with pytest.raises(ValueError, match="missing must be None or 'as_in_fit'"):
        table.sample(2, missing=True)


@pytest.mark.parametrize("kind", ["pandas", "polars", "array", "dates"])
def test_gaps_come_back_in_what_was_fitted(kind):
    random = np.random.default_rng(0)
    missing = random.random((80, 2)) < 0.3
    if kind == "dates":
        days = np.datetime64("2020-01-01") + random.integers(0, 999, (80, 2))
        rows = np.where(missing, np.datetime64("NaT"), days)
    else:
        rows = np.where(missing, np.nan, random.normal(size=(80, 2)))
    table = {"pandas": pd.DataFrame, "polars": pl.DataFrame}.get(kind, np.asarray)(rows)
    vae = VAETransformer(1, max_iter=3, tol=None, random_state=0).fit(table)
    drawn = vae.sample(500, 0, missing="as_in_fit")
    assert type(drawn) is type(table)
    gaps = pd.isna(np.asarray(drawn))
    assert_allclose(gaps.mean(axis=0), missing.mean(axis=0), atol=0.08)
    again = vae.sample(500, 0)
    assert not pd.isna(np.asarray(again)).any()
    assert_array_equal(np.asarray(again)[~gaps], np.asarray(drawn)[~gaps])
