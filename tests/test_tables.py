"""Every type of column, in every container, through every method.

All types say the same here, each in its own words: a number k, the k-th level, k days
after a date. Fits and answers must then be the same, too, but for what a type rounds.
What is refused has an error that says why, and what to do. The guide has the table.
"""

import datetime
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
import torch
from sklearn.base import clone

from skvae import VAEImputer, VAEOutlierDetector, VAETransformer
from skvae.likelihoods import Columns

pytestmark = pytest.mark.filterwarnings("ignore:.*components carry nothing")

N = 40
RNG = np.random.default_rng(0)
STEPS = np.r_[:5, RNG.integers(0, 5, N - 5)]
GAPS = {7, 11, 29}
X = np.where(np.arange(N) == 20, np.nan, STEPS + RNG.normal(size=N))
LEVELS = ["a", "b", "c", "d", "e"]
DAY = pd.Timedelta(days=1)
START = pd.Timestamp("2024-02-27")

FEW = 16
"""Draws and proposals."""

MODEL = VAETransformer(
    1, hidden_layer_sizes=4, early_stopping=False, max_iter=1, tol=None, random_state=0
)
IMPUTER = VAEImputer(estimator=MODEL, n_proposals=FEW)
DETECTOR = VAEOutlierDetector(estimator=MODEL, n_draws=FEW)


# What columns say


def after(step):
    return START + step * DAY


CELLS = {
    "number": int,
    "boolean": bool,
    "category": LEVELS.__getitem__,
    "level": LEVELS.__getitem__,
    "datetime": after,
    "timedelta": lambda step: step * DAY,
    "int": int,
    "float": float,
    "numbers": lambda step: [step, Decimal(step), np.float32(step)][step % 3],
    "Decimal": lambda step: Decimal(f"{step}.00"),
    "bool": bool,
    "str": LEVELS.__getitem__,
    "complex": complex,
    "numbers and text": lambda step: step or "none",
    "numbers and bool": lambda step: step or False,
    "Timestamp": after,
    "date": lambda step: after(step).date(),
    "Date": lambda step: after(step).date(),
    "Timedelta": lambda step: step * DAY,
    "tuple": lambda step: (1, step),
    "Interval": lambda step: pd.Interval(step, step + 1),
    "Period": lambda step: pd.Period(after(step), "D"),
    "UUID": lambda step: uuid.UUID(int=step),
    "bytes": lambda step: bytes([step]),
    "time": lambda step: datetime.time(step),
    "list": lambda step: [step],
    "dict": lambda step: {"a": step},
}
"""A kind, or a name of a type, or what follows "of" there: step → cell."""

TOLERANCES = {
    r"(?i)int|>i": 0.5,
    r"(?i)decimal": 5e-3,
    r"(?i)float16|halffloat": 4e-3,
    r"(?i)float": 1e-4,
    r"(?i)\bdate(32|64)?\b|\[D\]": 1.0,
    r"\[h\]": 1 / 24,
    r"[\[(]s\b": 1 / 86_400,
    "": 1e-6,
}
"""By how much a type may round, by the first pattern that is in its name."""

COMPLETE = r"[<>]i\d|u?int\d+|bool|Sparse\[(int64|bool)\]|of (int|bool)"
"""Names of types that cannot say that a cell is missing."""


class Table(pd.DataFrame):
    """A table of a package that derives from pandas."""

    @property
    def _constructor(self):
        return Table


def polars_frame(columns):
    return pl.DataFrame([pl.Series(name, cells) for name, cells in columns.items()])


FRAMES = {"pandas": pd.DataFrame, "subclass": Table, "polars": polars_frame}
"""What has columns of several types; other containers have one for all cells."""


