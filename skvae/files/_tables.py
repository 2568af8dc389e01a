"""The columns of a table ↔ a node: few texts, and arrays as long as it is wide."""

import re
from typing import Any

import numpy as np

from skvae.files._checks import MOST_TEXT, refuse
from skvae.files._layout import NAMES
from skvae.files._values import Array, Field, Kind, Plain, Reader
from skvae.table import Column, Layout, kind_of, zone_of

ANY, PLAIN, ARRAY = Field(), Plain(), Array()

ZONE = re.compile(r"(?!dateutil)[A-Za-z0-9_+:-]+(/[A-Za-z0-9_+-]+)*")
INTERVAL = re.compile(r"category interval\[(?:(.*), )?(?:left|right|both|neither)\]")
LIBRARIES = (None, "pandas", "polars")


def _split_layout(layout: Layout) -> dict[str, Any]:
    columns = layout.columns
    names = [column.name for column in columns]
    kinds, kind_codes = _distinct([column.kind for column in columns])
    dtypes, dtype_codes = _distinct([column.dtype for column in columns])
    coded = [j for j, column in enumerate(columns) if column.categories is not None]
    are_places = all(isinstance(name, int) for name in names)
    return {
        "library": layout.library,
        "levels": layout.levels,
        "names": None if are_places and names == list(range(len(names))) else names,
        "kinds": kinds,
        "kind_codes": kind_codes,
        "dtypes": dtypes,
        "dtype_codes": dtype_codes,
        "ordered": np.array([column.ordered for column in columns], dtype=bool),
        "origins": np.array([column.origin for column in columns], dtype=np.int64),
        "categories": [(j, columns[j].categories) for j in coded],
    }


def _distinct(texts: list[str]) -> tuple[str, np.ndarray]:
    """Return the distinct texts, a line each, and the line of each text."""
    places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    return "\n".join(places), np.array([places[text] for text in texts], dtype=np.int32)


def _check_layout(fields: dict[str, Any], reader: Reader) -> None:
    names = ("kind_codes", "dtype_codes", "ordered", "origins")
    entries = [reader.source.entries[fields[name]] for name in names]
    types = [NAMES[entry.dtype] for entry in entries]
    shapes = {entry.shape for entry in entries}
    if types != ["I32", "I32", "BOOL", "I64"] or {len(s) for s in shapes} != {1}:
        refuse("columns")
    if len(shapes) > 1 or fields["library"] not in LIBRARIES:
        refuse("columns")
    reader.spend(6 * entries[0].shape[0])
    for text in f"{fields['kinds']}\n{fields['dtypes']}".split("\n"):
        _check_type(text)


def _check_type(text: str) -> None:
    """Raise ModelFileError unless a text names a type of column.

    Packages of tables make types of such texts, and would make other things of others.
    """
    known = {"", "number", "boolean", "category", "level", "datetime", "timedelta"}
    if text in known:
        return
    if found := INTERVAL.fullmatch(text):
        text = found[1] or "float"
    plain, zone = text.partition(" of ")[0].removeprefix("category "), zone_of(text)
    is_known = bool(kind_of(plain)) and len(text) <= MOST_TEXT
    if not is_known or (zone is not None and not ZONE.fullmatch(zone)):
        refuse(text)


def _make_layout(
    library: str | None,
    levels: tuple,
    names: list | None,
    kinds: str,
    kind_codes: np.ndarray,
    dtypes: str,
    dtype_codes: np.ndarray,
    ordered: np.ndarray,
    origins: np.ndarray,
    categories: list,
) -> Layout:
    n_columns = len(kind_codes)
    of_kinds, of_dtypes = kinds.split("\n"), dtypes.split("\n")
    names = list(range(n_columns)) if names is None else names
    known: list[Any] = [None] * n_columns
    for j, values in categories:
        known[j] = values
    fields = zip(
        names,
        [of_kinds[code] for code in kind_codes.tolist()],
        [of_dtypes[code] for code in dtype_codes.tolist()],
        known,
        ordered.tolist(),
        origins.tolist(),
        strict=True,
    )
    return Layout(library, tuple(Column(*each) for each in fields), levels)


LAYOUT = Kind(
    {
        "library": PLAIN,
        "levels": ANY,
        "names": ANY,
        "kinds": PLAIN,
        "kind_codes": ARRAY,
        "dtypes": PLAIN,
        "dtype_codes": ARRAY,
        "ordered": ARRAY,
        "origins": ARRAY,
        "categories": ANY,
    },
    _split_layout,
    _make_layout,
    _check_layout,
)
