"""Displays draw what was computed, where they say, and touch nothing else."""

import subprocess
import sys
import warnings

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import coo_array
from scipy.stats import norm
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

from skvae import AutoencoderTransformer, VAETransformer
from skvae.displays import (
    LatentDisplay,
    LossCurveDisplay,
    ManifoldDisplay,
    ReconstructionDisplay,
)

X, Y = (part[:60] for part in load_digits(return_X_y=True))


pytestmark = pytest.mark.usefixtures("no_screen")


class Ramps(TransformerMixin, BaseEstimator):
    """Encodes a row by its first columns; decodes to ramps of slope z0 + 10 z1 ..."""

    def __init__(self, n_components=2):
        self.n_components = n_components

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        self.n_components_ = self.n_components
        return self

    def transform(self, X):
        return np.asarray(X)[:, : self.n_components_]

    def inverse_transform(self, Z):
        slopes = Z @ 10.0 ** np.arange(self.n_components_)
        return slopes[:, None] * np.arange(self.n_features_in_)

    def get_feature_names_out(self, input_features=None):
        return np.array([f"ramp{k}" for k in range(self.n_components_)])


def ramps(n_components=2, n_features=6):
    return Ramps(n_components).fit(np.zeros((1, n_features)))


def fit_briefly(cls, **params):
    model = cls(2, hidden_layer_sizes=(8,), max_iter=2, random_state=0, **params)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(X)


@pytest.fixture(scope="module")
def vae():
    return fit_briefly(VAETransformer)


@pytest.fixture(scope="module")
def autoencoder():
    return fit_briefly(AutoencoderTransformer)


def labels(axis):
    return [tick.get_text().replace("\N{MINUS SIGN}", "-") for tick in axis]


@pytest.mark.parametrize("components", [2, (0, 2), (1, 1), (-1, 0), (0, 1, 1), 0.5, ()])
@pytest.mark.parametrize("display", [LatentDisplay, ManifoldDisplay])
def test_components_must_be_different_indices(display, components):
    data = (X,) if display is LatentDisplay else ()
    with pytest.raises(ValueError, match=r"components must .* from 0 to 1.* Got") as e:
        display.from_estimator(ramps(), *data, components=components)
    assert repr(components) in str(e.value)


def test_manifold_decodes_gaussian_quantiles_with_other_components_at_zero():
    model = ramps(3)
    display = ManifoldDisplay.from_estimator(model, n_cells=4, components=(2, 0))
    z = norm.ppf([0.125, 0.375, 0.625, 0.875])
    assert_allclose(display.horizontal, z)
    assert_allclose(display.vertical, z)
    for row, column in np.ndindex(4, 4):
        expected = model.inverse_transform(np.array([[z[row], 0.0, z[column]]]))[0]
        assert_allclose(display.cells[row, column], expected)


def test_manifold_images_stand_with_the_largest_latent_value_on_top():
    display = ManifoldDisplay.from_estimator(ramps(), n_cells=3, image_shape=(2, 3))
    image = display.image_.get_array()
    assert image.shape == (6, 9)
    for row, column in np.ndindex(3, 3):
        top = 2 * (2 - row)
        cell = image[top : top + 2, 3 * column : 3 * column + 3]
        assert_allclose(cell, display.cells[row, column].reshape(2, 3))
    assert display.image_.get_extent() == [0, 3, 0, 3]
    assert display.ax_.get_ylim() == (0, 3)
    # A cell of height 2 and width 3 pixels keeps square pixels.
    assert display.ax_.get_aspect() == pytest.approx(2 / 3)
    assert display.lines_ is None


def test_manifold_ticks_name_latent_values_at_cell_centers():
    display = ManifoldDisplay.from_estimator(ramps(), n_cells=15)
    assert_array_equal(display.ax_.get_xticks(), np.array([0, 4, 7, 10, 14]) + 0.5)
    expected = ["-1.8", "-0.5", "0.0", "0.5", "1.8"]
    assert labels(display.ax_.get_xticklabels()) == expected
    assert labels(display.ax_.get_yticklabels()) == expected
    assert display.ax_.get_ylabel() == "component 1"


