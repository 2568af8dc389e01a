"""Generated tables through every method: an answer, or an error that says what to do.

Every run of the tests draws the same few tables of each container. A long run, which
draws others each time, is asked for by the number of tables of each container:

    SKVAE_FUZZ_EXAMPLES=500 pytest tests/test_fuzz.py --hypothesis-show-statistics
"""

import datetime
import linecache
import os
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
from hypothesis import HealthCheck, event, given, note, settings
from hypothesis import strategies as st

from skvae import VAETransformer
from skvae.likelihoods import LIKELIHOODS

pytestmark = [
    pytest.mark.filterwarnings(f"ignore:.*{message}")
    for message in ("components carry nothing", "observed cell", "identifier")
]

ASKED = os.environ.get("SKVAE_FUZZ_EXAMPLES")

SPEAKERS = ("skvae", "sklearn", "narwhals")
"""Packages whose errors may reach users; scikit-learn has narwhals look at names."""


def examples(n):
    """Draw `n` tables, or as many as were asked for."""
    return settings(
        max_examples=int(ASKED or n),
        derandomize=not ASKED,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


# Cells


def whole(dtype):
    limits = np.iinfo(dtype)
    return st.integers(0, 3) | st.integers(int(limits.min), int(limits.max))


def reals(width=64):
    usual = st.sampled_from([0.0, 1.0, 2.5])
    return usual | st.floats(width=width, allow_nan=False, allow_infinity=False)


def decimals(places=None):
    return st.decimals(-(10**20), 10**20, places=places, allow_nan=False)


def dates(first, last):
    ends = datetime.datetime(first, 1, 2), datetime.datetime(last, 12, 30)
    found = st.just(datetime.datetime(2024, 2, 29)) | st.datetimes(*ends)
    return found.map(lambda when: when.replace(microsecond=0))


def durations(days):
    seconds = st.integers(-86_400 * days, 86_400 * days)
    return seconds.map(lambda n: datetime.timedelta(seconds=n))


WORDS = st.sampled_from(["a", "b", "NA", "nan", "", "1"]) | st.text(max_size=4)
"""Among them what other packages take for missing cells, or for numbers."""

DATES, NS_DATES = dates(1, 9999), dates(1678, 2261)
LONG, NS_LONG = durations(9_000_000), durations(106_750)
NUMBERS = st.integers(-(2**70), 2**70) | reals() | decimals()

LEVELS = {
    "texts": WORDS,
    "whole numbers": st.integers(-5, 2**62),
    "floats": reals(),
    "booleans": st.booleans(),
    "dates": NS_DATES.map(pd.Timestamp),
    "tuples": st.tuples(st.integers(0, 3), WORDS),
}


class Type(NamedTuple):
    """Cells of a type, and what makes a column: (cells, all that may occur) → it."""

    cells: st.SearchStrategy | None
    make: Callable[[list, list], Any]
    can_miss: bool = True


# Columns of pandas


def series(cells, dtype, can_miss=True):
    def make(cells, pool):
        return pd.Series(cells, dtype=dtype)

    return {str(dtype): Type(cells, make, can_miss)}


def arrow(cells, dtype):
    return series(cells, pd.ArrowDtype(dtype))


def zoned(cells, dtype):
    def make(cells, pool):
        utc = pd.Series(cells, dtype="datetime64[us]").dt.tz_localize("UTC")
        return utc.astype(dtype)

    return {str(dtype): Type(cells, make)}


def objects(name, cells):
    def make(cells, pool):
        column = np.empty(len(cells), dtype=object)
        column[:] = cells
        return pd.Series(column, dtype=object)

    return {f"object of {name}": Type(cells, make)}


def categorical(name, cells, ordered):
    def make(cells, pool):
        levels = pd.Index(list(dict.fromkeys(pool)), tupleize_cols=False)
        return pd.Series(pd.Categorical(cells, levels, ordered))

    return {f"{'ordered ' * ordered}category of {name}": Type(cells, make)}


def sparse(cells, dtype, fill):
    def make(cells, pool):
        cells = [np.nan if cell is None else cell for cell in cells]
        dtype_ = pd.SparseDtype(dtype, fill)
        return pd.Series(pd.arrays.SparseArray(cells, dtype=dtype_))

    return {f"Sparse[{dtype}, {fill}]": Type(cells, make, dtype == "float64")}


WHOLE = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
UNITS = {"s": DATES, "ms": DATES, "us": DATES, "ns": NS_DATES}
LENGTHS = {"s": LONG, "ms": LONG, "us": LONG, "ns": NS_LONG}
ZONE = "America/New_York"
MANY = [f"level {i}" for i in range(300)]

PANDAS = series(reals(), "float64") | series(reals(32), "float32")
PANDAS |= series(reals(16), "float16") | series(reals(), ">f8")
PANDAS |= series(st.booleans(), "bool", False) | series(st.booleans(), "boolean")
PANDAS |= series(reals(), "Float64") | series(reals(32), "Float32")
for name in WHOLE:
    PANDAS |= series(whole(name), name, False)
    PANDAS |= series(whole(name), name.replace("i", "I").replace("uI", "UI"))
    PANDAS |= arrow(whole(name), getattr(pa, name)())
PANDAS |= sparse(whole("int64"), "int64", 0) | sparse(st.booleans(), "bool", False)
PANDAS |= sparse(reals(), "float64", np.nan) | sparse(reals(), "float64", 0.0)
PANDAS |= arrow(reals(32), pa.float32()) | arrow(reals(), pa.float64())
PANDAS |= arrow(decimals(2), pa.decimal128(30, 2))
PANDAS |= arrow(decimals(0), pa.decimal256(40, 0)) | arrow(st.booleans(), pa.bool_())
PANDAS |= {"str": Type(WORDS, lambda cells, pool: pd.Series(cells, dtype="str"))}
PANDAS |= series(WORDS, "string[python]") | series(WORDS, "string[pyarrow]")
PANDAS |= arrow(WORDS, pa.string()) | arrow(WORDS, pa.large_string())
PANDAS |= arrow(WORDS, pa.dictionary(pa.int32(), pa.string()))
PANDAS |= arrow(None, pa.null())
for unit, cells in UNITS.items():
    PANDAS |= series(cells, f"datetime64[{unit}]") | arrow(cells, pa.timestamp(unit))
    PANDAS |= zoned(cells, f"datetime64[{unit}, {ZONE}]")
    PANDAS |= zoned(cells, pd.ArrowDtype(pa.timestamp(unit, ZONE)))
    PANDAS |= series(LENGTHS[unit], f"timedelta64[{unit}]")
    PANDAS |= arrow(LENGTHS[unit], pa.duration(unit))
PANDAS |= arrow(DATES, pa.date32()) | arrow(DATES, pa.date64())
for name, cells in LEVELS.items():
    PANDAS |= categorical(name, cells, False) | categorical(name, cells, True)
PANDAS |= {
    "category of many levels": Type(
        st.sampled_from(MANY),
        lambda cells, pool: pd.Series(pd.Categorical(cells, MANY)),
    )
}
PANDAS |= objects("whole numbers", st.integers(-(2**70), 2**70))
PANDAS |= objects("floats", reals()) | objects("decimals", decimals())
PANDAS |= objects("numbers", NUMBERS) | objects("booleans", st.booleans())
PANDAS |= objects("texts", WORDS) | objects("tuples", LEVELS["tuples"])
PANDAS |= objects("identities", st.uuids()) | objects("bytes", st.binary(max_size=2))

PANDAS_REFUSED = {
    "infinities": Type(st.floats(), lambda cells, pool: pd.Series(cells, dtype=float))
}
PANDAS_REFUSED |= series(st.complex_numbers(), "complex128")
PANDAS_REFUSED |= series(NS_DATES.map(lambda d: pd.Period(d, "D")), "period[D]")
PANDAS_REFUSED |= arrow(st.times(), pa.time64("us")) | arrow(st.binary(), pa.binary())
PANDAS_REFUSED |= arrow(st.lists(st.integers(0, 3), max_size=2), pa.list_(pa.int64()))
PANDAS_REFUSED |= objects("values", NUMBERS | WORDS | st.booleans())
PANDAS_REFUSED |= objects("dates", DATES) | objects("times", st.times())
PANDAS_REFUSED |= objects("lists", st.lists(st.integers(0, 3), max_size=2))
PANDAS_REFUSED |= objects("infinities", st.floats() | decimals())


# Columns of polars


def polars(cells, dtype):
    def make(cells, pool):
        return pl.Series(cells, dtype=dtype)

    return {str(dtype): Type(cells, make)}


def polars_dates(unit, zone):
    def make(cells, pool):
        dates = pl.Series(cells, dtype=pl.Datetime(unit))
        if zone is None:
            return dates
        return dates.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)

    cells = NS_DATES if unit == "ns" else DATES
    return {str(pl.Datetime(unit, zone)): Type(cells, make)}


