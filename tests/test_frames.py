"""Tables become numbers and codes, and come back as they were."""

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest

from skvae import VAETransformer
from skvae.table import as_cells
from skvae.table._frames import read_layout

PANDAS = pd.DataFrame(
    {
        "float": [1.5, np.nan, 2.0],
        "float32": np.array([1.5, 2.5, 3.5], dtype=np.float32),
        "uint8": np.array([1, 200, 3], dtype=np.uint8),
        "Int64": pd.array([1, None, 3], dtype="Int64"),
        "bool": [True, False, True],
        "boolean": pd.array([True, None, False], dtype="boolean"),
        "str": ["b", None, "a"],
        "string": pd.array(["u", pd.NA, "v"], dtype="string"),
        "object": np.array(["one", "b", None], dtype=object),
        "category": pd.Categorical(["lo", "hi", None], ["lo", "mid", "hi"], True),
    },
    index=[7, 8, 9],
)
POLARS = pl.DataFrame(
    {
        "float": [1.5, None, float("nan")],
        "uint8": pl.Series([1, 200, 3], dtype=pl.UInt8),
        "bool": [True, None, False],
        "str": ["b", None, "a"],
        "enum": pl.Series(["lo", None, "hi"], dtype=pl.Enum(["lo", "mid", "hi"])),
        "categorical": pl.Series(["x", None, "x"], dtype=pl.Categorical),
    }
)


def layout_of(X):
    layout = read_layout(X)
    coded = ("category", "level", "object")
    return layout.with_categories(
        X, {j: None for j, kind in enumerate(layout.kinds) if kind in coded}
    )


def encoded(layout, X, handle_unknown="error"):
    return layout.encode(X, handle_unknown)[:]


def test_kinds_follow_types_of_columns():
    expected = ["number"] * 4 + ["boolean"] * 2 + ["category"] * 3 + ["level"]
    assert read_layout(PANDAS).kinds == expected
    assert read_layout(POLARS).kinds == ["number"] * 2 + ["boolean"] + ["category"] * 3
    assert read_layout(as_cells(np.ones((2, 2)))).kinds == ["number"] * 2
    assert read_layout(as_cells(np.ones((2, 2), dtype=bool))).kinds == ["boolean"] * 2


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"x": pd.interval_range(0, 2)}),
        pl.DataFrame({"x": [{"a": 1}]}),
        pd.DataFrame({"x": pd.period_range("2020", periods=2, freq="D")}),
        pd.DataFrame({"x": [1j, 2.0]}),
        pl.DataFrame({"x": [b"a"]}),
        pl.DataFrame({"x": [datetime.time(3)]}),
    ],
    ids=["interval", "struct", "period", "complex", "binary", "time"],
)
def test_types_named_like_numbers_or_text_are_refused(frame):
    with pytest.raises(ValueError, match="in column 'x'"):
        read_layout(frame)


def test_pandas_cells_become_numbers_and_codes():
    nan = np.nan
    expected = [
        [1.5, 1.5, 1, 1, 1, 1, 1, 0, 1, 0],
        [nan, 2.5, 200, nan, 0, nan, nan, nan, 0, 2],
        [2.0, 3.5, 3, 3, 1, 0, 0, 1, nan, nan],
    ]
    np.testing.assert_array_equal(encoded(layout_of(PANDAS), PANDAS), expected)


def test_polars_cells_become_numbers_and_codes():
    nan = np.nan
    expected = [[1.5, 1, 1, 1, 0, 0], [nan, 200, nan, nan, nan, nan]]
    expected.append([nan, 3, 0, 0, 2, 0])
    np.testing.assert_array_equal(encoded(layout_of(POLARS), POLARS), expected)


def test_complete_pandas_rows_survive_the_round_trip():
    layout, rows = layout_of(PANDAS), PANDAS.iloc[[0, 0]]
    back = layout.decode(encoded(layout, rows), rows)
    pd.testing.assert_frame_equal(back, rows)


def test_complete_polars_rows_survive_the_round_trip():
    layout, rows = layout_of(POLARS), POLARS[[0, 0]]
    back = layout.decode(encoded(layout, rows))
    assert back.equals(rows)
    assert back.schema == rows.schema