def test_manifold_lines_lie_in_their_cells_on_one_scale():
    display = ManifoldDisplay.from_estimator(ramps(), n_cells=3)
    lines = np.reshape(display.lines_.get_segments(), (3, 3, 6, 2))
    cells = display.cells
    low, high = cells.min(), cells.max()
    for row, column in np.ndindex(3, 3):
        x, y = lines[row, column].T
        assert_allclose(x, column + np.linspace(0.1, 0.9, 6))
        heights = (cells[row, column] - low) / (high - low)
        assert_allclose(y, row + 0.1 + 0.8 * heights)
    assert display.image_ is None
    assert display.ax_.get_xlim() == display.ax_.get_ylim() == (0, 3)


def test_manifold_lines_can_give_each_feature_its_own_scale():
    display = ManifoldDisplay.from_estimator(ramps(), n_cells=3, line_scale="feature")
    lines = np.reshape(display.lines_.get_segments(), (3, 3, 6, 2))
    # Every ramp but the constant first feature reaches both ends of its cells.
    assert_allclose(lines[0, 0, 1:, 1], 0.1)
    assert_allclose(lines[2, 2, 1:, 1], 2.9)
    assert_allclose(lines[:, :, 0, 1], np.arange(3)[:, None] + [[0.1, 0.1, 0.1]])


def test_manifold_of_one_feature_draws_levels():
    model = PCA(1).fit(X[:, [2]])
    display = ManifoldDisplay.from_estimator(model, n_cells=3, extent=(-1, 1))
    heights = [segment[:, 1] for segment in display.lines_.get_segments()]
    assert_allclose(heights, [[0.1, 0.1], [0.5, 0.5], [0.9, 0.9]])


@pytest.mark.parametrize(
    ("n_components", "components"), [(1, (0, 1)), (1, 0), (3, 1), (3, (1,))]
)
def test_manifold_of_one_component_is_one_row(n_components, components):
    display = ManifoldDisplay.from_estimator(
        ramps(n_components), n_cells=5, components=components, image_shape=(2, 3)
    )
    assert display.cells.shape == (1, 5, 6)
    assert display.image_.get_array().shape == (2, 15)
    assert display.vertical is None
    assert len(display.ax_.get_yticks()) == 0
    assert display.ax_.get_ylabel() == ""
    chosen = np.ravel(components)[0]
    assert_allclose(display.cells[0, :, 1], 10.0**chosen * display.horizontal)


def test_manifold_extent_gives_even_steps():
    extent = (-200, 200, 0, 0.02)
    display = ManifoldDisplay.from_estimator(ramps(), n_cells=5, extent=extent)
    assert_allclose(display.horizontal, [-200, -100, 0, 100, 200])
    assert_allclose(display.vertical, [0, 0.005, 0.01, 0.015, 0.02])
    expected = ["-200", "-100", "0", "100", "200"]
    assert labels(display.ax_.get_xticklabels()) == expected
    assert labels(display.ax_.get_yticklabels())[-1] == "0.020"


@pytest.mark.parametrize(
    "extent", [(-1, 1), (1, -1, 0, 1), (0, 1, 2), (0, np.inf, 0, 1), 3.0]
)
def test_manifold_extent_must_rise(extent):
    with pytest.raises(ValueError, match=r"\(left, right, bottom, top\).*Got"):
        ManifoldDisplay.from_estimator(ramps(), extent=extent)


def test_manifold_colors_are_clipped_to_their_range():
    cells = np.array([[[-0.1, 0.5, 1.2]]])
    display = ManifoldDisplay(cells, np.zeros(1), image_shape=(1, 1, 3)).plot()
    assert_allclose(display.image_.get_array(), [[[0, 0.5, 1]]])
    display = ManifoldDisplay(cells * 255, np.zeros(1), image_shape=(1, 1, 3)).plot()
    assert_allclose(display.image_.get_array(), [[[0, 0.5, 1]]])


def test_manifold_decodes_through_a_pipeline():
    model = make_pipeline(StandardScaler(), PCA(2, whiten=True)).fit(X)
    display = ManifoldDisplay.from_estimator(model, n_cells=3, image_shape=(8, 8))
    assert_allclose(display.cells[1, 1], X.mean(axis=0), atol=1e-10)


def test_manifold_of_a_vae_is_its_decoder(vae):
    display = ManifoldDisplay.from_estimator(vae, n_cells=3, image_shape=(8, 8))
    z = norm.ppf([1 / 6, 5 / 6])
    assert_allclose(display.cells[0, 2], vae.inverse_transform(z[None, ::-1])[0])