def make_enum(cells, pool):
    return pl.Series(cells, dtype=pl.Enum(list(dict.fromkeys(pool))))


POLARS = polars(reals(), pl.Float64) | polars(reals(32), pl.Float32)
POLARS |= polars(st.booleans(), pl.Boolean) | polars(decimals(2), pl.Decimal(30, 2))
for name in WHOLE:
    POLARS |= polars(whole(name), getattr(pl, name.title().replace("Ui", "UI")))
for name, low in (("Int128", -(2**127)), ("UInt128", 0)):
    if hasattr(pl, name):
        POLARS |= polars(st.integers(low, 2**126), getattr(pl, name))
POLARS |= polars(WORDS, pl.String) | polars(WORDS, pl.Categorical)
POLARS |= {"Enum": Type(WORDS, make_enum)} | polars(None, pl.Null)
POLARS |= polars(DATES.map(datetime.datetime.date), pl.Date)
for unit in ("ms", "us", "ns"):
    POLARS |= polars_dates(unit, None) | polars_dates(unit, ZONE)
    POLARS |= polars(LENGTHS[unit], pl.Duration(unit))
POLARS |= {
    "Object": Type(st.uuids(), lambda cells, pool: pl.Series(cells, dtype=pl.Object))
}

POLARS_REFUSED = polars(st.times(), pl.Time) | polars(st.binary(), pl.Binary)
POLARS_REFUSED |= polars(st.lists(st.integers(0, 3), max_size=2), pl.List(pl.Int64))
POLARS_REFUSED |= polars(st.fixed_dictionaries({"a": st.booleans()}), pl.Struct)
POLARS_REFUSED |= {
    "infinities": Type(st.floats(), lambda cells, pool: pl.Series(cells, dtype=float))
}