def test_columns_with_the_same_name_survive_the_round_trip():
    frame = pd.DataFrame([[1.0, "a"], [2.0, "b"]], columns=["x", "x"])
    layout = layout_of(frame)
    back = layout.decode(encoded(layout, frame), frame)
    pd.testing.assert_frame_equal(
        back, frame.astype(back.dtypes.iloc[0], errors="ignore")
    )


def test_whole_numbers_are_rounded_within_the_range_of_their_type():
    frame = PANDAS[["uint8", "bool", "float"]]
    values = np.array([[3.6, 0.4, 3.6], [-2.0, 0.6, 0.1], [999.0, 7.0, 0.2]])
    layout = layout_of(frame)
    back = layout.decode(values)
    assert back["uint8"].tolist() == [4, 0, 255]
    assert back["bool"].tolist() == [False, True, True]
    assert back["float"].tolist() == [3.6, 0.1, 0.2]
    assert (back.dtypes == frame.dtypes).all()


def test_categories_of_a_type_count_whether_seen_or_not():
    assert layout_of(PANDAS).columns[-1].categories.tolist() == ["lo", "mid", "hi"]


def test_order_of_rows_does_not_change_the_codes():
    frame = pd.DataFrame({"x": pd.Series(["b", 2, "a", 1.5, True], dtype=object)})
    forward, backward = layout_of(frame), layout_of(frame[::-1])
    assert forward.columns[0].categories.tolist() == [True, 1.5, 2, "a", "b"]
    np.testing.assert_array_equal(encoded(forward, frame), encoded(backward, frame))


@pytest.mark.parametrize("library", [pd, pl])
def test_unknown_category_is_named(library):
    seen = library.DataFrame({"job": ["baker", "smith"]})
    new = library.DataFrame({"job": ["smith", "pilot"]})
    layout = layout_of(seen)
    with pytest.raises(ValueError, match=r"'job' must.*'baker', 'smith'. Got 'pilot'"):
        encoded(layout, new)
    codes = encoded(layout, new, "missing")
    np.testing.assert_array_equal(codes, [[1.0], [np.nan]])


def test_cell_that_is_no_category_is_refused_in_new_rows_too():
    layout = layout_of(pd.DataFrame({"job": ["baker", "smith"]}))
    new = pd.DataFrame({"job": ["smith", ["pilot"]]})
    for handle_unknown in ("error", "missing"):
        with pytest.raises(TypeError, match=r"unhashable.*'job'"):
            encoded(layout, new, handle_unknown)


def test_one_package_reads_what_the_other_was_fitted_to():
    seen = pd.DataFrame({"job": ["baker", "smith"], "age": [1, 2]})
    layout = layout_of(seen)
    new = pl.DataFrame({"job": ["smith", None], "age": [None, 3]})
    codes = encoded(layout, new)
    np.testing.assert_array_equal(codes, [[1.0, np.nan], [np.nan, 3.0]])
    assert isinstance(layout.decode(np.nan_to_num(codes)), pd.DataFrame)


def test_numbers_of_an_array_are_coded_and_decoded():
    X = np.array([[5.0, 0.1], [7.0, 0.2], [np.nan, 0.3], [5.0, 0.4]])
    cells = as_cells(X)
    layout = read_layout(cells).with_categories(cells, {0: None})
    codes = encoded(layout, cells)
    np.testing.assert_array_equal(codes[:, 0], [0.0, 1.0, np.nan, 0.0])
    np.testing.assert_array_equal(layout.decode(codes[[0, 1, 3]]), X[[0, 1, 3]])
    assert X[0, 0] == 5.0


# Filled cells

