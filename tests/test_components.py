"""How many components: explained variance, and its picture."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

import skvae
from skvae import AutoencoderTransformer, VAETransformer
from skvae.inspection import cumulative_r2

pytestmark = pytest.mark.filterwarnings("ignore:.*components carry nothing")

QUICK = {"max_iter": 2, "tol": None, "random_state": 0}


@pytest.fixture(scope="module")
def vae(iris):
    return VAETransformer(3, early_stopping=False, **QUICK).fit(iris)


def test_explained_variance_of_a_linear_autoencoder_is_that_of_pca(iris):
    model = AutoencoderTransformer(
        3, hidden_layer_sizes=(), early_stopping=False, learning_rate=1e-9, **QUICK
    ).fit(iris)
    pca = PCA(3).fit(StandardScaler().fit_transform(iris))
    expected = pca.explained_variance_ratio_
    assert_allclose(model.explained_variance_ratio_, expected, atol=1e-5)
    assert_allclose(cumulative_r2(model, iris), expected.cumsum(), atol=1e-5)


def test_r2_is_that_of_reconstructions_from_the_first_components(vae, iris):
    Z, total = vae.transform(iris), np.square(iris - iris.mean(0)).sum(0)
    expected = [
        1.0 - np.mean(np.square(iris - vae.inverse_transform(Z[:, :k])).sum(0) / total)
        for k in (1, 2, 3)
    ]
    assert_allclose(cumulative_r2(vae, iris), expected, rtol=1e-6)
    # Repeated rows count as often, and training is in float32.
    assert_allclose(vae.explained_variance_ratio_.cumsum(), expected, atol=1e-5)


def test_missing_cells_and_constant_columns_do_not_count(vae, iris):
    X = np.column_stack((iris, np.ones(150)))
    X[::3, 1], X[1::3, 2] = np.nan, np.nan
    model = VAETransformer(2, early_stopping=False, **QUICK).fit(X)
    Z = model.transform(X)
    squares = np.square(X - model.inverse_transform(Z))[:, :4]
    total = np.square(X - np.nanmean(X, axis=0))[:, :4]
    expected = 1.0 - np.mean(np.nansum(squares, 0) / np.nansum(total, 0))
    assert_allclose(cumulative_r2(model, X)[-1], expected, rtol=1e-6)


def test_r2_of_any_likelihood_is_at_most_one(every_kind):
    model, X = every_kind
    ratio = model.explained_variance_ratio_
    assert ratio.shape == (2,)
    assert 0.0 < ratio.sum() <= 1.0
    found = cumulative_r2(model, X)
    assert_allclose(found, ratio.cumsum(), atol=1e-4)


def test_rows_that_do_not_vary_have_nothing_to_explain(vae, iris):
    assert_array_equal(cumulative_r2(vae, iris[[0, 0]]), np.zeros(3))
    assert_array_equal(
        VAETransformer(1, **QUICK).fit(np.ones((20, 2))).n_components_, 1
    )


def test_few_rows_are_decoded_of_many_components(iris, monkeypatch):
    monkeypatch.setattr("skvae.estimators._explained.MOST_DECODED", 200)
    monkeypatch.setattr("skvae.estimators._explained.LEAST_ROWS", 60)
    X = np.random.default_rng(0).normal(size=(150, 3))
    all_rows = VAETransformer(1, **QUICK).fit(X).explained_variance_ratio_
    monkeypatch.setattr("skvae.estimators._explained.MOST_ROWS", 50)
    some_rows = VAETransformer(1, **QUICK).fit(X).explained_variance_ratio_
    assert_allclose(some_rows, all_rows, atol=0.2)
    assert some_rows != all_rows


def test_explained_variance_survives_files_pickles_and_clones(vae, iris, tmp_path):
    expected = vae.explained_variance_ratio_
    vae.save(tmp_path / "model.skvae")
    loaded = skvae.load(tmp_path / "model.skvae")
    pickled = pickle.loads(pickle.dumps(vae))
    for other in (loaded, pickled, clone(vae).fit(iris)):
        assert_array_equal(other.explained_variance_ratio_, expected)


def test_a_file_of_before_says_what_to_do():
    golden = Path(__file__).parent / "golden"
    vae = skvae.load(golden / "format1_vae.skvae")
    assert not hasattr(vae, "explained_variance_ratio_")
    with pytest.raises(AttributeError, match=r"cumulative_r2\(model, X\)"):
        _ = vae.explained_variance_ratio_
    with pytest.raises(AttributeError, match="no attribute 'other_'"):
        _ = vae.other_
    assert not hasattr(vae, "predict")
    with pytest.raises(AttributeError, match="no attribute 'explained_var"):
        _ = VAETransformer().explained_variance_ratio_