@dataclass(frozen=True)
class Type:
    """A type of cells, named as in the guide, and the kind of column that it makes.

    `make` turns cells into a column or, where there is one type, rows into a table.
    """

    container: str
    name: str
    kind: str
    make: Callable[[Any], Any]
    has_gaps: bool
    n_steps: int

    def __str__(self):
        return f"{self.container}: {self.name}"

    @property
    def is_array(self):
        return self.container not in FRAMES

    @property
    def cell(self):
        word = self.name.partition("of ")[2] or self.name
        return CELLS.get(word, CELLS.get(self.kind))

    @property
    def tolerance(self):
        return next(v for k, v in TOLERANCES.items() if re.search(k, self.name))

    @property
    def plain(self):
        """The type that says the same in the plainest words."""
        kind = "number" if self.kind in ("datetime", "timedelta") else self.kind
        plain = PLAIN[self.is_array, kind]
        return replace(plain, has_gaps=self.has_gaps, n_steps=self.n_steps)

    def cells(self, steps=STEPS):
        steps = (steps % self.n_steps).tolist()
        gaps = GAPS if self.has_gaps else ()
        return [None if i in gaps else self.cell(k) for i, k in enumerate(steps)]

    def table(self):
        """Return a table of such columns, or with one beside a column of floats."""
        if self.is_array:
            rows = zip(self.cells(), self.cells(STEPS[::-1]), strict=True)
            return self.make([list(row) for row in rows])
        return FRAMES[self.container]({"x": X, "y": self.make(self.cells())})

    def number(self, cell):
        """Return the number that a cell says."""
        if self.kind in ("category", "level"):
            return [self.cell(k) for k in range(self.n_steps)].index(cell)
        if self.kind == "datetime":
            when = pd.Timestamp(cell)
            return ((when.tz_convert(None) if when.tz else when) - START) / DAY
        return pd.Timedelta(cell) / DAY if self.kind == "timedelta" else float(cell)

    def numbers(self, table):
        """Return what the columns of such a table say."""
        if self.is_array:
            return np.array([[self.number(cell) for cell in row] for row in table])
        return np.column_stack((table["x"], [self.number(c) for c in table["y"]]))


# The types


def types(container, **kinds):
    """Return types of a container, given their names and makers by kind."""

    def typed(kind, name, make):
        has_gaps = not (re.fullmatch(COMPLETE, name) or container == "sparse")
        n_steps = 2 if kind == "boolean" or name.endswith("of bool") else 5
        return Type(container, name, kind, make, has_gaps, n_steps)

    return [typed(k, *item) for k, makes in kinds.items() for item in makes.items()]


def series(*dtypes):
    return {str(dtype): partial(pd.Series, dtype=dtype) for dtype in dtypes}


def arrow(*dtypes):
    return series(*map(pd.ArrowDtype, dtypes))


def objects(*words):
    def make(cells):
        column = np.empty(len(cells), dtype=object)
        column[:] = cells
        return pd.Series(column, dtype=object)

    return {f"object of {word}": make for word in words}


def categorical(*words, ordered=False):
    """Return makers of categorical columns with all levels, in order."""

    def make(cells, word):
        levels = [CELLS[word](step) for step in range(2 if word == "bool" else 5)]
        levels = pd.Index(levels, tupleize_cols=False)
        return pd.Series(pd.Categorical(cells, levels, ordered))

    name = "ordered category" if ordered else "category"
    return {f"{name} of {word}": partial(make, word=word) for word in words}


def sparse(*dtypes):
    def make(cells, dtype):
        cells = [np.nan if cell is None else cell for cell in cells]
        return pd.Series(pd.arrays.SparseArray(cells, dtype=pd.SparseDtype(dtype)))

    return {f"Sparse[{dtype}]": partial(make, dtype=dtype) for dtype in dtypes}


def zoned(*dtypes):
    def make(cells, dtype):
        dates = pd.Series(cells, dtype="datetime64[us]")
        return dates.dt.tz_localize("UTC").astype(dtype)

    return {str(dtype): partial(make, dtype=dtype) for dtype in dtypes}


def polars(*dtypes):
    return {str(dtype): partial(pl.Series, dtype=dtype) for dtype in dtypes}


def known(*names):
    """Return the types of polars with these names, of which old versions lack some."""
    return polars(*(getattr(pl, name) for name in names if hasattr(pl, name)))


def polars_dates(*units, zone=None):
    def make(cells, unit):
        dates = pl.Series(cells, dtype=pl.Datetime(unit))
        if zone is None:
            return dates
        return dates.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)

    names = {unit: f"Datetime({unit}{(zone and ', ' + zone) or ''})" for unit in units}
    return {name: partial(make, unit=unit) for unit, name in names.items()}


def polars_objects(*words):
    def make(cells):
        return pl.Series(cells, dtype=pl.Object)

    return {f"Object of {word}": make for word in words}


def durations(*units):
    return {f"Duration({u})": partial(pl.Series, dtype=pl.Duration(u)) for u in units}


def array(*dtypes):
    return {dtype: partial(np.array, dtype=dtype) for dtype in dtypes}


def object_arrays(*words):
    return {f"object of {word}": partial(np.array, dtype=object) for word in words}


def matrix(rows, name="csr_array", dtype=float):
    return getattr(scipy.sparse, name)(np.array(rows, dtype=dtype))


WHOLE = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
NULLABLE = [name.replace("int", "Int").replace("uI", "UI") for name in WHOLE]
UNITS = ["s", "ms", "us", "ns"]
ZONE = "Europe/Berlin"

