"""The latent display draws every row where the estimator puts it."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba_array
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import coo_array
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skvae import VAETransformer
from skvae.displays import LatentDisplay

X, Y = (part[:60] for part in load_digits(return_X_y=True))


pytestmark = pytest.mark.usefixtures("no_screen")


def legend_texts(display):
    return [text.get_text() for text in display.legend_.get_texts()]


def test_latent_scatter_holds_the_chosen_components():
    pca = PCA(3).fit(X)
    display = LatentDisplay.from_estimator(pca, X, components=(2, 0))
    assert_allclose(display.scatter_.get_offsets(), pca.transform(X)[:, [2, 0]])
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("pca2", "pca0")
    assert display.legend_ is None
    assert display.colorbar_ is None


def test_latent_scatter_of_a_vae_is_its_posterior_mean():
    vae = VAETransformer(2, hidden_layer_sizes=(), tol=None, max_iter=1, random_state=0)
    vae.fit(X)
    display = LatentDisplay.from_estimator(vae, X, Y)
    assert_allclose(display.scatter_.get_offsets(), vae.transform(X), rtol=1e-6)
    assert display.ax_.get_xlabel() == vae.get_feature_names_out()[0]


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        (Y, list("0123456789")),
        (Y.astype(float), list("0123456789")),
        (Y.astype(str), list("0123456789")),
        (pd.Series(Y).map({0: "zero"}).fillna("other"), ["other", "zero"]),
        (Y > 4, ["False", "True"]),
        (list(Y % 3 - 1), ["-1", "0", "1"]),
        (np.arange(60).astype(str), sorted(np.arange(60).astype(str))),
    ],
)
def test_latent_legend_names_the_classes_and_colors_match_it(y, expected):
    display = LatentDisplay.from_estimator(PCA(2).fit(X), X, y)
    assert legend_texts(display) == expected
    assert display.colorbar_ is None
    keys = [dot.get_color() for dot in display.legend_.get_lines()]
    class_colors = dict(zip(expected, to_rgba_array(keys)[:, :3], strict=True))
    names = [str(int(v)) if isinstance(v, float) else str(v) for v in np.asarray(y)]
    drawn = display.scatter_.get_facecolors()[:, :3]
    assert_allclose(drawn, [class_colors[name] for name in names])
    assert len(np.unique(to_rgba_array(keys), axis=0)) == len(expected)


@pytest.mark.parametrize(
    "y", [np.linspace(0, 1, 60), np.arange(60), np.r_[np.nan, Y[1:]]]
)
def test_latent_colorbar_spans_a_continuous_y(y):
    display = LatentDisplay.from_estimator(PCA(2).fit(X), X, y)
    assert display.legend_ is None
    assert_array_equal(display.scatter_.get_array().filled(np.nan), y)
    limits = (display.colorbar_.vmin, display.colorbar_.vmax)
    assert limits == (np.nanmin(y), np.nanmax(y))


def test_latent_histogram_counts_every_row_of_one_component():
    display = LatentDisplay.from_estimator(PCA(1).fit(X), X)
    assert display.scatter_ is None
    assert sum(bar.get_height() for bar in display.ax_.patches) == 60
    assert display.ax_.get_xlabel() == "pca0"
    assert display.ax_.get_ylabel() == "number of rows"


def test_latent_histogram_stacks_the_classes():
    display = LatentDisplay.from_estimator(PCA(3).fit(X), X, Y % 2, components=1)
    even, odd = ([bar.get_height() for bar in c] for c in display.ax_.containers)
    assert (sum(even), sum(odd)) == (np.sum(Y % 2 == 0), np.sum(Y % 2))
    assert legend_texts(display) == ["0", "1"]
    assert display.ax_.get_xlabel() == "pca1"


def test_latent_of_one_component_stands_against_a_continuous_y():
    y = np.linspace(0, 1, 60)
    display = LatentDisplay.from_estimator(PCA(1).fit(X), X, y)
    assert_allclose(display.scatter_.get_offsets(), np.c_[PCA(1).fit_transform(X), y])
    assert display.ax_.get_ylabel() == "y"


def test_latent_takes_data_frames_sparse_rows_and_pipelines():
    frame = pd.DataFrame(X).add_prefix("pixel")
    model = make_pipeline(StandardScaler(), PCA(2)).set_output(transform="pandas")
    display = LatentDisplay.from_estimator(model.fit(frame), frame, pd.Series(Y))
    assert_allclose(display.scatter_.get_offsets(), model.transform(frame))
    assert display.ax_.get_xlabel() == "pca0"
    pca = PCA(2, svd_solver="arpack").fit(coo_array(X).tocsr())
    sparse = LatentDisplay.from_estimator(pca, coo_array(X).tocsr())
    assert_allclose(sparse.scatter_.get_offsets(), pca.transform(X), atol=1e-8)


def test_latent_options_reach_the_artist():
    display = LatentDisplay.from_estimator(PCA(2).fit(X), X, s=3, alpha=0.25)
    assert_array_equal(display.scatter_.get_sizes(), [3])
    assert display.scatter_.get_alpha() == 0.25


def test_latent_refuses_a_y_of_another_length():
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        LatentDisplay.from_estimator(PCA(2).fit(X), X, Y[1:])
