"""`surprise` and `explain` say which cells make a row unusual."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
from scipy.stats import norm
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.exceptions import NotFittedError

from skvae import (
    AutoencoderTransformer,
    ExplanationDisplay,
    VAEOutlierDetector,
    VAETransformer,
    load,
)
from skvae.likelihoods import Gaussian

pytestmark = pytest.mark.filterwarnings("ignore:Maximum iterations")

GENERATOR = np.random.default_rng(0)
LINEAR = {
    "hidden_layer_sizes": (),
    "likelihood": Gaussian(),
    "sampler": "prior",
    "early_stopping": False,
    "learning_rate": 1e-9,
    "max_iter": 1,
    "tol": None,
    "random_state": 0,
}
"""Settings of a fit that is probabilistic PCA."""

SHORT = {"max_iter": 8, "tol": None, "random_state": 0}


def mixed_table():
    """Return a table with text, truths, dates, gaps and a column named "latent"."""
    wine = load_wine(as_frame=True)
    table = wine.data.iloc[:, :3].rename(columns={"ash": "latent"})
    table["kind"] = wine.target_names[wine.target]
    table["strong"] = table["alcohol"] > 13
    table["day"] = pd.Timestamp("2026-01-01") + pd.to_timedelta(wine.target, unit="D")
    table.loc[::5, "latent"] = np.nan
    table.loc[::7, "kind"] = None
    return table


TABLE = mixed_table()


@pytest.fixture(scope="module")
def linear():
    """Return a linear model, for which all is known in closed form."""
    X = GENERATOR.normal(size=(300, 2)) @ GENERATOR.normal(size=(2, 5))
    X = (X + 0.5 * GENERATOR.normal(size=X.shape)) * [1.0, 100.0, 1.0, 0.01, 1.0]
    return VAETransformer(2, **LINEAR).fit(X), X[:40]


@pytest.fixture(scope="module")
def mixed():
    return VAETransformer(2, hidden_layer_sizes=32, **SHORT).fit(TABLE)


@pytest.fixture(scope="module")
def detector():
    model = VAETransformer(2, sampler="prior", hidden_layer_sizes=32, **SHORT)
    return VAEOutlierDetector(estimator=model).fit(TABLE)


def moments(vae):
    """Return mean, loadings (D, 2) and variances of the noise of a linear model."""
    mean = vae.inverse_transform([[0.0, 0.0]])[0]
    loadings = (vae.inverse_transform(np.eye(2)) - mean).T
    std = vae.module_.likelihood.std().detach().numpy()
    return mean, loadings, np.square(std)


def given_others(x, j, mean, covariance):
    """Return -log p(x_j given the others) under a normal distribution."""
    rest = np.delete(np.arange(len(x)), j)
    slope = np.linalg.solve(covariance[np.ix_(rest, rest)], covariance[rest, j])
    center = mean[j] + slope @ (x - mean)[rest]
    variance = covariance[j, j] - slope @ covariance[rest, j]
    return -norm.logpdf(x[j], center, np.sqrt(variance))


# Truth


def test_surprise_is_that_of_the_conditional_distribution(linear):
    vae, X = linear
    mean, loadings, noise = moments(vae)
    covariance = loadings @ loadings.T + np.diag(noise)
    truth = [[given_others(x, j, mean, covariance) for j in range(5)] for x in X]
    errors = np.abs(vae.surprise(X) - truth)
    assert errors.max() < 0.3
    assert errors.mean() < 0.03


def test_contributions_are_means_over_the_posterior(linear):
    vae, X = linear
    mean, loadings, noise = moments(vae)
    covariance = np.linalg.inv(np.eye(2) + loadings.T @ (loadings / noise[:, None]))
    z = (X - mean) / noise @ loadings @ covariance
    spread = np.einsum("jk,kl,jl->j", loadings, covariance, loadings)
    truth = -norm.logpdf(X, mean + z @ loadings.T, np.sqrt(noise)) + spread / noise / 2
    kl = 0.5 * (np.trace(covariance) + np.square(z).sum(1) - 2)
    kl -= 0.5 * np.linalg.slogdet(covariance)[1]
    explained = vae.explain(X)
    np.testing.assert_allclose(explained[:, :5], truth, atol=0.1)
    np.testing.assert_allclose(explained[:, 5], kl, atol=0.1)


def test_contributions_to_the_surprise_of_single_cells_are_their_own(detector):
    """Of rows that are more surprising cell by cell: -log p of independent columns."""
    extreme = TABLE[:1].assign(alcohol=60.0)
    assert detector.row_surprises(extreme).argmax() == 1
    usual, far = (detector.explain(TABLE[:1].assign(alcohol=x)) for x in (13.0, 60.0))
    std, mean = TABLE["alcohol"].std(), TABLE["alcohol"].mean()
    # Most of the squared distance, since the scale of scores has only a few hundred.
    assert far["alcohol"][0] > 0.9 * -detector.score_samples(extreme)[0]
    assert np.square((60.0 - mean) / std) / 2 > 100
    assert usual["alcohol"][0] < 1.0


# Sums


@pytest.mark.parametrize("baseline", [None, "usual"])
def test_contributions_add_up(mixed, baseline):
    rows = TABLE[:40]
    total = mixed.explain(rows, baseline=baseline).to_numpy().sum(axis=1)
    np.testing.assert_allclose(total, -mixed.score_samples(rows), atol=1e-9)


def test_contributions_of_a_detector_add_up(detector):
    far = TABLE[:40].assign(alcohol=np.linspace(13.0, 30.0, 40))
    total = detector.explain(far).to_numpy().sum(axis=1)
    np.testing.assert_allclose(total, -detector.score_samples(far), atol=1e-9)
    surprises = detector.row_surprises(far)
    np.testing.assert_array_equal(total.round(6), surprises.max(axis=1).round(6))
    # Both kinds are there.
    assert set(surprises.argmax(axis=1)) == {0, 1}


def test_contributions_of_float32_rows_add_up_to_their_digits(linear):
    vae, X = linear
    explained = vae.explain(X.astype(np.float32))
    assert explained.dtype == np.float32
    scores = vae.score_samples(X.astype(np.float32))
    np.testing.assert_allclose(explained.sum(axis=1), -scores, rtol=1e-5, atol=1e-4)


# Baseline


def test_units_do_not_move_contributions_beyond_what_is_usual():
    X = GENERATOR.normal(size=(200, 3)) @ GENERATOR.normal(size=(3, 4))
    plain, large = (
        VAETransformer(2, **LINEAR).fit(X * u) for u in (1.0, [1e6, 1, 1, 1])
    )
    usual = {"baseline": "usual"}
    given = X[:20], X[:20] * [1e6, 1, 1, 1]
    for name in ("surprise", "explain"):
        one, two = (
            getattr(vae, name)(rows, **usual)
            for vae, rows in zip((plain, large), given, strict=True)
        )
        np.testing.assert_allclose(one[:, :4], two[:, :4], atol=1e-3)


def test_rows_of_the_model_contribute_what_is_usual(linear):
    vae, _ = linear
    drawn = vae.sample(2000, random_state=0)
    explained = vae.explain(drawn, baseline="usual")[:, :-1]
    np.testing.assert_allclose(np.median(explained, axis=0), 0.0, atol=0.1)


# Cells


def test_missing_cells_have_no_surprise_and_contribute_nothing(mixed, detector):
    rows = TABLE[:16]
    missing = mixed.missing_cells(rows)
    assert missing.any()
    np.testing.assert_array_equal(np.isnan(mixed.surprise(rows)), missing)
    for explained in (
        mixed.explain(rows),
        mixed.explain(rows, baseline="usual"),
        detector.explain(rows),
    ):
        assert (explained.to_numpy()[:, :-1][missing] == 0.0).all()


def test_an_empty_row_has_nothing_to_explain(mixed):
    empty = TABLE[:2].mask(np.ones((2, 6), dtype=bool))
    assert (mixed.explain(empty) == 0.0).all(axis=None)
    assert mixed.surprise(empty).isna().all(axis=None)


def test_a_single_observed_cell_is_as_surprising_as_its_row(mixed):
    one = TABLE[:3].mask(np.tile(np.arange(6) > 0, (3, 1)))
    surprise = mixed.surprise(one)["alcohol"]
    np.testing.assert_allclose(surprise, -mixed.score_samples(one))


@pytest.mark.parametrize("name", ["surprise", "explain"])
def test_a_row_is_explained_by_itself(mixed, name):
    together = getattr(mixed, name)(TABLE[:12])
    alone = getattr(mixed, name)(TABLE[7:8])
    np.testing.assert_allclose(together[7:8], alone, atol=1e-9)


# What comes back


@pytest.mark.parametrize("name", ["surprise", "explain"])
def test_tables_come_back_as_tables(mixed, name):
    rows = TABLE[:5].set_axis(list("vwxyz"))
    answer = getattr(mixed, name)(rows)
    more = ["latent_"] if name == "explain" else []
    assert list(answer.columns) == [*TABLE.columns, *more]
    assert list(answer.index) == list("vwxyz")


def test_tables_of_polars_come_back_as_such():
    wine = load_wine(as_frame=True)
    X = pl.from_pandas(wine.data.iloc[:, :4])
    vae = VAETransformer(2, **LINEAR).fit(X)
    gap = X[:4].with_columns(ash=pl.lit(None, dtype=pl.Float64))
    assert vae.explain(gap).columns == [*X.columns, "latent"]
    assert vae.surprise(gap)["ash"].is_nan().all()


def test_column_names_of_several_levels_stay():
    X = pd.DataFrame(GENERATOR.normal(size=(30, 2)))
    X.columns = pd.MultiIndex.from_tuples([("a", "x"), ("latent", "y")])
    vae = VAETransformer(1, **LINEAR).fit(X)
    assert [*vae.explain(X).columns] == [*X.columns, ("latent_", "")]


def test_sparse_rows_are_explained_as_dense_ones():
    X = scipy.sparse.csr_array(load_digits().data[:100, 2:8])
    vae = VAETransformer(1, **LINEAR).fit(X)
    for name in ("surprise", "explain"):
        sparse, dense = (getattr(vae, name)(rows) for rows in (X[:9], X[:9].toarray()))
        np.testing.assert_array_equal(sparse, dense)


def test_a_clustered_prior_is_explained_too():
    X = load_wine().data
    options = {"max_iter": 1, "hidden_layer_sizes": 8, "random_state": 0}
    vae = VAETransformer(2, prior="mixture", **options).fit(X)
    total = vae.explain(X[:9]).sum(axis=1)
    np.testing.assert_allclose(total, -vae.score_samples(X[:9]), atol=1e-9)
    assert np.isfinite(vae.surprise(X[:3])).all()


def test_a_saved_detector_explains_as_before(detector, tmp_path):
    detector.save(tmp_path / "detector.skvae")
    loaded = load(tmp_path / "detector.skvae")
    pd.testing.assert_frame_equal(
        loaded.explain(TABLE[:9]), detector.explain(TABLE[:9])
    )


@pytest.mark.parametrize("name", ["surprise", "explain"])
def test_wrong_baselines_and_unfitted_models_are_errors(mixed, name):
    with pytest.raises(ValueError, match=r"baseline must be 'usual' or None. Got 'no'"):
        getattr(mixed, name)(TABLE, baseline="no")
    with pytest.raises(NotFittedError):
        getattr(VAETransformer(), name)(TABLE)


def test_explanations_leave_global_state_alone(mixed, detector, untouched):
    mixed.surprise(TABLE[:2], baseline="usual")
    detector.explain(TABLE[:2])


# Planted cells


def test_the_planted_cell_comes_first():
    X = load_breast_cancer().data
    train, rows = X[:400], X[400:430].copy()
    vae = VAETransformer(8, **LINEAR).fit(train)
    planted = GENERATOR.integers(30, size=len(rows))
    rows[np.arange(len(rows)), planted] += 6.0 * train.std(axis=0)[planted]
    found = vae.surprise(rows, baseline="usual").argmax(axis=1)
    assert (found == planted).mean() >= 0.95


# The display


def drawn(display):
    """Return label → (length of the bar, text at its end) of a drawing."""
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    lengths = [bar.get_width() for bar in display.bars_]
    texts = [text.get_text() for text in display.texts_]
    texts += [""] * (len(labels) - len(texts))
    return dict(zip(labels, zip(lengths, texts, strict=True), strict=True))


def test_display_has_the_contributions_of_the_most_unusual_row(mixed, no_screen):
    rows = TABLE[:30].copy()
    rows.loc[17, "malic_acid"] = 40.0
    display = ExplanationDisplay.from_estimator(mixed, rows)
    found = drawn(display)
    usual = mixed.explain(rows, baseline="usual").iloc[17]
    assert next(iter(found)) == "malic_acid = 40"
    np.testing.assert_allclose(found["malic_acid = 40"][0], usual["malic_acid"])
    latent = mixed.explain(rows).iloc[17, -1]
    np.testing.assert_allclose(found["latent term"][0], latent)
    assert display.ax_.get_title().startswith("row 17: surprise")


def test_display_says_what_was_expected(mixed, no_screen):
    row = TABLE[:1].assign(malic_acid=40.0, kind=None)
    found = drawn(ExplanationDisplay.from_estimator(mixed, row))
    hidden = mixed.impute(row.assign(malic_acid=np.nan))["malic_acid"][0]
    assert found["malic_acid = 40"][1] == f"expected {hidden:.4g}"
    assert found["kind = missing"][1].startswith("expected class_")
    assert found["day = 2026-01-01"][1].startswith("expected 202")


def test_display_writes_large_numbers_without_powers_of_ten(mixed, no_screen):
    row = TABLE[:1].assign(malic_acid=15660.4)
    assert "malic_acid = 15,660" in drawn(ExplanationDisplay.from_estimator(mixed, row))


def test_display_takes_dollars_and_line_breaks_as_they_are(no_screen):
    prices = {"price ($)": "$\\frac$", "a\nb": "of\ntwo lines"}
    texts = dict(enumerate(prices.values()))
    display = ExplanationDisplay(np.arange(3.0), list(prices), values=texts)
    display.plot(n_columns=2).figure_.draw_without_rendering()
    assert {*drawn(display)} == {
        r"price (\$) = \$\frac\$",
        "a b = of two lines",
        "latent term",
    }


def test_display_of_a_detector_adds_up_to_the_score(detector, no_screen):
    display = ExplanationDisplay.from_estimator(detector, TABLE, row=-1)
    total = sum(bar.get_width() for bar in display.bars_)
    np.testing.assert_allclose(total, -detector.score_samples(TABLE[-1:])[0])
    assert f"row {len(TABLE) - 1}: score" in display.ax_.get_title()


def test_display_sums_the_columns_that_have_no_bar(linear, no_screen):
    vae, X = linear
    display = ExplanationDisplay.from_estimator(vae, X, row=0, n_columns=2)
    found = drawn(display)
    assert len(found) == 4
    usual = np.sort(vae.explain(X[:1], baseline="usual")[0, :-1])
    np.testing.assert_allclose(found["3 other columns"][0], usual[:3].sum())
    assert len(drawn(display.plot(n_columns=4))) == 6


def test_display_takes_all_kinds_of_rows(linear, no_screen):
    vae, X = linear
    for rows in (X.tolist(), scipy.sparse.csr_array(X), X.astype(np.float32)):
        assert len(drawn(ExplanationDisplay.from_estimator(vae, rows))) == 6


def test_display_says_what_it_cannot_draw(linear, no_screen):
    vae, X = linear
    with pytest.raises(ValueError, match="row must be the position of one of the 40"):
        ExplanationDisplay.from_estimator(vae, X, row=40)
    with pytest.raises(TypeError, match=r"has none. Give a VAETransformer"):
        ExplanationDisplay.from_estimator(AutoencoderTransformer(), X)