PANDAS = types(
    "pandas",
    number={
        **series(*WHOLE, "float16", "float32", "float64", ">i4", ">f8"),
        **series(*NULLABLE, "Float32", "Float64"),
        **sparse("int64", "float64"),
        **arrow(*(getattr(pa, name)() for name in WHOLE)),
        **arrow(pa.float16(), pa.float32(), pa.float64()),
        **arrow(pa.decimal128(10, 2), pa.decimal256(50, 2)),
        **objects("int", "float", "Decimal", "numbers"),
    },
    boolean={
        **series("bool", "boolean"),
        **sparse("bool"),
        **arrow(pa.bool_()),
        **objects("bool"),
    },
    category={
        "str": pd.Series,
        **series("string[python]", "string[pyarrow]"),
        **arrow(pa.string(), pa.large_string()),
        **arrow(pa.dictionary(pa.int32(), pa.string())),
        **objects("str", "tuple", "UUID", "bytes"),
        **categorical("str", "int", "float", "bool", "Timestamp", "tuple", "Interval"),
    },
    level=categorical(
        "str", "int", "float", "Timestamp", "tuple", "Interval", ordered=True
    ),
    datetime={
        **series(*(f"datetime64[{unit}]" for unit in UNITS)),
        **zoned(*(f"datetime64[{unit}, {ZONE}]" for unit in UNITS)),
        **arrow(*map(pa.timestamp, UNITS), pa.date32(), pa.date64()),
        **zoned(*(pd.ArrowDtype(pa.timestamp(unit, ZONE)) for unit in UNITS)),
    },
    timedelta={
        **series(*(f"timedelta64[{unit}]" for unit in UNITS)),
        **arrow(*map(pa.duration, UNITS)),
    },
)
POLARS = types(
    "polars",
    number={
        **known("Int8", "Int16", "Int32", "Int64", "Int128"),
        **known("UInt8", "UInt16", "UInt32", "UInt64", "UInt128"),
        **known("Float16", "Float32", "Float64"),
        "Decimal(10, 2)": partial(pl.Series, dtype=pl.Decimal(10, 2)),
        **polars_objects("int", "float", "Decimal"),
    },
    boolean=polars(pl.Boolean) | polars_objects("bool"),
    category={
        **polars_objects("str", "UUID"),
        **polars(pl.String, pl.Categorical),
        "Enum": partial(pl.Series, dtype=pl.Enum(LEVELS)),
    },
    datetime={
        **polars_dates("ms", "us", "ns"),
        **polars_dates("ms", "us", "ns", zone=ZONE),
        **polars(pl.Date),
    },
    timedelta=durations("ms", "us", "ns"),
)
SUBCLASS = [replace(type, container="subclass") for type in PANDAS]
SUBCLASS = [t for t in SUBCLASS if t.name in ("float64", "bool", "str", "category")]

ARRAYS = types(
    "array",
    number={
        **array(*WHOLE, ">i4", "float16", "float32", "float64", "longdouble", ">f8"),
        **object_arrays("int", "float", "Decimal", "numbers"),
    },
    boolean={**array("bool"), **object_arrays("bool")},
    datetime=array(*(f"datetime64[{unit}]" for unit in ("D", "h", *UNITS))),
    timedelta=array(*(f"timedelta64[{unit}]" for unit in ("D", "h", *UNITS))),
)
LISTS = types("list", number={"of int": list, "of float": list})
LISTS += types("list", boolean={"of bool": list})
FORMATS = ("bsr", "coo", "csc", "csr", "dia", "dok", "lil")
SPARSE = types(
    "sparse",
    number={
        **{
            f"{format}_{kind}": partial(matrix, name=f"{format}_{kind}")
            for format in FORMATS
            for kind in ("array", "matrix")
        },
        **{
            f"csr_array of {dtype}": partial(matrix, dtype=dtype)
            for dtype in (*WHOLE, "float32")
        },
    },
    boolean={"csr_array of bool": partial(matrix, dtype=bool)},
)
TYPES = PANDAS + SUBCLASS + POLARS + ARRAYS + LISTS + SPARSE

PLAIN = [("pandas", "float64"), ("pandas", "boolean"), ("pandas", "str")]
PLAIN += [("pandas", "ordered category of str")]
PLAIN += [("array", "float64"), ("array", "object of bool")]
PLAIN = {(t.is_array, t.kind): t for t in TYPES if (t.container, t.name) in PLAIN}

