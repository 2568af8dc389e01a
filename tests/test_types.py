"""A type of a column becomes a text, and the same type again."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from skvae.table._types import kind_of, pandas_type, polars_type, text_of, zone_of

OF_PANDAS = {
    "number": [
        *("int8", "uint64", "float16", "float64", "Int64", "UInt8", "Float32"),
        *("Sparse[int]", "Sparse[float]", pd.SparseDtype("int64", 7)),
        *map(pd.ArrowDtype, (pa.int8(), pa.float16(), pa.float32(), pa.float64())),
        *map(pd.ArrowDtype, (pa.decimal128(10, 2), pa.decimal256(50, -2))),
    ],
    "boolean": ["bool", "boolean", "Sparse[bool]", pd.ArrowDtype(pa.bool_())],
    "category": [
        *("str", "string", "string[python]", "string[pyarrow]"),
        pd.StringDtype("python", na_value=np.nan),
        *(pd.CategoricalDtype(c) for c in (["b", "a"], [2, 1], [1.5], [True, False])),
        pd.CategoricalDtype(pd.date_range("2026", periods=2, tz="UTC")),
        pd.CategoricalDtype(pd.interval_range(0, 3), ordered=True),
        pd.CategoricalDtype(pd.Index([(1, 2), (1, 3)], tupleize_cols=False)),
        pd.CategoricalDtype([]),
        *map(pd.ArrowDtype, (pa.string(), pa.large_string(), pa.string_view())),
        pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string())),
    ],
    "datetime": [
        *("datetime64[s]", "datetime64[ns]", "datetime64[us, Europe/Berlin]"),
        *("datetime64[s, UTC+01:00]", "Sparse[datetime64[ns]]"),
        *map(pd.ArrowDtype, (pa.date32(), pa.date64(), pa.timestamp("ms"))),
        pd.ArrowDtype(pa.timestamp("ns", "Asia/Tokyo")),
    ],
    "timedelta": ["timedelta64[ms]", pd.ArrowDtype(pa.duration("us"))],
    "object": [object, pd.ArrowDtype(pa.null())],
    "": [
        *("complex128", "period[D]", "interval[int64]"),
        *map(pd.ArrowDtype, (pa.time64("us"), pa.binary(), pa.list_(pa.int8()))),
    ],
}
OF_POLARS = {
    "number": [pl.Int8, pl.UInt64, pl.Int128, pl.Float32, pl.Decimal(10, 2)],
    "boolean": [pl.Boolean],
    "category": [pl.String, pl.Categorical, pl.Enum(["b", "a"])],
    "datetime": [pl.Date, pl.Datetime("ns"), pl.Datetime("us", "Europe/Berlin")],
    "timedelta": [pl.Duration("ms")],
    "object": [pl.Object, pl.Null],
    "": [pl.Time, pl.Binary, pl.List(pl.Int8), pl.Struct({"a": pl.Int8})],
}


def each(library, types):
    return [
        pytest.param(
            library, kind, library.Series([], dtype=dtype).dtype, id=str(dtype)
        )
        for kind, dtypes in types.items()
        for dtype in dtypes
    ]


@pytest.mark.parametrize(
    ("library", "kind", "dtype"), [*each(pd, OF_PANDAS), *each(pl, OF_POLARS)]
)
def test_types_have_a_kind_and_are_made_again(library, kind, dtype):
    text, make = text_of(dtype), {pd: pandas_type, pl: polars_type}[library]
    assert kind_of(text) == kind
    if kind:
        categories, ordered = (
            getattr(dtype, name, None) for name in ("categories", "ordered")
        )
        assert make(text, categories, bool(ordered)) == dtype


@pytest.mark.parametrize(
    ("dtype", "zone"),
    [
        (pd.DatetimeTZDtype("ns", "Europe/Berlin"), "Europe/Berlin"),
        (pd.ArrowDtype(pa.timestamp("ns", "UTC")), "UTC"),
        (pl.Datetime("us", "Asia/Tokyo"), "Asia/Tokyo"),
        (pl.Datetime("us"), None),
        (np.dtype("M8[ns]"), None),
    ],
)
def test_time_zones(dtype, zone):
    assert zone_of(text_of(dtype)) == zone
