"""Cells of a column become numbers, and numbers its cells."""

import datetime
import uuid
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest

from skvae.table._frames import read_layout
from skvae.table._kinds import (
    Column,
    days,
    described,
    first_day,
    instants,
    is_missing,
    numbers,
    values,
)

ID = uuid.UUID(int=1)
MISSING = [None, np.nan, pd.NA, pd.NaT, Decimal("NaN"), np.datetime64("NaT")]


@pytest.mark.parametrize("cell", MISSING, ids=repr)
def test_missing_cells(cell):
    assert is_missing(cell)


@pytest.mark.parametrize("cell", [0, "", "nan", (), Decimal(1), False, b""], ids=repr)
def test_cells_that_are_not_missing(cell):
    assert not is_missing(cell)


@pytest.mark.parametrize(
    ("cells", "kind", "nature"),
    [
        ([1, 2], "number", "int"),
        ([1, 2.5, np.float32(1)], "number", "float"),
        ([np.int8(1), Decimal("1.50"), Decimal("2")], "number", "Decimal 2"),
        ([Decimal("1.5"), 0.1], "number", "float"),
        ([True, np.False_], "boolean", "bool"),
        (["a", "b"], "category", "str"),
        ([(1, 2), (3, 4)], "category", "tuple"),
        ([ID], "category", "UUID"),
        ([], "category", ""),
        ([1, "a"], "object", "int, str"),
        ([True, 2], "object", "bool, int"),
        ([1j], "object", "complex"),
        ([datetime.date(2026, 1, 1)], "object", "date"),
        ([pd.Timestamp("2026")], "object", "date"),
        ([pd.Timedelta(1)], "object", "date"),
        ([pd.Period("2026", "D")], "object", "date"),
        ([datetime.time(3)], "object", "date"),
    ],
)
def test_objects_go_by_their_cells(cells, kind, nature):
    assert described([*cells, *MISSING]) == (kind, nature)


# Dates


@pytest.mark.parametrize("unit", ["Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns"])
def test_dates_are_days_in_any_unit(unit):
    dates = np.array(["2026-01-01", "1969-01-01", "NaT"], f"M8[{unit}]")
    first = dates.astype("M8[D]").astype(float)
    np.testing.assert_array_equal(days(dates), np.where(np.isnat(dates), np.nan, first))


def test_days_are_exact_at_both_ends_of_the_nanoseconds():
    # Their difference is beyond the range of their type.
    ends = np.array(["1677-09-23T12", "2262-04-10T12"], "M8[ns]")
    got = days(ends, first_day(ends))
    assert got.tolist() == [0.5, 213500.5]
    np.testing.assert_array_equal(instants(got, first_day(ends), "M8[ns]"), ends)


@pytest.mark.parametrize("dtype", ["M8[s]", "M8[ms]", "M8[us]", "M8[D]", "M8[h]"])
def test_dates_come_back(dtype):
    random = np.random.default_rng(0)
    dates = np.datetime64("2026", "h") + random.integers(-(10**5), 10**5, 50)
    dates = dates.astype(dtype)
    origin = first_day(dates)
    np.testing.assert_array_equal(instants(days(dates, origin), origin, dtype), dates)


@pytest.mark.parametrize("dtype", ["M8[s]", "M8[ns]", "m8[s]", "m8[ns]"])
def test_dates_stay_within_what_packages_can_hold(dtype):
    ends = instants(np.array([-1e300, 1e300]), 0, dtype)
    assert not np.isnat(ends).any()
    assert ends[0] < np.array(0, dtype) < ends[1]
    frame = pl.Series(ends.astype(f"{dtype[:2]}[us]"))
    assert len(frame.to_list()) == 2
    assert len(pd.Series(ends).tolist()) == 2


def column(cells):
    return read_layout(pd.DataFrame({"when": cells})).columns[0]


DATES = pd.Series(pd.date_range("2026-03-01 10:30", periods=3)).dt.as_unit("us")
AWARE = DATES.dt.tz_localize("Europe/Berlin")
OF_POLARS = pl.Series(DATES.to_numpy())


