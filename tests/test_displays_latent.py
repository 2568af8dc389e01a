"""The latent display draws every row where the estimator puts it."""

import matplotlib.pyplot as plt
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


def nearest_rows(display, latent):
    """Return which row each point stands for, in the order of drawing."""
    points = np.asarray(display.scatter_.get_offsets())
    return np.linalg.norm(points[:, None] - latent, axis=2).argmin(axis=1)


def legend_texts(display):
    return [text.get_text() for text in display.legend_.get_texts()]


def test_latent_scatter_holds_the_chosen_components():
    pca = PCA(3).fit(X)
    display = LatentDisplay.from_estimator(pca, X, components=(2, 0))
    assert_allclose(display.scatter_.get_offsets(), pca.transform(X)[:, [2, 0]])
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == (
        "component 2",
        "component 0",
    )
    assert display.legend_ is None
    assert display.colorbar_ is None


def test_latent_scatter_of_a_vae_is_its_posterior_mean():
    vae = VAETransformer(2, hidden_layer_sizes=(), tol=None, max_iter=1, random_state=0)
    vae.fit(X)
    display = LatentDisplay.from_estimator(vae, X)
    assert_allclose(display.scatter_.get_offsets(), vae.transform(X), rtol=1e-6)
    assert display.ax_.get_xlabel() == "component 0"


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        (Y, list("0123456789")),
        (Y.astype(float), list("0123456789")),
        (Y.astype(str), list("0123456789")),
        (pd.Series(Y).map({0: "zero"}).fillna("other"), ["other", "zero"]),
        (Y > 4, ["False", "True"]),
        (list(Y % 3 - 1), ["-1", "0", "1"]),
        (pd.Series(Y).astype(str).astype("category"), list("0123456789")),
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
    rows = nearest_rows(display, PCA(2).fit_transform(X))
    assert_allclose(drawn, [class_colors[names[row]] for row in rows])
    assert_array_equal(np.sort(rows), np.arange(60))
    assert len(np.unique(to_rgba_array(keys), axis=0)) == len(expected)