# Tables


class Table(pd.DataFrame):
    """A table of a package that derives from pandas."""

    @property
    def _constructor(self):
        return Table


ROWS = {
    "as they are": lambda X: X,
    "reversed": lambda X: X[::-1],
    "of a larger table": lambda X: pd.concat([X, X], ignore_index=True)[: len(X)],
    "with the same label": lambda X: X.set_axis([7] * len(X), axis=0),
    "with texts for labels": lambda X: X.set_axis([f"r{i}" for i in X.index], axis=0),
    "with dates for labels": lambda X: X.set_axis(
        pd.date_range("2024", periods=len(X), tz=ZONE), axis=0
    ),
    "with two labels": lambda X: X.set_axis(
        pd.MultiIndex.from_arrays([X.index, X.index[::-1]], names=["i", None]), axis=0
    ),
}
COLUMNS = {
    "texts": lambda n: pd.Index([f"c{j}" for j in range(n)]),
    "a name for all": lambda n: pd.Index([f"c{j}" for j in range(n)], name="names"),
    "numbers": lambda n: pd.RangeIndex(5, 5 + n),
    "tuples": lambda n: pd.MultiIndex.from_arrays(
        [["u"] * n, list(range(n))], names=["u", "v"]
    ),
    "one text": lambda n: pd.Index(["c"] * n),
    "texts and numbers": lambda n: pd.Index(
        [f"c{j}" if j % 2 else j for j in range(n)]
    ),
    "dates": lambda n: pd.date_range("2024", periods=n),
    "categories": lambda n: pd.CategoricalIndex([f"c{j}" for j in range(n)]),
}


def column(draw, type, n):
    """Draw a column, of which all cells may be equal, or missing."""
    pool = []
    if type.cells is not None:
        least = 0 if type.can_miss else 1
        pool = draw(st.lists(type.cells, min_size=least, max_size=n))
    cells = st.sampled_from(pool + [None] * type.can_miss)
    return type.make(draw(st.lists(cells, min_size=n, max_size=n)), pool)


@st.composite
def frames(draw, types, refused, assembled):
    """Draw two tables whose columns have the same types, and names."""
    names = draw(st.lists(st.sampled_from(list(types)), min_size=1, max_size=4))
    chosen = [types[name] for name in names]
    if draw(st.integers(0, 9)) == 9:
        names[0] = draw(st.sampled_from(list(refused)))
        chosen[0] = refused[names[0]]
    note(f"types: {names}")
    sizes = draw(st.tuples(st.integers(1, 12), st.integers(1, 3)))
    return draw(assembled([[column(draw, t, n) for t in chosen] for n in sizes]))


@st.composite
def of_pandas(draw, tables):
    names = COLUMNS[draw(st.sampled_from(list(COLUMNS)))](len(tables[0]))
    rows = ROWS[draw(st.sampled_from(list(ROWS)))]
    order = draw(st.sampled_from([1, -1]))
    kind = draw(st.sampled_from([pd.DataFrame, Table]))
    frames = [pd.DataFrame(dict(enumerate(columns))) for columns in tables]
    frames = [frame.set_axis(names, axis=1).iloc[:, ::order] for frame in frames]
    return [kind(rows(frame)) for frame in frames]


