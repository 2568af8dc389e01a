"""Numbers about a fitted model."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import StandardScaler

from skvae import AutoencoderTransformer, FitReport, VAETransformer
from skvae.inspection import neighbor_recall, trustworthiness
from skvae.likelihoods import Gaussian
from skvae.priors import Prior, PriorModel


@pytest.fixture(scope="module")
def linear(digits):
    """A VAE that is probabilistic PCA, so that the report knows both columns."""
    X = digits[:, digits.std(axis=0) > 1]
    vae = VAETransformer(
        3,
        hidden_layer_sizes=(),
        early_stopping=False,
        max_iter=30,
        tol=None,
        sampler="prior",
        random_state=0,
    )
    return vae.fit(X), X


def test_report_of_a_linear_model_finds_it_equal_to_pca(linear):
    report = FitReport.from_estimator(*linear)
    assert report.log_likelihood == pytest.approx(report.log_likelihood_pca, abs=0.05)
    assert report.r2 == pytest.approx(report.r2_pca, abs=0.02)
    assert report.n_active == 3


def test_report_measures_on_the_rows_it_is_given(linear):
    vae, X = linear
    report = FitReport.from_estimator(vae, X, X[:50])
    assert report.log_likelihood == pytest.approx(vae.score(X[:50]))


def test_report_takes_sparse_rows(iris):
    X, test = scipy.sparse.csr_matrix(iris[::2]), scipy.sparse.csr_matrix(iris[1::2])
    vae = VAETransformer(2, max_iter=2, tol=None, random_state=0).fit(X)
    dense = FitReport.from_estimator(vae, iris[::2], iris[1::2])
    assert str(FitReport.from_estimator(vae, X, test)) == str(dense)


def test_report_reads_as_a_table(linear):
    lines = str(FitReport.from_estimator(*linear)).splitlines()
    assert lines[0].split() == ["VAE", "PCA"]
    assert lines[1].startswith("R2")
    assert lines[3].startswith("neighbors kept")
    assert lines[4].startswith("trustworthiness")
    assert "active components: 3 of 3" in lines[5]
    assert "over 30 epochs" in lines[6]


def test_report_says_how_well_both_maps_keep_neighbors(digits):
    vae = VAETransformer(2, max_iter=5, tol=None, random_state=0).fit(digits[:300])
    report = FitReport.from_estimator(vae, digits[:300], digits[300:400])
    varying = digits[:300].std(axis=0) > 0.0
    scaler = StandardScaler().fit(digits[:300, varying])
    X, X_test = map(scaler.transform, (digits[:300, varying], digits[300:400, varying]))
    maps = {
        "": (vae.transform(digits[:300]), vae.transform(digits[300:400])),
        "_pca": tuple(map(PCA(2).fit(X).transform, (X, X_test))),
    }
    for suffix, (Z, Z_test) in maps.items():
        kept = getattr(report, f"recall{suffix}")
        assert kept == pytest.approx(neighbor_recall(X, Z, X_test, Z_test))
        trust = getattr(report, f"trustworthiness{suffix}")
        assert trust == pytest.approx(trustworthiness(X, Z, X_test, Z_test))


def test_report_without_other_rows_leaves_out_each_row_itself(iris):
    vae = VAETransformer(2, max_iter=2, tol=None, random_state=0).fit(iris)
    report = FitReport.from_estimator(vae, iris)
    X = StandardScaler().fit_transform(iris)
    assert report.recall == pytest.approx(neighbor_recall(X, vae.transform(iris)))


@pytest.mark.filterwarnings("ignore:.*carry nothing")
def test_report_of_few_rows_takes_fewer_neighbors(iris):
    vae = VAETransformer(2, max_iter=1, tol=None, random_state=0)
    assert 0.0 <= FitReport.from_estimator(vae.fit(iris[:5]), iris[:5]).recall <= 1.0
    alone = FitReport.from_estimator(vae.fit(iris[:2]), iris[:2])
    assert np.isnan(alone.recall)


def test_report_has_no_pca_density_for_other_likelihoods(digits):
    vae = VAETransformer(likelihood="bernoulli", max_iter=1, tol=None, random_state=0)
    report = FitReport.from_estimator(vae.fit(digits / 16), digits / 16)
    assert np.isnan(report.log_likelihood_pca)
    assert np.isfinite(report.log_likelihood)


class UniformModel(PriorModel):
    def log_prob(self, z):
        return torch.zeros_like(z[..., 0])


class Uniform(Prior):
    """An improper prior, with a divergence of whole rows only."""

    def build(self, n_components):
        return UniformModel(n_components)


def test_report_of_a_prior_without_divergence_per_component_says_so(iris):
    vae = VAETransformer(2, prior=Uniform(), max_iter=1, tol=None, random_state=0)
    report = FitReport.from_estimator(vae.fit(iris), iris)
    assert report.kl_per_component is report.n_active is None
    assert "active components: not known with this prior" in str(report)


def mixed_table(n_rows):
    """Return numbers with gaps, text, booleans and dates that follow one cause."""
    random = np.random.default_rng(0)
    z = random.normal(size=n_rows)
    table = pd.DataFrame(
        {
            "age": 40.0 + 10.0 * z + random.normal(size=n_rows),
            "income": 3000.0 + 1000.0 * z + 50.0 * random.normal(size=n_rows),
            "job": np.where(z > 0.5, "chief", np.where(z > -0.5, "clerk", "cook")),
            "owns": z > 0.2,
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(100 * z, "D"),
        }
    )
    table.loc[random.random(n_rows) < 0.1, "age"] = np.nan
    table.loc[random.random(n_rows) < 0.1, "job"] = None
    return table


def test_report_of_a_mixed_table_with_gaps():
    table = mixed_table(300)
    vae = VAETransformer(1, max_iter=60, tol=None, random_state=0).fit(table[:200])
    report = FitReport.from_estimator(vae, table[:200], table[200:])
    decoded = vae.inverse_transform(vae.transform(table[200:]))
    # Dates and truths are numbers, too.
    numbers, found = (
        t.drop(columns="job").astype("float64")
        for t in (
            table.assign(since=table["since"].astype("int64")),
            decoded.assign(since=decoded["since"].astype("int64")),
        )
    )
    mean, std = numbers[:200].mean().to_numpy(), numbers[:200].std(ddof=0).to_numpy()
    known = (numbers[200:].to_numpy() - mean) / std
    error = known - (found.to_numpy() - mean) / std
    expected = 1.0 - np.nansum(np.square(error)) / np.nansum(np.square(known))
    assert report.r2 == pytest.approx(expected, abs=1e-6)
    assert report.r2 > 0.5
    assert np.isnan(report.log_likelihood_pca)
    assert report.trustworthiness > 0.8
    assert "nan" in str(report)


def test_report_ignores_cells_that_are_missing_in_the_rows_it_measures(iris):
    X, X_test = iris[::2], iris[1::2].copy()
    vae = VAETransformer(2, max_iter=5, tol=None, random_state=0).fit(X)
    X_test[:, 3] = np.nan
    report = FitReport.from_estimator(vae, X, X_test)
    decoded = vae.inverse_transform(vae.transform(X_test))
    scaled = ((rows - X.mean(0)) / X.std(0) for rows in (X_test, decoded))
    known, found = (rows[:, :3] for rows in scaled)
    expected = 1.0 - np.square(known - found).sum() / np.square(known).sum()
    assert report.r2 == pytest.approx(expected)


@pytest.mark.filterwarnings("ignore:1 of 1 components carry nothing")
def test_report_of_categories_alone_has_no_variance():
    table = mixed_table(60)[["job"]]
    table["other"] = table["job"]
    vae = VAETransformer(1, max_iter=2, tol=None, random_state=0).fit(table)
    report = FitReport.from_estimator(vae, table)
    assert np.isnan(report.r2)
    assert np.isfinite(report.log_likelihood)


def test_report_needs_a_fitted_estimator(digits):
    with pytest.raises(NotFittedError):
        FitReport.from_estimator(VAETransformer(), digits)


def test_report_refuses_a_model_without_density(digits):
    autoencoder = AutoencoderTransformer(max_iter=1, tol=None).fit(digits)
    with pytest.raises(TypeError, match=r"requires a VAETransformer. Got Autoenc"):
        FitReport.from_estimator(autoencoder, digits)


def test_noise_is_reported_as_components_that_carry_nothing():
    X = np.random.default_rng(0).normal(size=(2000, 20))
    settings = {"objective": "elbo", "max_iter": 10, "tol": None, "beta": 1.0}
    vae = VAETransformer(2, random_state=0, **settings)
    message = "2 of 2 components carry nothing.*lower"
    with pytest.warns(UserWarning, match=message) as seen:
        vae.fit(X)
    assert seen[0].filename == __file__
    assert vae.n_active_components_ == 0


def test_components_that_carry_about_as_much_as_the_largest_are_not_idle(recwarn):
    random = np.random.default_rng(0)
    strengths = np.array([1.0, 0.8, 0.7, 0.6, 0.5, 0.4])[:, None]
    weights = 0.15 * strengths * random.normal(size=(6, 300))
    X = random.poisson(np.exp(random.normal(size=(40, 6)) @ weights)).astype(float)
    params = {"likelihood": "poisson", "max_iter": 20, "tol": None, "random_state": 0}
    vae = VAETransformer(6, **params).fit(X[:, X.std(axis=0) > 0.0])
    carried = vae.kl_per_component_
    noise = np.log1p(np.sqrt(vae.n_features_in_ / 36))
    assert noise > carried.min() > 0.4 * carried.max()
    assert vae.n_active_components_ == 6
    assert not [w for w in recwarn if "carry nothing" in str(w.message)]


def test_signal_is_not_reported(digits, recwarn):
    vae = VAETransformer(
        8, likelihood=Gaussian(scaling="shared"), max_iter=3, tol=None, random_state=0
    ).fit(digits)
    assert vae.n_active_components_ == 8
    assert not recwarn.list