@pytest.mark.parametrize(
    "others",
    [
        DATES.dt.as_unit("ns"),
        OF_POLARS,
        OF_POLARS.cast(pl.Datetime("ms")),
        pd.Series(pd.arrays.SparseArray(DATES.dt.as_unit("ns").to_numpy())),
    ],
    ids=["unit", "polars", "polars unit", "sparse"],
)
def test_dates_of_any_type_are_the_same_days(others):
    np.testing.assert_array_equal(
        numbers(others, column(DATES)), [0.4375, 1.4375, 2.4375]
    )


def test_time_zones_are_instants():
    known = column(AWARE)
    tokyo = AWARE.dt.tz_convert("Asia/Tokyo")
    np.testing.assert_array_equal(numbers(tokyo, known), numbers(AWARE, known))


@pytest.mark.parametrize(
    ("cells", "known", "message"),
    [
        (DATES, Column("a", "number", "float64"), "'a' must hold numbers.*datetime64"),
        (pd.Series([1, 2]), column(DATES), "'when' must hold dates.*to_datetime"),
        (DATES, column(AWARE), "with a time zone, such as Europe/Berlin"),
        (AWARE, column(DATES), "must hold dates without zone, as in fit. Got .*Berlin"),
        (pd.Series(["2026"]), column(DATES), "must hold dates"),
        (
            pd.Series(["1"]),
            Column("a", "number", "float64"),
            "Got str.*'1'.*to_numeric",
        ),
        (pd.Series([1j]), Column("a", "number", "float64"), "Got complex128"),
        (DATES - DATES[0], column(DATES), "must hold dates.*Got timedelta"),
        (pd.Series([[1]]), Column("a", "number", "float64"), "Got object of list"),
        (pd.Series(["u"]), Column("a", "boolean", "bool"), "must hold booleans"),
    ],
)
def test_cells_of_another_kind_are_refused(cells, known, message):
    with pytest.raises(ValueError, match=message):
        numbers(cells, known)


@pytest.mark.parametrize(
    "cells",
    [
        pd.Series([None, pd.NA, np.nan], dtype=object),
        pd.Series([None, None, None], dtype="str"),
        pd.Series([np.nan] * 3),
        pl.Series([None] * 3),
        pl.Series([None] * 3, dtype=pl.String),
    ],
)
@pytest.mark.parametrize("known", [column(DATES), Column("a", "number", "float64")])
def test_cells_that_are_all_missing_are_of_any_kind(cells, known):
    assert np.isnan(numbers(cells, known)).all()


# Numbers become cells


@pytest.mark.parametrize(
    ("dtype", "given", "expected"),
    [
        ("uint8", [-2.0, 3.6, 999.0], [0, 4, 255]),
        ("Int64", [-1e300, 0.4, 1e300], [-(2**63), 0, 2**63 - 1024]),
        ("UInt64", [-1.0, 1e300], [0, 2**64 - 2048]),
        ("Int128", [-1e300, 1e300], [-(2**127), int(np.nextafter(2.0**127, 0))]),
        ("Sparse[int8, 0]", [200.0], [127]),
        ("arrow uint8", [200.4], [200]),
        ("object of int", [1e30, -0.6], [int(1e30), -1]),
        ("object of Decimal 2", [0.125, -1e30], [Decimal("0.12"), Decimal("-1e30")]),
        ("arrow decimal128(4, 1)", [1.26, 1e9], [Decimal("1.3"), Decimal("999.9")]),
        ("float16", [1e9, 0.5], [65504.0, 0.5]),
        (
            "float32",
            [-1e300, 1e300],
            [-float(np.finfo("f4").max), float(np.finfo("f4").max)],
        ),
        ("float64", [1e300], [1e300]),
    ],
)
def test_numbers_are_what_a_type_can_hold(dtype, given, expected):
    got = values(np.array(given), Column("a", "number", dtype))
    assert got.tolist() == expected
    assert list(map(type, got.tolist())) == list(map(type, expected))
