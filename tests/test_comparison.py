"""How generated rows differ from real ones, in numbers and in a picture."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose
from scipy.stats import ks_2samp

from skvae import RowComparisonDisplay
from skvae.inspection import compare_rows

RNG = np.random.default_rng(0)


def _rows(n):
    """Return two columns that go together, and one that does not."""
    a, b, c = RNG.normal(size=(3, n))
    return np.column_stack((a, 0.8 * a + 0.6 * b, c))


TRAIN, REAL, OTHERS = _rows(1200), _rows(600), _rows(600)


def _table(n):
    color = RNG.choice(["red", "green", "blue"], n, p=[0.6, 0.3, 0.1])
    size = np.where(color == "red", 1.0, 2.0) + 0.1 * RNG.normal(size=n)
    return pd.DataFrame({"color": color, "size": size, "on": RNG.random(n) < 0.3})


# Columns and pairs


def test_rows_of_the_same_distribution_do_not_differ():
    comparison = compare_rows(REAL, OTHERS, train=TRAIN)
    assert abs(comparison.auc - 0.5) < 0.06
    assert abs(comparison.auc_train - 0.5) < 0.06
    assert max(comparison.columns["distance"]) < 0.1
    assert np.abs(comparison.pairs).max() < 0.15
    assert 0.9 < comparison.closest_ratio < 1.1
    assert comparison.copies == comparison.copies_real == 0.0


def test_columns_without_what_joins_them_are_told_apart():
    broken = np.column_stack([RNG.permutation(column) for column in OTHERS.T])
    comparison = compare_rows(REAL, broken, train=TRAIN)
    assert max(comparison.columns["distance"]) < 0.1
    assert comparison.auc > 0.65
    # A correlation of 0.8, of which bins lose a little.
    assert -0.85 < comparison.pairs[0, 1] < -0.65
    assert_allclose(comparison.pairs, comparison.pairs.T)
    assert not comparison.pairs.diagonal().any()


def test_distances_of_columns_are_their_definitions():
    columns = compare_rows(REAL, OTHERS + 0.5, train=TRAIN).columns
    for j in range(3):
        found = ks_2samp(REAL[:, j], OTHERS[:, j] + 0.5).statistic
        assert columns["distance"][j] == pytest.approx(found)
    real = pd.DataFrame({"a": ["x"] * 30 + ["y"] * 10})
    generated = pd.DataFrame({"a": ["x"] * 10 + ["y"] * 10 + ["z"] * 20})
    columns = compare_rows(real, generated).columns
    # Frequencies .75, .25, 0 and .25, .25, .5.
    assert columns["distance"][0] == pytest.approx(0.5)
    assert columns["outside"][0] == pytest.approx(0.5)


def test_cells_beyond_the_range_and_missing_ones_are_counted():
    generated = OTHERS.copy()
    generated[:60, 0] = 100.0
    generated[:150, 2] = np.nan
    columns = compare_rows(REAL, generated, train=TRAIN).columns
    assert columns["outside"][0] == pytest.approx(0.1, abs=0.01)
    assert columns["outside"][2] < 0.01
    assert columns["missing"] == [0.0, 0.0, 0.25]
    assert columns["missing_real"] == [0.0, 0.0, 0.0]


# Copies


def test_copies_are_found():
    copied = np.concatenate((TRAIN[:300], OTHERS[:100]))
    comparison = compare_rows(REAL, copied, train=TRAIN)
    assert comparison.copies == 0.75
    assert comparison.closest_ratio == 0.0
    assert (comparison.closest[:300] == 0.0).all()
    assert (comparison.closest[300:] > 0.0).all()


def test_real_rows_are_no_copies_of_themselves():
    comparison = compare_rows(REAL, OTHERS)
    assert comparison.copies_real == 0.0
    assert (comparison.closest_real > 0.0).all()
    assert comparison.auc_train is None
    assert "distance_train" not in comparison.columns


def test_distances_of_rows_are_those_of_standardized_cells():
    train = _table(100)
    real = _table(10)
    comparison = compare_rows(real, _table(10), train=train)
    std = train["size"].std(ddof=0), train["on"].std(ddof=0)
    apart = [
        np.square((real["size"].iloc[0] - train["size"]) / std[0])
        + np.square((real["on"].iloc[0] - train["on"].astype(float)) / std[1])
        + (real["color"].iloc[0] != train["color"])
    ]
    assert comparison.closest_real[0] == pytest.approx(np.sqrt(np.min(apart)))


# Models


def test_models_of_copies_are_as_good_as_those_of_training_rows():
    train, real = _table(400), _table(200)
    color, *others = (
        compare_rows(real, train, train=train, target=target)
        for target in ("color", "size", "on")
    )
    for comparison in (color, *others):
        assert comparison.skill == comparison.skill_train
    assert color.skill > 0.2


def test_models_of_rows_without_structure_have_no_skill():
    train, real, generated = _table(400), _table(200), _table(400)
    generated["size"] = RNG.permutation(generated["size"])
    comparison = compare_rows(real, generated, train=train, target="color")
    assert abs(comparison.skill) < 0.1 < 0.2 < comparison.skill_train


def test_classes_that_were_never_generated_are_predicted_by_chance():
    train, real = _table(400), _table(200)
    generated = train[train["color"] == "red"]
    assert compare_rows(real, generated, train=train, target="color").skill == 0.0
    generated = train[train["color"] != "blue"]
    skill = compare_rows(real, generated, train=train, target="color").skill
    assert 0.0 < skill < 0.5


def test_categories_that_real_rows_lack_are_not_taken_for_others():
    def rows(*labels):
        labels = np.repeat(labels, 50)
        where = (labels == "c") + 0.1 * RNG.normal(size=len(labels))
        return pd.DataFrame({"x": where, "label": labels})

    given = {"train": rows("a", "b", "c"), "target": "label"}
    comparison = compare_rows(rows("a", "c"), rows("b", "c"), **given)
    # Real rows of "c" are found, and "a" is not known.
    assert comparison.skill == pytest.approx(0.25)


def test_few_whole_numbers_are_classes():
    def rows(n):
        y = RNG.integers(3, size=n)
        return np.column_stack((y + 0.1 * RNG.normal(size=n), y))

    generated = rows(200)
    generated[:, 1] += 0.2
    comparison = compare_rows(rows(100), generated, train=rows(200), target=1)
    assert comparison.skill == pytest.approx(0.5, abs=0.01)


# Containers and odd rows


def test_tables_of_all_packages_give_the_same_numbers():
    given = _table(200), _table(100), _table(300)
    found = [
        compare_rows(given[0].map(lambda x: x), given[1], train=given[2]),
        compare_rows(*map(pl.from_pandas, given[:2]), train=pl.from_pandas(given[2])),
    ]
    assert isinstance(found[0].columns, pd.DataFrame)
    assert isinstance(found[1].columns, pl.DataFrame)
    assert found[0].auc == found[1].auc
    assert str(found[0]) == str(found[1])
    assert "training rows" in str(found[0])


def test_columns_that_hold_nothing_are_no_obstacle():
    real, generated = np.zeros((20, 2)), np.zeros((20, 2))
    real[:, 1] = np.nan
    comparison = compare_rows(real, generated)
    assert comparison.columns["distance"][0] == 0.0
    assert np.isnan(comparison.columns["distance"][1])
    assert np.isnan(comparison.closest_ratio)
    assert comparison.copies_real == 1.0
    assert str(comparison)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match=r"at least 10 rows\. Got 9"):
        compare_rows(REAL, OTHERS[:9])
    with pytest.raises(ValueError, match="train must be given where target is"):
        compare_rows(REAL, OTHERS, target=0)
    with pytest.raises(ValueError, match=r"target must be a column .*Got 7"):
        compare_rows(REAL, OTHERS, train=TRAIN, target=7)
    with pytest.raises(ValueError, match="features"):
        compare_rows(REAL, OTHERS[:, :2])
    with pytest.raises(ValueError, match="finite"):
        compare_rows(REAL, np.full((20, 3), np.inf))


# The picture


def test_display_draws_columns_pairs_and_rows():
    comparison = compare_rows(_table(200), _table(100), train=_table(200))
    display = RowComparisonDisplay(comparison).plot()
    order = np.argsort(-comparison.columns["distance"].to_numpy(), kind="stable")
    widths = [bar.get_width() for bar in display.bars_]
    assert_allclose(widths, comparison.columns["distance"].to_numpy()[order])
    labels = [label.get_text() for label in display.axes_[0].get_yticklabels()]
    assert labels == list(comparison.columns["column"][order])
    assert_allclose(display.image_.get_array(), comparison.pairs[np.ix_(order, order)])
    drawn = display.lines_["generated"].get_xdata()
    assert_allclose(drawn, np.sort(comparison.closest))
    plt.close(display.figure_)


def test_display_draws_where_it_is_told():
    figure, axes = plt.subplots(1, 3)
    display = RowComparisonDisplay.from_rows(REAL, OTHERS, ax=axes)
    assert display.figure_ is figure
    assert display.axes_[0].get_legend() is None
    with pytest.raises(ValueError, match="three matplotlib Axes"):
        RowComparisonDisplay.from_rows(REAL, OTHERS, ax=axes[0])
    with pytest.raises(TypeError, match="must be a RowComparison"):
        RowComparisonDisplay(REAL).plot()
    plt.close(figure)


@pytest.fixture(scope="module")
def far():
    """A picture of few rows, of which one generated one is far from all others."""
    X = np.random.default_rng(0).normal(size=(160, 3))
    X[-1] = 1e4
    display = RowComparisonDisplay.from_rows(X[:40], X[80:], train=X[40:80])
    yield display
    plt.close(display.figure_)


def test_one_far_row_is_counted_and_does_not_hide_the_others(far):
    rows = far.axes_[2]
    assert (far.comparison.closest > rows.get_xlim()[1]).sum() == 1
    assert (far.comparison.closest_real <= rows.get_xlim()[1]).all()
    assert -0.1 < rows.get_xlim()[0] / rows.get_xlim()[1] <= 0.0
    assert "left out: 1)" in rows.get_xlabel()


def test_titles_lie_within_the_figure(far):
    far.figure_.draw_without_rendering()
    edge = far.figure_.bbox
    for ax in far.axes_:
        box = ax.title.get_window_extent()
        assert box.x0 >= edge.x0
        assert box.x1 <= edge.x1


def test_many_columns_are_counted_and_get_no_numbers_of_their_own():
    wide = np.random.default_rng(0).normal(size=(60, 21))
    display = RowComparisonDisplay.from_rows(wide[:30], wide[30:])
    assert not display.axes_[0].get_yticks().size
    assert display.axes_[0].get_ylabel() == "21 columns"
    plt.close(display.figure_)