@st.composite
def of_polars(draw, tables):
    start = draw(st.sampled_from([None, 0]))
    frames = [
        pl.DataFrame([c.alias(f"c{j}") for j, c in enumerate(columns)])
        for columns in tables
    ]
    # A slice, and then what several chunks make.
    return [f if start is None else pl.concat([f, f])[: len(f)] for f in frames]


NUMPY = {name: whole(name) for name in WHOLE}
NUMPY |= {"float64": reals(), "float32": reals(32), "float16": reals(16)}
NUMPY |= {"bool": st.booleans(), "longdouble": reals()}
NUMPY |= {f"M8[{unit}]": cells for unit, cells in ({"D": DATES} | UNITS).items()}
NUMPY |= {f"m8[{unit}]": cells for unit, cells in ({"D": LONG} | LENGTHS).items()}
MARKS = st.sampled_from([None, np.nan, pd.NA, pd.NaT])
OBJECTS = {
    "numbers": NUMBERS | MARKS,
    "whole numbers": st.integers(-(2**70), 2**70) | MARKS,
    "booleans": st.booleans() | MARKS,
    "texts": WORDS | MARKS,
    "values": NUMBERS | WORDS | DATES | st.complex_numbers() | st.floats(),
}


def strided(array):
    wide = np.zeros((2 * len(array), 3 * array.shape[1]), dtype=array.dtype)
    wide[::2, ::3] = array
    return wide[::2, ::3]


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


VIEWS = {
    "as it is": lambda array: array,
    "rows reversed": lambda array: array[::-1],
    "columns reversed": lambda array: array[:, ::-1],
    "Fortran order": np.asfortranarray,
    "strided": strided,
    "read-only": read_only,
    "other bytes": lambda array: array.astype(array.dtype.newbyteorder()),
    "a list": lambda array: array.tolist(),
}


@st.composite
def arrays(draw):
    """Draw two arrays of the same type."""
    n_columns = draw(st.integers(1, 4))
    sizes = draw(st.tuples(st.integers(1, 12), st.integers(1, 3)))
    name = draw(st.sampled_from(list(NUMPY) + list(OBJECTS)))
    cells, dtype = NUMPY.get(name, OBJECTS.get(name)), name
    if name in OBJECTS:
        dtype = object
    elif np.dtype(name).kind in "fMm":
        cells |= st.none()
    pool = draw(st.lists(cells, min_size=1, max_size=8))
    view = VIEWS[draw(st.sampled_from(list(VIEWS)))]
    rows = st.lists(st.sampled_from(pool), min_size=n_columns, max_size=n_columns)
    note(f"type: {name}")
    drawn = [draw(st.lists(rows, min_size=n, max_size=n)) for n in sizes]
    return [view(np.array(table, dtype=dtype)) for table in drawn]


def unsorted(matrix):
    """Return a matrix whose indices are not sorted, and its arrays read-only."""
    matrix = scipy.sparse.csr_array(matrix)[:, ::-1]
    for array in (matrix.data, matrix.indices, matrix.indptr):
        array.flags.writeable = False
    return matrix


def repeated(matrix):
    """Return a matrix that stores cells in halves, and a zero."""
    matrix = scipy.sparse.coo_array(matrix)
    halves = np.tile(matrix.data, 2), tuple(np.tile(at, 2) for at in matrix.coords)
    return scipy.sparse.coo_array(halves, shape=matrix.shape).tocsr(copy=True)


SPARSE = {"unsorted": unsorted, "repeated": repeated}
for name in ("bsr", "coo", "csc", "csr", "dia", "dok", "lil"):
    SPARSE |= {f"{name}": getattr(scipy.sparse, f"{name}_array")}
    SPARSE |= {f"{name} matrix": getattr(scipy.sparse, f"{name}_matrix")}


@st.composite
def matrices(draw):
    """Draw two sparse matrices of the same type."""
    n_columns = draw(st.integers(1, 4))
    sizes = draw(st.tuples(st.integers(1, 12), st.integers(1, 3)))
    dtype = draw(st.sampled_from(["float64", "float32", "bool", *WHOLE]))
    cells = NUMPY[dtype] | st.just(0)
    make = SPARSE[draw(st.sampled_from(list(SPARSE)))]
    rows = st.lists(cells, min_size=n_columns, max_size=n_columns)
    drawn = [draw(st.lists(rows, min_size=n, max_size=n)) for n in sizes]
    return [make(np.array(table, dtype=dtype)) for table in drawn]