@pytest.mark.parametrize("n_cells", [0, 2.5, -1])
def test_manifold_needs_cells(n_cells):
    with pytest.raises(ValueError, match=f"n_cells must .* Got {n_cells}"):
        ManifoldDisplay.from_estimator(ramps(), n_cells=n_cells)


@pytest.mark.parametrize("display", [ManifoldDisplay, ReconstructionDisplay])
def test_image_shape_must_hold_every_feature(display):
    data = () if display is ManifoldDisplay else (X[:, :6],)
    with pytest.raises(ValueError, match=r"X has features \(6\).*8 \* 8 = 64"):
        display.from_estimator(ramps(), *data, image_shape=(8, 8))
    with pytest.raises(ValueError, match=r"must be \(height, width\).*Got \(6,\)"):
        display.from_estimator(ramps(), *data, image_shape=(6,))


@pytest.mark.parametrize("display", [ManifoldDisplay, ReconstructionDisplay])
def test_an_estimator_must_decode(display):
    data = () if display is ManifoldDisplay else (X,)
    with pytest.raises(TypeError, match=r"'inverse_transform'. Got Normalizer"):
        display.from_estimator(Normalizer().fit(X), *data)


@pytest.mark.parametrize("display", [ManifoldDisplay, ReconstructionDisplay])
def test_line_scale_must_be_known(display):
    data = () if display is ManifoldDisplay else (X[:, :6],)
    with pytest.raises(ValueError, match=r"line_scale must .* Got 'row'"):
        display.from_estimator(ramps(), *data, line_scale="row")


TERMS = {"reconstruction": [4.0, 3.0], "kl": [1.0, 1.5], "order": [0.2, 0.1]}


def test_loss_curves_start_where_they_were_measured():
    display = LossCurveDisplay(
        [5.0, 4.0], validation_curve=[9.0, 6.0, 5.0], term_curves=TERMS
    ).plot()
    drawn = {name: line.get_xydata().tolist() for name, line in display.lines_.items()}
    assert drawn == {
        "loss": [[1, 5], [2, 4]],
        "validation": [[0, 9], [1, 6], [2, 5]],
        "reconstruction": [[1, 4], [2, 3]],
        "kl": [[1, 1], [2, 1.5]],
        "order": [[1, 0.2], [2, 0.1]],
    }


@pytest.mark.parametrize("others", [["kl"], ["kl", "order"], ["order"]])
def test_loss_curves_give_other_terms_a_panel_apart(others):
    terms = {name: TERMS[name] for name in ["reconstruction", *others]}
    display = LossCurveDisplay([5.0, 4.0], term_curves=terms).plot()
    for axes, names in zip(
        display.axes_, (["loss", "reconstruction"], others), strict=True
    ):
        assert list(axes.get_lines()) == [display.lines_[name] for name in names]
        texts = [text.get_text() for text in axes.get_legend().get_texts()]
        assert texts == [line.get_label() for line in axes.get_lines()]
    colors = {line.get_color() for line in display.axes_[1].get_lines()}
    assert len(colors) == len(others)
    assert texts == others


def test_loss_curves_of_a_vae_are_those_of_its_fit(vae):
    display = LossCurveDisplay.from_estimator(vae)
    assert display.ax_ is display.axes_[0]
    curves = {"loss": vae.loss_curve_, "validation": vae.validation_curve_}
    curves |= vae.term_curves_
    assert curves.keys() == display.lines_.keys()
    for name, curve in curves.items():
        assert_array_equal(display.lines_[name].get_ydata(), curve)


def test_loss_curves_of_an_autoencoder_have_one_panel(autoencoder):
    display = LossCurveDisplay.from_estimator(autoencoder)
    assert len(display.axes_) == len(display.figure_.axes) == 1
    assert set(display.lines_) == {"loss", "validation", "reconstruction"}


def test_loss_curves_leave_out_what_was_not_recorded():
    model = fit_briefly(VAETransformer, early_stopping=False)
    assert "validation" not in LossCurveDisplay.from_estimator(model).lines_


def test_loss_curves_take_one_axes_or_two():
    display = LossCurveDisplay([2.0, 1.0], term_curves={"kl": [0.1, 0.2]})
    _, axes = plt.subplots(2, 1)
    assert list(display.plot(axes).axes_) == list(axes)
    assert list(display.plot(axes[0]).axes_) == [axes[0]]
    assert set(display.lines_) == {"loss"}