@pytest.mark.parametrize(
    "y", [np.linspace(0, 1, 60), np.arange(60), np.r_[np.nan, np.linspace(0, 1, 59)]]
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
    assert display.ax_.get_xlabel() == "component 0"
    assert display.ax_.get_ylabel() == "number of rows"


def test_latent_histogram_stacks_the_classes():
    display = LatentDisplay.from_estimator(PCA(3).fit(X), X, Y % 2, components=1)
    even, odd = ([bar.get_height() for bar in c] for c in display.ax_.containers)
    assert (sum(even), sum(odd)) == (np.sum(Y % 2 == 0), np.sum(Y % 2))
    assert legend_texts(display) == ["0", "1"]
    assert display.ax_.get_xlabel() == "component 1"


def test_latent_of_one_component_stands_against_a_continuous_y():
    y = np.linspace(0, 1, 60)
    display = LatentDisplay.from_estimator(PCA(1).fit(X), X, y)
    assert_allclose(display.scatter_.get_offsets(), np.c_[PCA(1).fit_transform(X), y])
    assert display.ax_.get_ylabel() == "y"


def test_latent_takes_data_frames_sparse_rows_and_pipelines():
    frame = pd.DataFrame(X).add_prefix("pixel")
    model = make_pipeline(StandardScaler(), PCA(2)).set_output(transform="pandas")
    display = LatentDisplay.from_estimator(model.fit(frame), frame)
    assert_allclose(display.scatter_.get_offsets(), model.transform(frame))
    assert display.ax_.get_xlabel() == "component 0"
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


# Labels that are hard to draw


def test_latent_legend_keeps_the_order_of_ordered_categories_and_has_a_title():
    sizes = pd.Categorical.from_codes(Y % 3, ["small", "medium", "large"], ordered=True)
    y = pd.Series(sizes, name="size")
    display = LatentDisplay.from_estimator(PCA(2).fit(X), X, y)
    assert legend_texts(display) == ["small", "medium", "large"]
    assert display.legend_.get_title().get_text() == "size"
    keys = to_rgba_array([dot.get_color() for dot in display.legend_.get_lines()])
    # A sequence: lightness rises from one to the next.
    assert np.all(np.diff(keys[:, :3] @ [0.299, 0.587, 0.114]) > 0.1)


@pytest.mark.parametrize(
    "y",
    [
        np.where(np.arange(60) < 5, np.nan, Y),
        pd.Series(Y.astype(str)).mask(np.arange(60) < 5),
        pd.Series(Y, dtype="Int64").mask(np.arange(60) < 5),
        [None] * 5 + list(Y[5:].astype(str)),
        pd.Series(Y.astype(str)).mask(np.arange(60) < 5).convert_dtypes(),
        [None] * 5 + Y[5:].tolist(),
    ],
)
def test_latent_shows_missing_labels_in_gray(y):
    display = LatentDisplay.from_estimator(PCA(2).fit(X), X, y)
    assert legend_texts(display) == [*"0123456789", "missing"]
    gray = to_rgba_array(display.legend_.get_lines()[-1].get_color())
    drawn = (display.scatter_.get_facecolors() == gray).all(axis=1)
    shown = display.scatter_.get_offsets()[drawn]
    expected = PCA(2).fit_transform(X)[:5]
    assert_allclose(np.sort(shown, axis=0), np.sort(expected, axis=0))


def test_latent_shows_missing_values_in_gray():
    y = np.r_[np.nan, np.linspace(0.0, 1.0, 59)]
    display = LatentDisplay.from_estimator(PCA(2).fit(X), X, y)
    display.figure_.canvas.draw()
    colors = display.scatter_.get_facecolors()
    assert len(colors) == 60
    assert_allclose(colors[0, :3], [200 / 255] * 3)


def test_latent_draws_rare_classes_last():
    latent = np.random.default_rng(0).normal(size=(1000, 2))
    y = np.array(["rare"] * 10 + ["common"] * 990)
    display = LatentDisplay(latent, y=y).plot(s=np.arange(1000.0))
    last = nearest_rows(display, latent)[-10:]
    assert_array_equal(np.sort(last), np.arange(10))
    assert_array_equal(display.scatter_.get_sizes()[-10:], last)


def test_latent_names_the_most_frequent_of_many_classes():
    latent = np.random.default_rng(0).normal(size=(1780, 2))
    y = np.repeat(np.arange(178).astype(str), 10)
    y[:5] = "177"
    display = LatentDisplay(latent, y=y).plot()
    texts = legend_texts(display)
    assert len(texts) == 20
    assert texts[-2:] == ["177", "159 others"]


def test_latent_colors_of_eighteen_classes_differ():
    latent = np.zeros((18, 2))
    display = LatentDisplay(latent, y=[f"c{k:02}" for k in range(18)]).plot()
    colors = to_rgba_array([dot.get_color() for dot in display.legend_.get_lines()])
    distances = np.linalg.norm(colors[:, None] - colors, axis=2)
    assert distances[~np.eye(18, dtype=bool)].min() > 0.1


def test_latent_cmap_colors_classes():
    display = LatentDisplay(np.zeros((2, 2)), y=["a", "b"]).plot(cmap="Reds")
    keys = [dot.get_color() for dot in display.legend_.get_lines()]
    assert_allclose(to_rgba_array(keys), plt.colormaps["Reds"]([0.0, 0.95]))


@pytest.mark.parametrize(
    "y",
    [
        pd.date_range("2020-01-01", periods=60),
        [None, *np.linspace(0.0, 1.0, 59)],
        pd.Series(np.linspace(0.0, 1.0, 60), dtype="Float64").mask(np.arange(60) < 1),
    ],
)
def test_latent_labels_that_are_measured_have_a_colorbar(y):
    display = LatentDisplay(np.zeros((60, 2)), y=y).plot()
    assert display.legend_ is None
    assert np.diff(display.scatter_.get_array().compressed()[1:]).min() > 0.0


def test_latent_names_are_in_natural_order_and_short():
    names = [
        "cluster 10",
        "cluster 2",
        "a label that is longer than the legend is wide",
    ]
    display = LatentDisplay(np.zeros((3, 2)), y=names).plot()
    assert legend_texts(display)[1:] == ["cluster 2", "cluster 10"]
    assert len(legend_texts(display)[0]) == 20


def test_latent_histogram_leaves_out_what_is_far_from_all_others():
    latent = np.random.default_rng(0).normal(size=(50, 1))
    latent[7] = -700.0
    display = LatentDisplay(latent).plot()
    assert sum(bar.get_height() for bar in display.ax_.patches) == 49
    assert display.ax_.get_title(loc="right") == "1 row outside of the axes"


@pytest.mark.parametrize("n_rows", [20, 50, 500])
def test_latent_axes_leave_out_what_is_far_from_all_others(n_rows):
    latent = np.random.default_rng(0).normal(size=(n_rows, 2))
    latent[7] = -700.0, 0.0
    display = LatentDisplay(latent).plot()
    others = np.delete(latent, 7, axis=0)
    low, high = display.ax_.get_xlim()
    assert -10 < low < others[:, 0].min()
    assert others[:, 0].max() < high < 10
    assert display.ax_.get_title(loc="right") == "1 row outside of the axes"
    usual = LatentDisplay(others).plot()
    assert usual.ax_.get_title(loc="right") == ""
