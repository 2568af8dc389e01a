"""Missing cells: what they say of a row, and what is filled in."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris, load_wine

from skvae import AutoencoderTransformer, VAETransformer
from skvae.likelihoods import Gaussian
from skvae.objectives import IWAE

pytestmark = pytest.mark.filterwarnings("ignore:.*components carry nothing")


def with_missing(X, fraction, seed=0):
    missing = np.random.default_rng(seed).random(X.shape) < fraction
    return np.where(missing, np.nan, X), missing


X = load_iris().data
X_MISSING, MISSING = with_missing(X, 0.3)


@pytest.fixture(scope="module")
def vae():
    settings = {"objective": "elbo", "max_iter": 60, "tol": None, "sampler": "prior"}
    return VAETransformer(2, random_state=0, **settings).fit(X_MISSING)


@pytest.fixture(scope="module")
def complete():
    """A model that has never seen a missing cell."""
    return VAETransformer(2, max_iter=60, tol=None, random_state=0).fit(X)


@pytest.mark.parametrize("model", ["vae", "complete"])
def test_row_without_observed_cells_has_the_prior(model, request):
    vae, nothing = request.getfixturevalue(model), np.full((2, 4), np.nan)
    mean, std = vae.posterior(nothing)
    np.testing.assert_array_equal(vae.transform(nothing), np.zeros((2, 2)))
    np.testing.assert_array_equal(mean, np.zeros((2, 2)))
    np.testing.assert_array_equal(std, np.ones((2, 2)))
    np.testing.assert_allclose(vae.score_samples(nothing), 0.0, atol=1e-12)


def test_missing_cell_weighs_as_if_the_column_were_absent(vae):
    """The density of a row with one observed cell is that of the cell alone."""
    grid = np.linspace(-5.0, 15.0, 2001)
    rows = np.full((len(grid), 4), np.nan)
    rows[:, 2] = grid
    density = np.exp(vae.score_samples(rows))
    np.testing.assert_allclose(density.sum() * (grid[1] - grid[0]), 1.0, atol=0.02)


@pytest.mark.parametrize("cls", [VAETransformer, AutoencoderTransformer])
@pytest.mark.parametrize("fill", [None, pd.NA, np.nan], ids=repr)
def test_every_kind_of_missing_is_the_same(cls, fill):
    objects = X_MISSING.astype(object)
    objects[MISSING] = fill
    model = cls(2, max_iter=2, tol=None, random_state=0)
    Z = model.fit(objects).transform(objects)
    np.testing.assert_array_equal(Z, model.fit(X_MISSING).transform(X_MISSING))


def test_rows_do_not_depend_on_rows_beside_them(vae):
    rows = np.r_[X_MISSING[:20], X[:5]]
    for answer in (
        vae.transform,
        vae.score_samples,
        vae.impute,
        lambda X: vae.impute(X, statistic="median"),
        lambda X: vae.impute(X, statistic="mode"),
        lambda X: vae.impute(X, n_draws=3).swapaxes(0, 1),
    ):
        together = answer(rows)
        backward = answer(rows[::-1])[::-1]
        alone = np.concatenate([answer(rows[i : i + 1]) for i in range(len(rows))])
        np.testing.assert_allclose(backward, together, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(alone, together, rtol=1e-7, atol=1e-9)


def test_weighted_incomplete_rows_equal_repeated_rows():
    weights = np.random.default_rng(1).integers(0, 3, len(X))
    model = VAETransformer(2, max_iter=2, tol=None, random_state=0)
    weighted = model.fit(X_MISSING, sample_weight=weights).transform(X_MISSING)
    order = np.random.default_rng(2).permutation(weights.sum())
    repeated = model.fit(np.repeat(X_MISSING, weights, axis=0)[order])
    np.testing.assert_array_equal(repeated.transform(X_MISSING), weighted)


def test_posterior_widens_as_cells_go_missing():
    X = load_wine().data
    vae = VAETransformer(2, random_state=0).fit(with_missing(X, 0.3)[0])
    order = np.random.default_rng(3).permutation(X.shape[1])
    widths = []
    for n_missing in range(0, X.shape[1] + 1, 3):
        rows = X.copy()
        rows[:, order[:n_missing]] = np.nan
        widths.append(vae.posterior(rows)[1].mean())
    assert (np.diff(widths) > 0.0).all()


def test_training_with_hidden_cells_reads_rows_that_complete_training_cannot():
    X = load_wine().data
    rows = with_missing(X, 0.5)[0]
    scores = [
        VAETransformer(2, hidden_fraction=fraction, random_state=0).fit(X).score(rows)
        for fraction in (0.0, 0.5)
    ]
    assert scores[1] > scores[0]


@pytest.mark.parametrize("statistic", ["mean", "median", "mode"])
def test_imputation_touches_no_observed_cell(vae, statistic):
    filled = vae.impute(X_MISSING, statistic=statistic)
    np.testing.assert_array_equal(filled[~MISSING], X[~MISSING])
    assert np.isfinite(filled).all()


def test_imputation_is_better_than_the_mean(vae):
    filled = vae.impute(X_MISSING)
    means = np.broadcast_to(np.nanmean(X_MISSING, axis=0), X.shape)
    scale = X.std(axis=0)
    error, base = (
        np.square((rows - X) / scale)[MISSING].mean() for rows in (filled, means)
    )
    assert error < 0.5 * base


def test_imputation_of_rows_never_seen(vae):
    new = with_missing(X, 0.5, seed=9)[0]
    assert np.isfinite(vae.impute(new)).all()


def test_imputation_of_complete_rows_is_no_change(vae):
    np.testing.assert_array_equal(vae.impute(X), X)
    np.testing.assert_array_equal(vae.impute(X, n_draws=2), [X, X])


def test_imputation_is_the_conditional_mean_of_a_linear_model():
    """Against the exact conditional of the normal that a linear model is."""
    params = dict(hidden_layer_sizes=(), likelihood=Gaussian(), early_stopping=False)
    params |= {"sampler": "prior", "random_state": 0}
    vae = VAETransformer(2, **params, max_iter=1, tol=None)
    vae.set_params(learning_rate=1e-9).fit(X)
    loadings = vae.inverse_transform(np.eye(2)) - vae.inverse_transform(
        np.zeros((1, 2))
    )
    mean = vae.inverse_transform(np.zeros((1, 2)))[0]
    std = vae.module_.likelihood.std().detach().numpy()
    covariance = loadings.T @ loadings + np.diag(std**2)
    rows = X[::30].copy()
    rows[:, [1, 3]] = np.nan
    seen, gone = [0, 2], [1, 3]
    weights = covariance[np.ix_(gone, seen)] @ np.linalg.inv(
        covariance[np.ix_(seen, seen)]
    )
    expected = mean[gone] + (rows[:, seen] - mean[seen]) @ weights.T
    filled = vae.impute(rows, n_proposals=1 << 15)
    np.testing.assert_allclose(filled[:, gone], expected, atol=0.02)
    drawn = vae.impute(np.repeat(rows[:1], 1, axis=0), n_draws=20_000)[:, 0, gone]
    np.testing.assert_allclose(drawn.mean(axis=0), expected[0], atol=0.05)
    conditional = (
        covariance[np.ix_(gone, gone)] - weights @ (covariance[np.ix_(seen, gone)])
    )
    np.testing.assert_allclose(np.cov(drawn.T), conditional, atol=0.05)


def test_draws_of_rows_are_independent_of_each_other(vae):
    rows = np.full((300, 4), np.nan)
    rows[:, 0] = 5.8 + 1e-6 * np.arange(300)
    drawn = vae.impute(rows, n_draws=2)[:, :, 2]
    assert abs(np.corrcoef(drawn)[0, 1]) < 0.2
    assert drawn.std() > 0.5


def test_category_is_imputed_by_what_goes_with_it():
    iris = load_iris(as_frame=True)
    names = np.array(["setosa", "versicolor", "virginica"])
    frame = iris.data.assign(kind=names[iris.target])
    frame.loc[::3, "kind"] = None
    frame["kind"] = frame["kind"].astype("category")
    vae = VAETransformer(2, sampler="prior", random_state=0).fit(frame)
    for statistic in ("median", "mode"):
        other = vae.impute(frame, statistic=statistic)
        assert (other["kind"] == vae.impute(frame)["kind"]).all()
    filled, drawn = vae.impute(frame), vae.impute(frame, n_draws=2)[0]
    likely, by_chance = (
        (rows["kind"].to_numpy() == names[iris.target])[::3].mean()
        for rows in (filled, drawn)
    )
    assert likely > 0.8
    assert 0.5 < by_chance <= likely


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"statistic": "max"}, "statistic must be one of"),
        ({"n_draws": 0}, "n_draws must be a positive integer"),
        ({"n_proposals": 1.5}, "n_proposals must be a positive integer"),
    ],
)
def test_wrong_parameter_of_impute_is_refused(vae, params, message):
    with pytest.raises(ValueError, match=message):
        vae.impute(X_MISSING, **params)


def test_importance_weighted_training_runs_on_incomplete_rows(untouched):
    vae = VAETransformer(2, objective=IWAE(5), max_iter=3, tol=None, random_state=0)
    assert np.isfinite(vae.fit(X_MISSING).impute(X_MISSING)).all()


def test_categories_get_the_most_likely_one_as_median_too():
    rng = np.random.default_rng(0)
    # The middle code is the rarest: the median code would often be that one.
    codes = rng.choice([0.0, 1.0, 2.0], size=(300, 2), p=[0.45, 0.1, 0.45])
    rows = with_missing(np.c_[codes, rng.normal(size=300)], 0.4)[0]
    likelihood = {0: "categorical", 1: "categorical"}
    vae = VAETransformer(
        1, likelihood=likelihood, max_iter=2, tol=None, random_state=0
    ).fit(rows)
    median, mean = (vae.impute(rows, statistic=s) for s in ("median", "mean"))
    np.testing.assert_array_equal(median[:, :2], mean[:, :2])
    assert not np.array_equal(median[:, 2], mean[:, 2])
