"""How many components: explained variance, and its picture."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.model_selection import KFold, cross_val_score
from sklearn.preprocessing import StandardScaler

import skvae
from skvae import AutoencoderTransformer, ComponentsDisplay, VAETransformer
from skvae.inspection import cumulative_r2

pytestmark = [
    pytest.mark.usefixtures("no_screen"),
    pytest.mark.filterwarnings("ignore:.*components carry nothing"),
]

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


# Pictures


def test_display_draws_what_components_carry_and_explain(vae, iris):
    display = ComponentsDisplay.from_estimator(vae, iris[::2], iris[1::2])
    heights = [bar.get_height() for bar in display.bars_]
    assert_allclose(heights, vae.kl_per_component_)
    for name, rows in (("r2", iris[::2]), ("r2_test", iris[1::2])):
        k, drawn = display.lines_[name].get_data()
        assert_array_equal(k, [1, 2, 3])
        assert_allclose(drawn, cumulative_r2(vae, rows))
    said = display.axes_[0].get_title()
    assert said == f"{vae.n_active_components_} of 3 carry more than noise"
    grays = [bar.get_facecolor()[:3] for bar in display.bars_]
    assert len(set(grays)) == 1 + (vae.n_active_components_ < 3)


def test_display_of_an_autoencoder_has_what_it_knows(iris):
    model = AutoencoderTransformer(2, **QUICK).fit(iris)
    display = ComponentsDisplay.from_estimator(model, iris)
    heights = [bar.get_height() for bar in display.bars_]
    assert_allclose(heights, model.importance_per_component_)
    assert len(display.axes_) == 2


def test_a_prior_without_divergences_leaves_a_panel_out(iris):
    vae = VAETransformer(2, prior="vamp", **QUICK).fit(iris)
    display = ComponentsDisplay.from_estimator(vae, iris)
    assert display.bars_ is None
    assert len(display.axes_) == 1


def test_scores_are_those_of_held_out_rows_in_shuffled_folds(iris):
    model = AutoencoderTransformer(1, hidden_layer_sizes=(), **QUICK).fit(iris)
    display = ComponentsDisplay.from_estimator(model, iris, n_components=[2, 1])
    options = {"cv": KFold(3, shuffle=True, random_state=0)}
    models = [clone(model).set_params(n_components=k) for k in (1, 2)]
    expected = [cross_val_score(m, iris, **options).mean() for m in models]
    assert_array_equal(display.lines_["scores"].get_xdata(), [1, 2])
    assert_allclose(display.lines_["scores"].get_ydata(), expected)
    assert model.n_components_ == 1


@pytest.mark.parametrize("wrong", [[], [2, 0], [1.5], "auto"])
def test_numbers_of_components_to_compare_are_checked(vae, iris, wrong):
    with pytest.raises(ValueError, match=r"n_components must .* Got "):
        ComponentsDisplay.from_estimator(vae, iris, n_components=wrong)


def test_the_least_number_within_the_error_of_the_best_is_as_good():
    # Differences from the best, 4: 10 and more; 0.1 with error 0.115; none.
    scores = {4: [0.0, -10.0, -20.0], 2: [-0.3, -10.0, -20.0], 1: [-11, -20, -31]}
    display = ComponentsDisplay([0.5], scores=scores).plot()
    assert display.axes_[-1].get_title() == "2 as good as 4, the best"
    scores[2] = [-0.3, -10.3, -20.3]
    display = ComponentsDisplay([0.5], scores=scores).plot()
    assert display.axes_[-1].get_title() == "best: 4"
