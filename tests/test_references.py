"""Reference truth: linear models whose solution is known in closed form."""

import numpy as np
import pytest
from scipy.linalg import subspace_angles
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from skvae import AutoencoderTransformer, VAETransformer
from skvae.likelihoods import Gaussian

LINEAR = {"hidden_layer_sizes": (), "early_stopping": False, "random_state": 0}
OF_PRIOR = LINEAR | {"sampler": "prior"}


@pytest.fixture(scope="module")
def varying(digits):
    """The columns that are not constant, which alone have a density."""
    return digits[:, digits.std(axis=0) > 0.0]


@pytest.fixture(scope="module")
def standardized(varying):
    return StandardScaler().fit_transform(varying)


@pytest.mark.parametrize("k", [2, 5, 10])
def test_linear_vae_score_equals_pca_score_in_raw_units(digits, varying, k):
    vae = VAETransformer(k, likelihood=Gaussian(scaling="shared"), **OF_PRIOR)
    assert vae.fit(digits).score(digits) == pytest.approx(
        PCA(k).fit(varying).score(varying), abs=0.05
    )


@pytest.mark.parametrize("k", [2, 5, 10])
def test_linear_vae_score_equals_pca_score_of_standardized_columns(standardized, k):
    vae = VAETransformer(k, **OF_PRIOR).fit(standardized)
    assert vae.score(standardized) == pytest.approx(
        PCA(k).fit(standardized).score(standardized), abs=0.05
    )


def test_linear_vae_score_includes_the_jacobian_of_the_scaling(
    digits, varying, standardized
):
    scale = StandardScaler().fit(varying).scale_
    vae = VAETransformer(2, **OF_PRIOR).fit(digits)
    expected = PCA(2).fit(standardized).score(standardized) - np.log(scale).sum()
    assert vae.score(digits) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("k", [2, 5, 10])
def test_linear_vae_spans_the_subspace_of_pca(digits, k):
    vae = VAETransformer(k, likelihood=Gaussian(scaling="shared"), **OF_PRIOR).fit(
        digits
    )
    axes = np.linalg.qr(vae.module_.decoder.path.weight.detach().double().numpy())[0]
    angles = subspace_angles(axes, PCA(k).fit(digits).components_.T)
    assert np.degrees(angles.max()) < 3.0


def test_linear_vae_from_a_random_start_finds_the_score_of_pca(iris):
    """Training finds by itself what the closed form gives."""
    X = StandardScaler().fit_transform(iris)
    vae = VAETransformer(
        2, init="random", learning_rate=0.02, max_iter=1000, tol=None, **OF_PRIOR
    ).fit(X)
    assert vae.score(X) == pytest.approx(PCA(2).fit(X).score(X), abs=0.05)


@pytest.mark.parametrize("init", ["pca", "random"])
def test_linear_autoencoder_spans_the_subspace_of_pca(iris, init):
    X = StandardScaler().fit_transform(iris)
    autoencoder = AutoencoderTransformer(
        2, init=init, learning_rate=0.01, max_iter=400, tol=None, **LINEAR
    ).fit(X)
    decoded = autoencoder.inverse_transform(np.vstack([np.zeros(2), np.eye(2)]))
    axes = np.linalg.qr((decoded[1:] - decoded[0]).T)[0]
    angles = subspace_angles(axes, PCA(2).fit(X).components_.T)
    assert np.degrees(angles.max()) < 1.0


def test_linear_autoencoder_reconstructs_as_pca(digits):
    autoencoder = AutoencoderTransformer(
        5, likelihood=Gaussian(scaling="shared"), **LINEAR
    ).fit(digits)
    ours = autoencoder.inverse_transform(autoencoder.transform(digits))
    pca = PCA(5).fit(digits)
    theirs = pca.inverse_transform(pca.transform(digits))
    error = np.square(ours - digits).mean()
    assert error == pytest.approx(np.square(theirs - digits).mean(), rel=5e-3)


def test_bounds_stay_below_the_exact_evidence_and_come_near():
    """On Gaussian data the evidence is known."""
    random = np.random.default_rng(0)
    z = random.normal(size=(1200, 2))
    X = z @ random.normal(size=(2, 5)) + 0.5 * random.normal(size=(1200, 5))
    vae = VAETransformer(2, hidden_layer_sizes=(16,), max_iter=40, random_state=0)
    vae.fit(X[:1000])
    exact = PCA(2).fit(X[:1000]).score(X[1000:])
    elbo = vae.score_samples(X[1000:], bound="elbo")
    importance = vae.score_samples(X[1000:])
    assert (elbo <= importance).all()
    assert importance.mean() == pytest.approx(exact, abs=0.1)
