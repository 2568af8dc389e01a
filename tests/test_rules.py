"""Columns that determine others."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skvae.inspection import find_rules

RANDOM = np.random.default_rng(0)
LEVELS = np.array(["primary", "secondary", "bachelor", "master"])
CODES = RANDOM.integers(0, 4, 200)
FRAME = pd.DataFrame(
    {
        "degree": pd.Categorical(LEVELS[CODES]),
        "years": np.array([6, 12, 15, 17])[CODES],
        "studied": CODES > 1,
        "income": RANDOM.normal(size=200),
        "region": RANDOM.integers(0, 3, 200),
    }
)


def pairs(X):
    table = find_rules(X).table
    return set(zip(table["determinant"], table["dependent"], strict=True))


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_columns_that_determine_others_are_found(library):
    X = FRAME if library == "pandas" else pl.from_pandas(FRAME)
    assert pairs(X) == {("degree", "years"), ("degree", "studied")}
    assert isinstance(find_rules(X).table, type(X))


def test_of_two_columns_that_determine_each_other_the_first_does():
    assert pairs(FRAME[["years", "degree"]]) == {("years", "degree")}


def test_nothing_is_determined_by_values_that_hardly_repeat():
    few = pd.DataFrame({"a": [1, 1, 2, 3, 4, 5], "b": [0, 0, 1, 0, 1, 1]})
    assert find_rules(few).rules == []
    assert repr(find_rules(few)) == "No column determines another."
    assert pairs(FRAME[["income", "region"]]) == set()


def test_constant_column_is_not_determined():
    assert pairs(FRAME[["degree"]].assign(one=1)) == set()


def test_an_exception_breaks_a_rule():
    X = FRAME.copy()
    X.loc[0, "years"] = 40
    assert ("degree", "years") not in pairs(X)


def test_missing_cells_say_nothing():
    X = FRAME[["degree", "years"]].astype({"years": float})
    X.loc[::5, "degree"] = None
    X.loc[1::5, "years"] = None
    rules = find_rules(X)
    assert pairs(X) == {("degree", "years")}
    again = rules.apply(X)
    pd.testing.assert_frame_equal(again, X)


def test_rules_are_kept_where_they_are_applied():
    rules = find_rules(FRAME)
    generated = FRAME.assign(years=RANDOM.permutation(FRAME["years"]), studied=False)
    before = rules.fraction_kept(generated)
    assert (before < 0.6).all()
    kept = rules.apply(generated)
    assert_array_equal(rules.fraction_kept(kept), 1.0)
    assert (kept.dtypes == FRAME.dtypes).all()
    pd.testing.assert_frame_equal(
        kept[["degree", "years", "studied"]], FRAME.iloc[:, :3]
    )
    pd.testing.assert_series_equal(kept["income"], FRAME["income"])


def test_values_that_no_rule_knows_stay():
    rules = find_rules(FRAME[["years", "region", "studied"]])
    rows = FRAME[["years", "region", "studied"]].assign(years=99)
    pd.testing.assert_frame_equal(rules.apply(rows), rows)
    assert np.isnan(rules.fraction_kept(rows)).all()


def test_rules_of_an_array_are_by_position():
    X = np.column_stack((CODES, 2.0 * CODES + 1.0, RANDOM.normal(size=200)))
    rules = find_rules(X)
    assert rules.table == {"determinant": [0], "dependent": [1], "n_values": [4]}
    rows = X.copy()
    rows[:, 1] = 0.0
    assert_allclose(rules.apply(rows), X)


def test_chains_are_applied_from_the_top():
    town = RANDOM.integers(0, 12, 400)
    X = pd.DataFrame({"land": town // 6, "region": town // 3, "town": town})
    rules = find_rules(X)
    assert pairs(X) == {("region", "land"), ("town", "region")}
    rows = X.assign(region=0, land=0)
    pd.testing.assert_frame_equal(rules.apply(rows), X)