LARGE = [2**60 + 1, 2**60 + 2, 2**60 + 3]
MONEY = [Decimal("0.10"), Decimal("12345678901234567.89"), Decimal("2.5")]
INSTANTS = np.array(["2026-01-01T00:00:00.123456789"] * 3, "M8[ns]")
COMPLETE = {
    "int64": pd.Series(LARGE),
    "uint64": pd.Series(LARGE, dtype="uint64"),
    "Int64": pd.Series(LARGE, dtype="Int64"),
    "objects": pd.Series(LARGE, dtype=object),
    "Decimal": pd.Series(MONEY, dtype=object),
    "instants": pd.Series(INSTANTS),
    "time zone": pd.Series(INSTANTS).dt.tz_localize("Asia/Tokyo"),
    "sparse": pd.Series(pd.arrays.SparseArray([0, 5, 0])),
    "float32": pd.Series([0.1, 0.2, 0.3], dtype="float32"),
    "text": pd.Series(["b", "a", "b"]),
    "levels": pd.Series(pd.Categorical(["b", "a", "b"], ["b", "a"], ordered=True)),
    "tuples": pd.Series([(1, 2), (1, 3), (1, 2)]),
    "polars Int64": pl.Series(LARGE),
    "polars Int128": pl.Series([2**100, 2**100 + 1, 0], dtype=pl.Int128),
    "polars Decimal": pl.Series(MONEY, dtype=pl.Decimal(30, 2)),
    "polars instants": pl.Series(INSTANTS, dtype=pl.Datetime("ns", "Asia/Tokyo")),
    "polars Enum": pl.Series(["b", "a", "b"], dtype=pl.Enum(["b", "a"])),
}


@pytest.mark.parametrize("column", COMPLETE.values(), ids=COMPLETE)
def test_filled_columns_keep_their_type_and_all_other_cells(column):
    library = pl if isinstance(column, pl.Series) else pd
    X = library.DataFrame({"x": column})
    layout = layout_of(X)
    numbers = encoded(layout, X).copy()
    numbers[0] = numbers[2]
    missing = np.array([[True], [False], [False]])
    filled = layout.fill(X, numbers, missing)["x"]
    assert filled.dtype == column.dtype
    assert filled.to_list()[1:] == column.to_list()[1:]
    got, expected = filled.to_list()[0], column.to_list()[2]
    # As near as float64 can be.
    assert got == expected or abs(got - expected) <= type(got - expected)(2**7)


def test_filled_columns_that_say_nothing_get_the_type_of_fit():
    layout = layout_of(PANDAS[["float", "str", "category"]])
    X = pd.DataFrame(
        {
            "float": pd.Series([1.5, None], dtype=object),
            "str": pd.Series([None, None], dtype=object),
            "category": pd.Categorical(["hi", "odd"]),
        }
    )
    missing = np.array([[False, True, False], [True, True, True]])
    filled = layout.fill(X, np.array([[1.5, 0.0, 2.0], [2.5, 1.0, 0.0]]), missing)
    assert filled.dtypes.tolist() == PANDAS[list(filled)].dtypes.tolist()
    assert filled.to_numpy().tolist() == [[1.5, "a", "hi"], [2.5, "b", "lo"]]


def test_unknown_level_of_polars_is_filled():
    layout = layout_of(POLARS[["enum"]])
    X = pl.DataFrame({"enum": pl.Series(["hi", "odd"], dtype=pl.Enum(["odd", "hi"]))})
    filled = layout.fill(X, np.array([[2.0], [0.0]]), np.array([[False], [True]]))
    assert filled["enum"].to_list() == ["hi", "lo"]


@pytest.mark.parametrize("cells", [[1.5, None, 2], [2**60 + 1, None, 2]])
def test_array_of_objects_becomes_floats_if_that_changes_no_cell(cells):
    X = np.array(cells, dtype=object)[:, None]
    layout = read_layout(as_cells(np.ones((1, 1))))
    missing = np.array([[False], [True], [False]])
    filled = layout.fill(X, np.array([[0.0], [0.5], [0.0]]), missing)
    assert filled[:, 0].tolist() == [cells[0], 0.5, 2]
    assert filled.dtype == (float if cells[0] == 1.5 else object)


@pytest.mark.filterwarnings("ignore:.*carry nothing")
@pytest.mark.parametrize("likelihood", ["categorical", "ordinal"])
@pytest.mark.parametrize("library", [pd, pl])
def test_whole_numbers_beyond_int64_stay_whole_as_categories(likelihood, library):
    large = [3, 2**63 + 2**11]
    cells = pd.Series(large * 10, dtype="uint64")
    cells = cells if library is pd else pl.Series(cells.to_list(), dtype=pl.UInt64)
    X = library.DataFrame({"c": cells, "x": np.arange(20.0)})
    vae = VAETransformer(
        1, likelihood={"c": likelihood}, max_iter=1, tol=None, random_state=0
    )
    drawn = vae.fit(X).sample(20, random_state=0)
    assert drawn["c"].dtype == X["c"].dtype
    assert set(drawn["c"].to_list()) <= set(large)
