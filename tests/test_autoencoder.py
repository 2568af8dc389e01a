"""What `AutoencoderTransformer` promises beyond what it shares with the VAE."""

import pickle

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from skvae import AutoencoderTransformer


def tiny(**params):
    """Return an estimator that fits in a moment."""
    defaults = {
        "n_components": 2,
        "hidden_layer_sizes": (16,),
        "max_iter": 20,
        "tol": None,
        "random_state": 0,
    }
    return AutoencoderTransformer(**(defaults | params))


@pytest.fixture(scope="module")
def fitted(iris):
    return tiny().fit(iris)


def test_score_samples_is_minus_the_error_of_standardized_columns(fitted, iris):
    decoded = fitted.inverse_transform(fitted.transform(iris))
    errors = np.square((decoded - iris) / iris.std(axis=0)).mean(axis=1)
    np.testing.assert_allclose(fitted.score_samples(iris), -errors, rtol=1e-9)
    assert fitted.score(iris) == pytest.approx(-errors.mean())


def test_held_out_error_is_at_most_that_of_the_pca_it_starts_from(digits):
    autoencoder = tiny(max_iter=30).fit(digits[:1400])
    scaler = StandardScaler().fit(digits[:1400])
    train, test = scaler.transform(digits[:1400]), scaler.transform(digits[1400:])
    pca = PCA(2).fit(train)
    error = np.square(pca.inverse_transform(pca.transform(test)) - test).mean()
    assert -autoencoder.score(digits[1400:]) < error


def test_components_are_whitened_at_the_start(iris):
    autoencoder = tiny(hidden_layer_sizes=(), early_stopping=False, max_iter=1)
    Z = autoencoder.set_params(learning_rate=1e-9).fit_transform(iris)
    np.testing.assert_allclose(np.cov(Z.T), np.eye(2), atol=1e-3)


def test_components_come_in_order_of_their_importance(digits):
    importance = tiny(n_components=5, max_iter=5).fit(digits).importance_per_component_
    assert (np.diff(importance) <= 0).all()
    assert (importance > 0).all()


def test_importance_weights_rows_and_ignores_chunks(iris, monkeypatch):
    weights = np.where(np.arange(150) < 20, 50, 1)
    weighted = tiny().fit(iris, sample_weight=weights).importance_per_component_
    monkeypatch.setattr("skvae.table._cells.CHUNK_VALUES", 40)
    repeated = tiny().fit(np.repeat(iris, weights, axis=0)).importance_per_component_
    np.testing.assert_allclose(weighted, repeated, rtol=1e-5)


def test_bernoulli_autoencoder_decodes_into_the_unit_interval(digits):
    autoencoder = tiny(likelihood="bernoulli", max_iter=3).fit(digits / 16)
    decoded = autoencoder.inverse_transform([[0.0, 0.0], [50.0, -50.0]])
    assert ((decoded >= 0) & (decoded <= 1)).all()


def test_autoencoder_has_no_density(fitted):
    for name in ("sample", "posterior", "impute", "kl_per_component_", "beta_"):
        assert not hasattr(fitted, name)
    assert [*fitted.term_curves_] == ["reconstruction"]


def test_answers_survive_pickling(fitted, iris):
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.transform(iris), fitted.transform(iris))


def test_nothing_global_is_touched(untouched, iris):
    autoencoder = tiny(random_state=None).fit(iris)
    autoencoder.inverse_transform(autoencoder.transform(iris))
    autoencoder.score(iris)