def test_loss_curves_must_exist():
    pipeline = make_pipeline(StandardScaler(), PCA(2)).fit(X)
    with pytest.raises(TypeError, match=r"'loss_curve_'. Got Pipeline.*that step"):
        LossCurveDisplay.from_estimator(pipeline)


def test_reconstruction_images_stand_below_their_originals():
    pca = PCA(5).fit(X)
    display = ReconstructionDisplay.from_estimator(
        pca, X, n_samples=4, image_shape=(8, 8)
    )
    chosen = X[[0, 20, 39, 59]]
    upper, lower = np.split(display.image_.get_array(), 2)
    assert_array_equal(np.hstack(chosen.reshape(-1, 8, 8)), upper)
    again = pca.inverse_transform(pca.transform(chosen))
    assert_allclose(np.hstack(again.reshape(-1, 8, 8)), lower)
    assert display.image_.get_clim() == (chosen.min(), chosen.max())
    expected = ["row 0", "row 20", "row 39", "row 59"]
    assert labels(display.ax_.get_xticklabels()) == expected
    assert labels(display.ax_.get_yticklabels()) == ["reconstruction", "original"]


def test_reconstruction_lines_share_cells_and_scale():
    data = np.arange(12.0).reshape(2, 6)
    display = ReconstructionDisplay.from_estimator(ramps(), data)
    again = ramps().inverse_transform(data[:, :2])
    low, high = min(data.min(), again.min()), max(data.max(), again.max())
    for lines, values in zip(display.lines_, (data, again), strict=True):
        heights = np.array([segment[:, 1] for segment in lines.get_segments()])
        assert_allclose(heights, 0.1 + 0.8 * (values - low) / (high - low))
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == ["original", "reconstruction"]


def test_reconstruction_of_a_vae_is_decoded_from_its_posterior_mean(vae):
    display = ReconstructionDisplay.from_estimator(vae, X, n_samples=3)
    expected = vae.inverse_transform(vae.transform(X[[0, 30, 59]]))
    assert_allclose(display.reconstructions, expected, rtol=1e-6)


@pytest.mark.parametrize(
    "container", [pd.DataFrame, pl.DataFrame, coo_array, np.ndarray.tolist]
)
def test_reconstruction_chooses_rows_of_any_container(container):
    model = StandardScaler(with_mean=False)
    if container in (pd.DataFrame, pl.DataFrame):
        data = container({f"pixel{j}": X[:, j] for j in range(64)})
    else:
        data = container(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        display = ReconstructionDisplay.from_estimator(
            model.fit(data), data, n_samples=3
        )
    assert_array_equal(display.originals, X[[0, 30, 59]])


def test_reconstruction_draws_no_more_rows_than_there_are():
    display = ReconstructionDisplay.from_estimator(ramps(), X[:3, :6], n_samples=8)
    assert_array_equal(display.originals, X[:3, :6])


def draw(display, model, **options):
    data = (X,) if display in (LatentDisplay, ReconstructionDisplay) else ()
    return display.from_estimator(model, *data, **options)


every_display = pytest.mark.parametrize(
    "display",
    [LatentDisplay, LossCurveDisplay, ManifoldDisplay, ReconstructionDisplay],
)


@every_display
def test_display_needs_a_fitted_estimator(display):
    with pytest.raises(NotFittedError, match="not fitted"):
        draw(display, VAETransformer())


@every_display
def test_display_draws_on_the_axes_it_is_given(display, vae):
    _, ax = plt.subplots()
    other, _ = plt.subplots()
    drawn = draw(display, vae, ax=ax)
    assert drawn.ax_ is ax
    assert drawn.figure_ is ax.figure
    assert plt.gcf() is other
    assert len(plt.get_fignums()) == 2


@every_display
def test_display_refuses_other_axes(display, vae):
    _, axes = plt.subplots(3)
    with pytest.raises(ValueError, match=r"ax must be one .* Got ndarray of 3.*Give"):
        draw(display, vae, ax=axes)
    with pytest.raises(ValueError, match=r"ax must be one .* Got Figure\."):
        draw(display, vae, ax=axes[0].figure)


@every_display
def test_display_shows_nothing_and_keeps_settings(display, vae, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("shown")

    monkeypatch.setattr(plt, "show", refuse)
    before = dict(mpl.rcParams)
    drawn = draw(display, vae)
    drawn.figure_.canvas.draw()
    assert dict(mpl.rcParams) == before
    assert drawn.plot() is drawn


def test_importing_displays_does_not_import_matplotlib():
    code = "import sys, skvae.displays; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