REFUSED = [
    *types(
        "pandas",
        complex=series("complex128"),
        Period=series("period[D]"),
        Interval=series("interval[float64, right]"),
        time=arrow(pa.time32("s"), pa.time64("us")),
        bytes=arrow(pa.binary(), pa.large_binary()),
        list=arrow(pa.list_(pa.int64())),
        dict=arrow(pa.struct([("a", pa.int64())])),
        object=objects("complex", "Period", "time", "list", "dict"),
        mixed=objects("numbers and text", "numbers and bool"),
        dates=objects("Timestamp", "date", "Timedelta"),
    ),
    *types(
        "polars",
        time=polars(pl.Time),
        bytes=polars(pl.Binary),
        list=polars(pl.List(pl.Int64), pl.Array(pl.Int64, 1)),
        dict=polars(pl.Struct({"a": pl.Int64})),
        object=polars_objects("list", "complex"),
    ),
    *types(
        "array",
        complex=array("complex128"),
        str=array("str"),
        bytes=array("bytes"),
        object=object_arrays("complex", "str", "numbers and text", "Timestamp"),
    ),
    *types("sparse", complex={"csr_array of complex": partial(matrix, dtype=complex)}),
]
REMEDIES = {"mixed": "to_numeric.*'categorical'", "dates": "to_(datetime|timedelta)"}
"""What messages advise for some of the refused, by their kind."""

ONE_OF_EACH = list({(t.container, t.kind): t for t in TYPES}.values())
"""A type of every kind in every container, for what only wraps the methods above."""

every_type = pytest.mark.parametrize("type", TYPES, ids=str)


# Answers


@cache
def fitted(type, estimator=MODEL):
    return clone(estimator).fit(type.table())


@cache
def latent(type):
    return fitted(type).transform(type.table())


def assert_same(type, answer, plain):
    """Fail unless an answer says what the one in plain words says."""
    said, expected = type.numbers(answer), type.plain.numbers(plain)
    tolerance = np.broadcast_to([1e-3, type.tolerance], said.shape)
    if type.is_array:
        tolerance = type.tolerance
    assert (np.abs(said - expected) <= tolerance + 1e-3 * np.abs(expected)).all()


def kind_of(vae):
    """Return the name of the likelihood that the last column was given."""
    spec, last = vae.likelihood_, {"y", 1}
    parts = spec.parts if isinstance(spec, Columns) else [(spec, last)]
    return next(type(part).__name__ for part, names in parts if last & set(names))


@every_type
def test_fit_takes_a_type_for_its_kind(type):
    expected = {"boolean": "Bernoulli", "category": "Categorical", "level": "Ordinal"}
    assert kind_of(fitted(type)) == expected.get(type.kind, "Gaussian")


@every_type
def test_transform_reads_what_the_cells_say(type):
    Z = latent(type)
    assert Z.shape == (N, 1)
    np.testing.assert_allclose(Z, latent(type.plain), rtol=1e-3, atol=1e-3)


@every_type
def test_score_samples_is_the_density_of_what_the_cells_say(type):
    scores, plain = (
        fitted(each).score_samples(each.table(), n_draws=FEW)
        for each in (type, type.plain)
    )
    assert scores.shape == (N,)
    np.testing.assert_allclose(scores, plain, rtol=1e-3, atol=1e-3)


@every_type
def test_inverse_transform_speaks_the_type(type, tables):
    Z = latent(type.plain)
    back = fitted(type).inverse_transform(Z)
    tables.assert_as_in_fit(back, type.table())
    assert_same(type, back, fitted(type.plain).inverse_transform(Z))


@every_type
def test_sample_speaks_the_type(type, tables):
    drawn, plain = (
        fitted(each).sample(9, random_state=0) for each in (type, type.plain)
    )
    tables.assert_as_in_fit(drawn, type.table())
    assert_same(type, drawn, plain)


@every_type
def test_impute_fills_gaps_and_keeps_every_other_cell(type, tables):
    if type.container == "sparse":
        return assert_dense_is_required(fitted(type).impute, type)
    X = type.table()
    filled = fitted(type).impute(X, n_proposals=FEW)
    tables.assert_filled(filled, X)
    plain = fitted(type.plain).impute(type.plain.table(), n_proposals=FEW)
    assert_same(type, filled, plain)
    for drawn in fitted(type).impute(X, n_proposals=FEW, n_draws=2):
        tables.assert_filled(drawn, X)


@every_type
def test_imputer_fills_gaps_and_keeps_every_other_cell(type, tables):
    if type.container == "sparse":
        return assert_dense_is_required(clone(IMPUTER).fit, type)
    X = type.table()
    filled = fitted(type, IMPUTER).transform(X)
    tables.assert_filled(filled, X)
    plain = fitted(type.plain, IMPUTER).transform(type.plain.table())
    assert_same(type, filled, plain)


def assert_dense_is_required(method, type):
    with pytest.raises(TypeError, match=r"requires dense rows.*toarray\(\)"):
        method(type.table())


