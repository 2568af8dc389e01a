"""Types of columns ↔ texts, and which kind of column a type makes."""

import ast
import re
from functools import cache
from typing import Any

import numpy as np

KINDS = {
    "number": "int Int uint UInt float Float double halffloat decimal Decimal",
    "boolean": "bool boolean Boolean",
    "category": "category Categorical Enum dictionary str string String large_string "
    "string_view",
    "datetime": "datetime timestamp date Datetime Date",
    "timedelta": "timedelta duration Duration",
    "object": "object Object null Null",
}
"""Kinds of columns, each with the words that texts of such types begin with."""

ARROW = "arrow "
"""What texts of types of pyarrow begin with."""


def text_of(dtype: Any) -> str:
    """Return a text from which the type of a column can be made again.

    Categories are left out.
    """
    name = type(dtype).__name__
    if name == "ArrowDtype":
        return f"{ARROW}{dtype.pyarrow_dtype}"
    if name == "StringDtype":
        return f"{dtype}[{dtype.storage}]"
    if name == "CategoricalDtype":
        return f"category {text_of(dtype.categories.dtype)}"
    if isinstance(dtype, np.dtype):
        return dtype.name
    return "Enum" if name == "Enum" else str(dtype)


@cache
def kind_of(text: str) -> str:
    """Return the kind of column that a type makes; "" if there is none."""
    word = re.split("[^A-Za-z_]", text.removeprefix(ARROW).removeprefix("Sparse["))[0]
    return next((kind for kind, words in KINDS.items() if word in words.split()), "")


def zone_of(text: str) -> str | None:
    """Return the time zone of a type; None where it has none."""
    named = re.search(r"time_zone='([^']+)'|\[\w+, (?:tz=)?([^\]]+)\]", text)
    return named and (named[1] or named[2])


def unit_of(text: str) -> str:
    """Return the unit in which a type of dates or durations counts."""
    counts = r"(?:datetime64|timedelta64|timestamp|duration)\[(\w+)|time_unit='(\w+)'"
    named = re.search(counts, text)
    return (named[1] or named[2]) if named else ("D" if text == "Date" else "s")


def is_date(text: str) -> bool:
    """Return whether a type holds days without a time of day."""
    return text == "Date" or text.startswith(f"{ARROW}date")


def pandas_type(text: str, categories: Any = None, ordered: bool = False) -> Any:
    """Return the type of pandas that a text stands for."""
    import pandas as pd

    text = text.partition(" of ")[0]
    if text.startswith(ARROW):
        return pd.ArrowDtype(_arrow_type(text.removeprefix(ARROW)))
    if text.startswith("category "):
        dtype = pandas_type(text.removeprefix("category "))
        index = pd.Index(categories, dtype=dtype, tupleize_cols=False)
        return pd.CategoricalDtype(index, ordered)
    if found := re.fullmatch(r"str(ing)?\[(\w+)\]", text):
        missing = {} if found[1] else {"na_value": np.nan}
        return pd.StringDtype(found[2], **missing)
    if found := re.fullmatch(r"Sparse\[(.+?), (.*)\]", text):
        return pd.SparseDtype(*_sparse_type(*found.groups()))
    return pd.api.types.pandas_dtype(text)


def polars_type(text: str, categories: Any = None, ordered: bool = False) -> Any:
    """Return the type of polars that a text stands for; it has no order to be set."""
    import polars as pl

    text = text.partition(" of ")[0]
    if text == "Enum":
        return pl.Enum(pl.Series(categories, dtype=pl.String))
    name, _, arguments = text.partition("(")
    dtype = getattr(pl, name)
    if not arguments:
        return dtype
    call: Any = ast.parse(text, mode="eval").body
    return dtype(**{k.arg: ast.literal_eval(k.value) for k in call.keywords})


def _sparse_type(name: str, fill: str) -> tuple:
    """Return the type of stored cells and, if it can be read, that of the others."""
    try:
        return np.dtype(name), ast.literal_eval(fill)
    except ValueError:
        return (np.dtype(name),)


def _arrow_type(text: str) -> Any:
    import pyarrow as pa

    if found := re.fullmatch(r"(decimal\d+)\((\d+), (-?\d+)\)", text):
        return getattr(pa, found[1])(int(found[2]), int(found[3]))
    if found := re.fullmatch(r"timestamp\[(\w+), tz=(.+)\]", text):
        return pa.timestamp(found[1], found[2])
    named = r"dictionary<values=(\w+), indices=(\w+), ordered=(\d)>"
    if found := re.fullmatch(named, text):
        values, indices = map(pa.type_for_alias, found.groups()[:2])
        return pa.dictionary(indices, values, found[3] == "1")
    return pa.type_for_alias(text)