# Answers

OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "likelihood": st.sampled_from(sorted(LIKELIHOODS))
        | st.sampled_from(sorted(LIKELIHOODS)).map(lambda name: {0: name}),
        "handle_unknown": st.just("missing"),
    },
)
WEIGHTS = st.none() | st.lists(
    st.sampled_from([0.0, 1.0, 2.5]), min_size=12, max_size=12
)


def is_documented(error):
    """Return whether an error was raised on purpose, to tell a user what to do."""
    if not isinstance(error, TypeError | ValueError):
        return False
    last = traceback.extract_tb(error.__traceback__)[-1]
    # Of a statement over several lines, this is the first.
    line = linecache.getline(last.filename, last.lineno).strip()
    is_ours = any(f"{os.sep}{name}{os.sep}" in last.filename for name in SPEAKERS)
    return is_ours and line.startswith("raise ")


def attempt(function, *args, **kwargs):
    """Return what a function returns, or None after an error that is documented."""
    try:
        return function(*args, **kwargs)
    except Exception as error:
        if not is_documented(error):
            raise
        note(f"{type(error).__name__}: {error}")
        return None


def is_finite(cell):
    return not isinstance(cell, float | np.floating) or np.isfinite(cell)


class Check:
    """What must hold for a table and for new rows."""

    def __init__(self, tables, X, new):
        self.tables, self.X, self.new = tables, X, new
        self.is_sparse = scipy.sparse.issparse(X)
        self.dense = X.toarray() if self.is_sparse else X
        self.dense = np.asarray(X) if isinstance(X, list) else self.dense

    def __call__(self, options, weights):
        """Fail unless all methods answer, or say what to do, and change nothing."""
        before = self.frozen()
        vae = VAETransformer(
            1, hidden_layer_sizes=4, max_iter=1, tol=None, random_state=0, **options
        )
        n = len(self.dense)
        weights = None if weights is None else np.resize(weights, n)
        is_fitted = attempt(vae.fit, self.X, sample_weight=weights) is not None
        event("answered" if is_fitted else "refused")
        if is_fitted:
            self.check_rows(vae)
            self.check_filled(vae)
            for method in (vae.transform, vae.score_samples, vae.impute):
                attempt(method, self.new)
        assert self.frozen() == before

    def frozen(self):
        return [self.tables.frozen(table) for table in (self.X, self.new)]

    def check_rows(self, vae):
        """Fail unless there are answers for the rows of fit."""
        Z = vae.transform(self.X)
        scores = vae.score_samples(self.X, n_draws=4)
        assert (Z.shape, scores.shape) == ((len(scores), 1), (len(self.dense),))
        assert np.isfinite(Z).all()
        assert np.isfinite(scores).all()
        for answer in (vae.inverse_transform(Z), vae.sample(3, random_state=0)):
            assert answer.shape[1] == self.dense.shape[1]
            self.tables.assert_as_in_fit(answer, self.dense)
            self.check_finite(answer)

    def check_finite(self, answer):
        """Fail unless all cells are finite, or nothing was known of their column."""
        columns = map(self.tables.columns, (answer, self.dense))
        for column, fitted in zip(*columns, strict=True):
            assert all(map(is_finite, self.tables.observed(column)))
            is_complete = not self.tables.missing(column).any()
            assert is_complete or not self.tables.observed(fitted)

    def check_filled(self, vae):
        """Fail unless missing cells are filled and all others kept."""
        if self.is_sparse:
            assert attempt(vae.impute, self.X) is None
            return
        once = vae.impute(self.X, n_proposals=8)
        often = vae.impute(self.X, n_proposals=8, n_draws=1)
        for filled in (once, often[0]):
            self.tables.assert_filled(filled, self.dense)
            self.check_finite(filled)


every_option = {"options": OPTIONS, "weights": WEIGHTS}


@examples(20)
@given(drawn=frames(PANDAS, PANDAS_REFUSED, of_pandas), **every_option)
def test_tables_of_pandas(tables, drawn, options, weights):
    Check(tables, *drawn)(options, weights)


@examples(15)
@given(drawn=frames(POLARS, POLARS_REFUSED, of_polars), **every_option)
def test_tables_of_polars(tables, drawn, options, weights):
    Check(tables, *drawn)(options, weights)


@examples(15)
@given(drawn=arrays(), **every_option)
def test_arrays(tables, drawn, options, weights):
    Check(tables, *drawn)(options, weights)


@examples(10)
@given(drawn=matrices(), **every_option)
def test_sparse_matrices(tables, drawn, options, weights):
    Check(tables, *drawn)(options, weights)