@pytest.mark.parametrize("type", ONE_OF_EACH, ids=str)
def test_detector_scores_what_the_cells_say(type):
    scores, plain = (
        fitted(each, DETECTOR).score_samples(each.table())
        for each in (type, type.plain)
    )
    np.testing.assert_allclose(scores, plain, rtol=1e-3, atol=1e-3)


@every_type
def test_no_method_writes_to_the_table(type, tables):
    X = type.table()
    before = tables.frozen(X)
    vae = clone(MODEL).fit(X)
    vae.transform(X)
    vae.score_samples(X, n_draws=1)
    if type.container != "sparse":
        vae.impute(X, n_proposals=FEW)
    assert tables.frozen(X) == before


# New rows of another type


def named(name):
    return next(type for type in PANDAS if type.name == name)


FITS = list(map(named, ("float64", "boolean", "str", "ordered category of str")))
FITS += list(map(named, (f"datetime64[us, {ZONE}]", "datetime64[us]")))
FITS += [named("timedelta64[us]")]
ACCEPTED = {
    "number": ("number", "boolean"),
    "boolean": ("boolean",),
    "category": ("category", "level"),
    "level": ("category", "level"),
    "datetime": ("datetime",),
    "timedelta": ("timedelta",),
}
"""Kinds that new rows may have in a column of a kind, if they say the same."""


def accepts(fit, type):
    is_other = fit.kind in ("category", "level") and type.cell(0) != LEVELS[0]
    is_other |= (ZONE in fit.name) != (ZONE in type.name)
    return type.kind in ACCEPTED[fit.kind] and not is_other


@pytest.mark.parametrize("fit", FITS, ids=str)
@pytest.mark.parametrize("type", PANDAS + POLARS, ids=str)
def test_new_rows_are_read_by_what_they_say_or_refused(fit, type):
    vae, X = fitted(fit), type.table()
    if not accepts(fit, type):
        with pytest.raises(ValueError, match=r"(?s)(?=.*'y').*Got"):
            vae.transform(X)
        return
    same = replace(fit, has_gaps=type.has_gaps, n_steps=type.n_steps).table()
    np.testing.assert_allclose(vae.transform(X), vae.transform(same), atol=1e-6)


@pytest.mark.parametrize("fit", FITS, ids=str)
@pytest.mark.parametrize("library", [pd, pl])
def test_any_column_may_have_no_observed_cell_in_new_rows(fit, library, tables):
    X = library.DataFrame({"x": [1.0, None], "y": [None, None]})
    vae = fitted(fit)
    assert np.isfinite(vae.transform(X)).all()
    filled = vae.impute(X, n_proposals=FEW)
    assert not any(tables.missing(column).any() for column in tables.columns(filled))
    if library is pd:
        assert filled.dtypes["y"] == fit.table().dtypes["y"]


@pytest.mark.parametrize("cells", [[0, 1], [0.0, 1.0], ["a", "b"]], ids=str)
def test_booleans_may_be_zeros_and_ones_in_new_rows(cells):
    vae, X = fitted(named("bool")), pd.DataFrame({"x": [0.0, 1.0], "y": cells})
    if cells == ["a", "b"]:
        with pytest.raises(ValueError, match="'y'"):
            vae.transform(X)
        return
    np.testing.assert_array_equal(
        vae.transform(X), vae.transform(X.assign(y=[False, True]))
    )


# What is refused

every_refused = pytest.mark.parametrize("type", REFUSED, ids=str)


def message_about(type):
    """Return what an error about such a column says."""
    if type.is_array:
        return "(?s)(must|require).*Got|Complex data not supported"
    word = re.split(r"\W| of ", type.name)[0].lower().replace("object", "")
    remedy = REMEDIES.get(type.kind, "")
    return rf"(?is)(?=.*'y')(?=.*{word}).*(must|require).*Got.*{remedy}"


@every_refused
def test_fit_refuses_what_it_cannot_model(type):
    for estimator in (MODEL, IMPUTER, DETECTOR):
        with pytest.raises((TypeError, ValueError), match=message_about(type)):
            clone(estimator).fit(type.table())


@pytest.mark.parametrize("fit", FITS, ids=str)
@pytest.mark.parametrize("type", [t for t in REFUSED if not t.is_array], ids=str)
def test_new_rows_refuse_what_fit_does(fit, type):
    with pytest.raises((TypeError, ValueError), match="'y'"):
        fitted(fit).transform(type.table())


@pytest.mark.parametrize("type", [t for t in REFUSED if t.is_array], ids=str)
def test_new_arrays_refuse_what_fit_does(type):
    for method in (MODEL.fit, fitted(PLAIN[True, "number"]).transform):
        with pytest.raises((TypeError, ValueError), match=message_about(type)):
            method(type.table())


