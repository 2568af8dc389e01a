"""Displays of decoded rows draw every table that `fit` takes."""

import warnings
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skvae import VAETransformer
from skvae.displays import (
    LatentDisplay,
    LoadingsDisplay,
    ManifoldDisplay,
    ReconstructionDisplay,
    RowComparisonDisplay,
    TraversalDisplay,
)

pytestmark = pytest.mark.usefixtures("no_screen")


@pytest.fixture(scope="module")
def table():
    """Numbers with gaps, text, truths and dates that follow one cause."""
    random = np.random.default_rng(0)
    z = random.normal(size=60)
    days = pd.to_timedelta(100 * z, "D")
    frame = pd.DataFrame(
        {
            "age": 40.0 + 10.0 * z,
            "income": 3000.0 + 1000.0 * z,
            "job": np.where(z > 0.0, "chief", "clerk"),
            "owns": z > 0.2,
            "since": pd.Timestamp("2020-01-01") + days,
        }
    )
    frame.loc[::7, "age"] = np.nan
    frame.loc[1::7, "job"] = None
    return frame


@pytest.fixture(scope="module")
def vae(table):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "1 of 2 components carry nothing")
        return VAETransformer(2, max_iter=2, tol=None, random_state=0).fit(table)


def test_reconstructions_of_a_mixed_table_stand_beside_each_value(vae, table):
    display = ReconstructionDisplay.from_estimator(vae, table, n_samples=60)
    labels = [text.get_text() for text in display.ax_.get_yticklabels()]
    assert labels == [*table.columns]
    original, decoded = (dots.get_offsets().reshape(60, 5, 2) for dots in display.dots_)
    assert_array_equal(
        np.isnan(np.ma.filled(original[..., 0], np.nan)), table.isna().to_numpy()
    )
    assert np.isfinite(np.ma.filled(decoded, np.nan)).all()
    # Within a row, dots lie where the values lie in the range of their feature.
    income = np.ma.filled(original[:, 1, 0], np.nan) - np.arange(60)
    assert_array_equal(np.argsort(income), np.argsort(table["income"]))
    assert display.image_ is display.lines_ is None


def test_manifold_of_a_mixed_table_names_its_features(vae, table):
    display = ManifoldDisplay.from_estimator(vae, n_cells=3)
    assert ", ".join(table.columns) in display.ax_.get_xlabel()
    rows = display.cells.reshape(9, 5)
    assert np.isfinite(rows).all()
    assert set(rows[:, 2]) <= {0.0, 1.0}


@pytest.mark.parametrize("image_shape", [None, (2, 2)])
def test_a_missing_value_leaves_the_others_visible(image_shape):
    random = np.random.default_rng(0)
    X = random.normal(size=(40, 1)) + 0.1 * random.normal(size=(40, 4))
    model = VAETransformer(1, max_iter=2, tol=None, random_state=0).fit(X)
    X[0, 1] = np.nan
    options = {"n_samples": 40, "image_shape": image_shape}
    display = ReconstructionDisplay.from_estimator(model, X, **options)
    if image_shape is not None:
        assert_allclose(display.image_.get_clim(), (np.nanmin(X), np.nanmax(X)))
        assert np.ma.count_masked(np.ma.masked_invalid(display.image_.get_array())) == 1
        return
    first, second, *_ = display.lines_[0].get_paths()
    assert_array_equal(np.isnan(first.vertices[:, 1]), np.isnan(X[0]))
    assert np.isfinite(second.vertices).all()


def test_lines_have_a_scale_for_each_feature_where_one_is_large():
    X = np.random.default_rng(0).normal(size=(8, 5)) * (1, 1, 1, 1, 1000)
    heights = {}
    for scale in ("auto", "shared", "feature"):
        display = ReconstructionDisplay(X, X).plot(line_scale=scale)
        lines = np.array(display.lines_[0].get_segments())
        heights[scale] = np.ptp(lines[:, :4, 1], axis=0)
    assert_allclose(heights["auto"], heights["feature"])
    assert heights["shared"].max() < 0.01 < 0.5 < heights["auto"].min()
    alike = ReconstructionDisplay(X[:, :4], X[:, :4])
    auto, shared = (
        np.array(alike.plot(line_scale=scale).lines_[0].get_segments())
        for scale in ("auto", "shared")
    )
    assert_allclose(auto, shared)


def test_more_features_than_have_names_are_lines():
    X = np.random.default_rng(0).normal(size=(4, 31))
    display = ReconstructionDisplay(X, X, feature_names=[f"f{j}" for j in range(31)])
    assert display.plot().dots_ is None


def overlaps(one, other):
    return one.get_window_extent().overlaps(other.get_window_extent())


@pytest.mark.parametrize("has_names", [True, False], ids=["dots", "lines"])
def test_reconstructions_leave_room_for_a_title_and_names_of_rows(
    vae, table, has_names
):
    drawn = ReconstructionDisplay.from_estimator(vae, table, n_samples=6)
    names = [f"a long name of a feature {k}" for k in range(5)] if has_names else None
    display = ReconstructionDisplay(
        drawn.originals, drawn.reconstructions, names=drawn.names, feature_names=names
    ).plot()
    display.ax_.set_title("the title of a picture")
    display.figure_.draw_without_rendering()
    assert not overlaps(display.ax_.title, display.ax_.get_legend())
    labels = display.ax_.get_xticklabels()
    for label, following in pairwise(labels):
        assert not overlaps(label, following)


@pytest.fixture(scope="module")
def prices(iris):
    """Columns and categories that matplotlib would read as formulas, and fail."""
    level = np.array(["$", "$$", r"$\frac$"])[np.arange(150) % 3]
    return pd.DataFrame({"$": iris[:, 0], r"$\sum_$": iris[:, 1], "$$": level})


@pytest.fixture(scope="module")
def model_of_prices(prices):
    return VAETransformer(2, max_iter=2, tol=None, random_state=0).fit(prices)


@pytest.mark.filterwarnings("ignore:.*components carry nothing")
@pytest.mark.parametrize(
    "draw",
    [
        lambda vae, X: LatentDisplay.from_estimator(vae, X, X["$$"], n_arrows=3),
        lambda vae, X: LoadingsDisplay.from_estimator(vae, X, kind="heatmap"),
        lambda vae, _: ManifoldDisplay.from_estimator(vae, n_cells=2),
        lambda vae, X: ReconstructionDisplay.from_estimator(vae, X),
        lambda vae, X: TraversalDisplay.from_estimator(vae, X[:1]),
        lambda _, X: RowComparisonDisplay.from_rows(X[:75], X[75:]),
    ],
)
def test_names_with_dollar_signs_are_no_formulas(draw, prices, model_of_prices):
    draw(model_of_prices, prices).figure_.draw_without_rendering()