@pytest.mark.parametrize(
    ("container", "message"),
    [
        (pl.DataFrame({"x": X}).lazy(), r"LazyFrame.*collect\(\)"),
        (pa.table({"x": X}), r"to_pandas\(\)"),
        ({"x": X, "y": X}, r"dict.*DataFrame\(X\)"),
        (np.zeros(N, dtype=[("x", float)]), "structured"),
        (torch.zeros((N, 2), requires_grad=True), "detach"),
        (pd.Series(X), "2D|2-dimensional|two"),
        (pl.Series(X), "2D|2-dimensional|two"),
        (X, "2D|2-dimensional|two"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_container_that_is_no_table_says_how_to_make_one(container, message):
    for method in (clone(MODEL).fit, fitted(PLAIN[True, "number"]).transform):
        with pytest.raises((TypeError, ValueError), match=f"(?s){message}"):
            method(container)


def test_mixed_values_can_be_named_categorical(tables):
    cells = [[1, "one", 2.5, True, None, (1, 2)][step] for step in STEPS]
    table = pd.DataFrame({"x": X, "y": pd.Series(cells, dtype=object)})
    vae = clone(MODEL).set_params(likelihood={"y": "categorical"}).fit(table)
    drawn = vae.sample(20, random_state=0)
    tables.assert_as_in_fit(drawn, table)
    assert set(drawn["y"]) <= {cell for cell in cells if cell is not None}


@pytest.mark.parametrize("make", [named("str").make, named("category of str").make])
def test_order_that_would_be_guessed_is_refused(make):
    table = pd.DataFrame({"x": X, "y": make([LEVELS[step] for step in STEPS])})
    with pytest.raises(ValueError, match=r"(?s)'y'.*ordered"):
        clone(MODEL).set_params(likelihood={"y": "ordinal"}).fit(table)


@pytest.mark.parametrize("name", ["int64", "float64", "bool", "Int8"])
def test_numbers_and_booleans_have_an_order(name):
    model = clone(MODEL).set_params(likelihood={"y": "ordinal"})
    assert kind_of(model.fit(named(name).table())) == "Ordinal"


def test_order_of_an_enum_is_kept_where_it_is_named_ordinal():
    levels = LEVELS[::-1]
    y = pl.Series([LEVELS[step] for step in STEPS], dtype=pl.Enum(levels))
    vae = clone(MODEL).set_params(likelihood={"y": "ordinal"})
    vae.fit(pl.DataFrame({"x": X, "y": y}))
    ordered = pd.Categorical(y.to_list(), levels, ordered=True)
    same = pd.DataFrame({"x": X, "y": ordered})
    np.testing.assert_allclose(
        vae.transform(same), clone(MODEL).fit(same).transform(same), rtol=1e-5
    )


def test_texts_that_look_like_identifiers_are_warned_of():
    table = pd.DataFrame({"x": X[:12], "y": [f"id {i}" for i in range(12)]})
    with pytest.warns(UserWarning, match="'y'.*identifier"):
        clone(MODEL).fit(table)
    clone(MODEL).fit(table[:9])


# Columns without any observed cell

EMPTY = types(
    "pandas",
    number=series("float64", "Int64", pd.ArrowDtype(pa.int8())) | sparse("float64"),
    boolean=series("boolean"),
    category=series("object", "string", pd.ArrowDtype(pa.null()))
    | {"str": partial(pd.Series, dtype="str")}
    | {"category": pd.Categorical}
    | {"category of str": lambda cells: pd.Categorical(cells, LEVELS)},
    datetime=series("datetime64[ns]", pd.ArrowDtype(pa.date32())),
    timedelta=series("timedelta64[s]"),
) + types(
    "polars",
    number=polars(pl.Float64, pl.Int8, pl.Decimal(10, 2)),
    boolean=polars(pl.Boolean),
    category=polars(pl.String, pl.Categorical, pl.Enum([]), pl.Null),
    datetime=polars_dates("ns") | polars(pl.Date),
    timedelta=durations("us"),
)


@pytest.mark.parametrize("type", EMPTY, ids=str)
def test_column_without_any_observed_cell_is_warned_of(type, tables):
    table = FRAMES[type.container]({"x": X, "y": type.make([None] * N)})
    with pytest.warns(UserWarning, match=r"should have an observed cell.*'y'"):
        vae = clone(MODEL).fit(table)
    assert np.isfinite(vae.transform(table)).all()
    assert np.isfinite(vae.score_samples(table, n_draws=FEW)).all()
    for answer in (vae.sample(3), vae.impute(table, n_proposals=FEW)):
        tables.assert_as_in_fit(answer, table)
        assert np.isfinite(np.asarray(answer["x"])).all()


# Cells that need every digit of their type


def limits(dtype):
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    return [low, low + 1, 0, min(high - 1, 2**53 + 1), high]


DATES = [pd.Timestamp("0001-01-01"), pd.Timestamp("9999-12-31 23:59:59"), START]
NS_DATES = [pd.Timestamp.min, pd.Timestamp.max, START + pd.Timedelta(1, "ns")]
DECIMALS = [Decimal(f"{sign}12345678901234567890.12") for sign in "+-"]
EXACT = [
    *(pd.Series(limits(name), dtype=name) for name in WHOLE),
    *(pd.Series([*limits(name.lower()), None], dtype=name) for name in NULLABLE),
    pd.Series([*limits("uint64"), None], dtype=pd.ArrowDtype(pa.uint64())),
    pd.Series([2**70, -(2**70), 1, None], dtype=object),
    pd.Series([*DECIMALS, Decimal("1E-3"), None], dtype=object),
    pd.Series([*DECIMALS, None], dtype=pd.ArrowDtype(pa.decimal128(30, 2))),
    pd.Series([1e300, -1e300, 5e-324, None], dtype=float),
    pd.Series([*DATES, None], dtype="datetime64[s]"),
    pd.Series([*DATES, None], dtype=pd.ArrowDtype(pa.timestamp("us"))),
    pd.Series([*NS_DATES, None], dtype="datetime64[ns]"),
    pd.Series([*NS_DATES, None], dtype=pd.ArrowDtype(pa.timestamp("ns"))),
    pd.Series([pd.Timedelta.min, pd.Timedelta.max, None], dtype="timedelta64[ns]"),
    pl.Series([*limits("int64"), None], dtype=pl.Int64),
    pl.Series([*limits("uint64"), None], dtype=pl.UInt64),
    pl.Series([*DECIMALS, None], dtype=pl.Decimal(30, 2)),
    pl.Series([*DATES, None], dtype=pl.Datetime("us")),
    pl.Series(pd.Series([*NS_DATES, None], dtype="datetime64[ns]").to_numpy()),
]
if hasattr(pl, "Int128"):
    EXACT += [pl.Series([2**126, -(2**126), 1, None], dtype=pl.Int128)]


@pytest.mark.parametrize(
    "column", EXACT, ids=lambda c: f"{type(c).__module__.partition('.')[0]}: {c.dtype}"
)
def test_every_digit_of_an_observed_cell_is_kept(column, tables):
    library = FRAMES["polars" if isinstance(column, pl.Series) else "pandas"]
    X = library({"x": [np.nan, *np.arange(1.0, len(column))], "y": column})
    vae = clone(MODEL).fit(X)
    tables.assert_filled(vae.impute(X, n_proposals=FEW), X)
    tables.assert_filled(vae.impute(X, n_proposals=FEW, n_draws=1)[0], X)
    assert np.isfinite(vae.transform(X)).all()
    assert np.isfinite(vae.score_samples(X, n_draws=FEW)).all()
    for answer in (vae.sample(5, random_state=0), vae.inverse_transform([[9.0]])):
        tables.assert_as_in_fit(answer, X)
        assert not any(tables.missing(c).any() for c in tables.columns(answer))


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_every_digit_of_a_whole_array_is_kept(dtype, tables):
    X = np.array([limits(dtype), limits(dtype)[::-1]], dtype=dtype).T
    tables.assert_filled(clone(MODEL).fit(X).impute(X), X)
    with_gap = X.astype(object)
    with_gap[0, 0] = None
    tables.assert_filled(clone(MODEL).fit(X).impute(with_gap), with_gap)


@pytest.mark.parametrize("make", [np.asarray, pd.DataFrame, pl.DataFrame])
def test_draws_beside_the_largest_float_are_finite(make):
    X = make(np.r_[[np.finfo(float).max] * 8, 0.0][:, None])
    drawn = clone(MODEL).fit(X).sample(9, random_state=0)
    assert np.isfinite(np.asarray(drawn)).all()


# What says that a cell is missing

MARKS = [None, float("nan"), np.float64("nan"), pd.NA, pd.NaT, Decimal("nan")]


@pytest.mark.parametrize("mark", MARKS, ids=repr)
@pytest.mark.parametrize(
    "name", ["object of int", "object of Decimal", "object of str"]
)
def test_every_mark_of_a_missing_cell_is_read(name, mark, tables):
    type = named(name)
    X, same = type.table(), type.table()
    X["y"] = [mark if cell is None else cell for cell in type.cells()]
    X["y"] = X["y"].astype(object)
    np.testing.assert_array_equal(
        clone(MODEL).fit(X).transform(X), fitted(type).transform(same)
    )
    tables.assert_filled(fitted(type).impute(X, n_proposals=FEW), X)


@pytest.mark.parametrize("mark", MARKS, ids=repr)
def test_every_mark_of_a_missing_cell_is_read_in_arrays(mark, tables):
    X = np.array([[1.0, mark], [mark, 2.0], [3.0, 4.5], [0.0, 1.0]], dtype=object)
    same = np.array([[1.0, np.nan], [np.nan, 2.0], [3.0, 4.5], [0.0, 1.0]])
    vae = clone(MODEL).fit(X)
    np.testing.assert_array_equal(vae.transform(X), vae.transform(same))
    tables.assert_filled(vae.impute(X), X)


def test_masked_cells_are_missing():
    mask = np.arange(2 * N).reshape(N, 2) % 7 == 0
    X = np.ma.masked_array(np.column_stack((STEPS, STEPS[::-1])) * 1.0, mask)
    same = X.filled(np.nan)
    Z, expected = (clone(MODEL).fit(each).transform(each) for each in (X, same))
    np.testing.assert_array_equal(Z, expected)


# Names of columns and rows

COLUMNS = {
    "texts": pd.Index(["x", "y"]),
    "a name of the columns": pd.Index(["x", "y"], name="columns"),
    "numbers": pd.Index([7, 3]),
    "tuples": pd.MultiIndex.from_tuples([("a", "x"), ("b", 1)], names=["level", None]),
    "dates": pd.date_range("2024-01-01", periods=2),
}
ROWS = {
    "texts": pd.Index([f"r{i}" for i in range(N)], name="row"),
    "doubled": pd.Index([0] * N),
    "tuples": pd.MultiIndex.from_product([range(N // 4), [*"abcd"]], names=["i", "j"]),
    "dates": pd.date_range("2024-01-01", periods=N, tz=ZONE),
}


@pytest.mark.parametrize("columns", COLUMNS)
def test_names_of_columns_come_back(columns, tables):
    table = named("str").table().set_axis(COLUMNS[columns], axis=1)
    vae = clone(MODEL).fit(table)
    for answer in (vae.sample(2), vae.inverse_transform([[0.0]])):
        tables.assert_as_in_fit(answer, table)
    tables.assert_filled(vae.impute(table, n_proposals=FEW), table)
    imputer = clone(IMPUTER).set_params(add_indicator=True).fit(table)
    filled = imputer.transform(table)
    assert filled.shape == (N, 4)
    tables.assert_filled(filled.iloc[:, :2], table)


@pytest.mark.parametrize("rows", ROWS)
def test_labels_of_rows_come_back(rows, tables):
    table = named("str").table().set_axis(ROWS[rows], axis=0)
    vae = clone(MODEL).fit(table)
    tables.assert_filled(vae.impute(table, n_proposals=FEW), table)
    tables.assert_filled(clone(IMPUTER).fit_transform(table), table)
    np.testing.assert_array_equal(vae.transform(table), latent(named("str")))


@pytest.mark.parametrize("key", [("b", 1), 1])
def test_tuple_or_position_stands_for_a_column_of_a_multi_index(key):
    table = named("int64").table().set_axis(COLUMNS["tuples"], axis=1)
    model = clone(MODEL).set_params(likelihood={key: "poisson"})
    assert "(Poisson(), [1])" in repr(model.fit(table).likelihood_)


def test_numbers_in_a_dict_are_names_of_columns_that_have_numbers_for_names():
    table = named("int64").table().set_axis([1, 0], axis=1)
    model = clone(MODEL).set_params(likelihood={0: "poisson"})
    # By position, the first column would be no count.
    assert "Poisson" in repr(model.fit(table).likelihood_)


def test_columns_with_one_name_are_refused():
    table = named("str").table().set_axis(["x", "x"], axis=1)
    with pytest.raises(ValueError, match=r"(?s)(unique|distinct).*'x'"):
        clone(MODEL).fit(table)


# The guide

GUIDE = Path(__file__).parents[1] / "docs" / "guide" / "column_types.rst"


def listed(page):
    """Return the (container, type) that the tables of a page have a row for."""
    rows = re.findall(r"^   \* - (\w+)\n     - (.*?)\n     - ", page, re.M | re.S)
    return {
        (container, " ".join(name.split()))
        for container, names in rows
        for name in re.findall("``(.+?)``", names, re.S)
    }


def test_the_guide_lists_every_type_under_its_kind():
    sections = re.split(r"\n(?:Kind ``|``fit`` raises)", GUIDE.read_text())[1:]
    *kinds, refused = map(listed, sections)
    for kind, found in zip(ACCEPTED, kinds, strict=True):
        types = PANDAS + POLARS + ARRAYS + LISTS + SPARSE
        assert {(t.container, t.name) for t in types if t.kind == kind} <= found
    assert {(t.container, t.name) for t in REFUSED} <= refused
