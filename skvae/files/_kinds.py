"""The kinds of values that files hold, apart from models: how each is taken apart."""

import datetime
import itertools
import re
import zoneinfo
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import torch

from skvae.files._checks import MOST_TEXT, array_of, is_of, matching, refuse
from skvae.files._layout import NAMES
from skvae.files._tables import LAYOUT, ZONE
from skvae.files._values import SHORT, Array, Field, Kind, Named, Plain, Reader
from skvae.table import Layout

ANY, PLAIN, ARRAY, NAMED = Field(), Plain(), Array(), Named()

DATES = re.compile(r"[mM]8\[\d{0,4}(Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)\]")
DEVICE = re.compile(r"cpu|cuda(:\d{1,3})?")


# Lists


def _check_floats(fields: dict[str, Any], reader: Reader) -> None:
    array_of("F64", n_axes=1)(fields, reader)
    reader.spend(*reader.source.entries[fields["at"]].shape)


def _split_words(words: list[str]) -> dict[str, Any]:
    encoded = [word.encode("utf-8", "surrogatepass") for word in words]
    ends = np.cumsum([len(word) for word in encoded], dtype=np.int64)
    return {"at": np.frombuffer(b"".join(encoded), np.uint8), "ends": ends}


def _check_words(fields: dict[str, Any], reader: Reader) -> None:
    array_of("U8", n_axes=1)(fields, reader)
    array_of("I64", n_axes=1)({"at": fields["ends"]}, reader)
    reader.spend(2 * reader.source.entries[fields["ends"]].shape[0])


def _make_words(at: np.ndarray, ends: np.ndarray) -> list[str]:
    begins = [0, *ends.tolist()]
    if begins[-1] != len(at) or (np.diff(begins) < 0).any():
        refuse("texts")
    text = at.tobytes()
    pairs = itertools.pairwise(begins)
    return [text[a:b].decode("utf-8", "surrogatepass") for a, b in pairs]


def _make_dict(of: Any) -> dict:
    pairs: list[tuple[Any, Any]] = [(key, value) for key, value in of]
    found = dict(pairs)
    if len(found) < len(pairs):
        refuse("a key twice")
    return found


# Arrays


def _split_text(array: np.ndarray) -> dict[str, Any]:
    flat = np.ascontiguousarray(array.reshape(-1)).astype(array.dtype.newbyteorder("="))
    width = max(1, array.dtype.itemsize // 4)
    return {"at": flat.view(np.uint32).reshape(*array.shape, width)}


def _make_text(at: np.ndarray) -> np.ndarray:
    *shape, width = at.shape
    if at.size and at.max() > 0x10FFFF:
        refuse("a text")
    return at.reshape(-1).view(f"<U{width}").reshape(shape).astype(f"=U{width}")


def _make_objects(of: list) -> np.ndarray:
    array = np.empty(len(of), dtype=object)
    array[:] = of
    return array


def _check_dates(fields: dict[str, Any], reader: Reader) -> None:
    array_of("I64")(fields, reader)
    matching(DATES, "dtype")(fields, reader)


def _make_random_state(keys: np.ndarray, of: list) -> np.random.RandomState:
    state = np.random.RandomState(0)
    position, has_gauss, gauss = of
    if not 0 <= position <= 624:
        refuse(position)
    state.set_state(("MT19937", keys, position, has_gauss, gauss))
    return state


def _split_random_state(state: np.random.RandomState) -> dict[str, Any]:
    _, keys, *rest = state.get_state(legacy=True)
    return {"keys": keys, "of": [int(rest[0]), int(rest[1]), float(rest[2])]}


# Dates and numbers of other types


def _make_decimal(of: str) -> Decimal:
    number = Decimal(of)
    # Of larger ones, integers would fill the memory.
    if number.is_finite() and abs(number.adjusted()) > 10_000:
        refuse(of)
    return number


def _split_timestamp(value: Any) -> dict[str, Any]:
    zone = None if value.tz is None else str(value.tz)
    instant = value.tz_localize(None) if zone is None else value.tz_convert(None)
    return {"at": instant.asm8.astype(np.int64), "unit": value.unit, "zone": zone}


def _check_timestamp(fields: dict[str, Any], reader: Reader) -> None:
    array_of("I64", n_axes=0)(fields, reader)
    if fields["unit"] not in ("s", "ms", "us", "ns"):
        refuse(fields["unit"])
    if fields["zone"] is not None:
        matching(ZONE, "zone")(fields, reader)


def _make_timestamp(at: np.ndarray, unit: str, zone: str | None) -> Any:
    import pandas as pd

    stamp = pd.Timestamp(at.view(f"M8[{unit}]")[()])
    return stamp if zone is None else stamp.tz_localize("UTC").tz_convert(zone)


def _make_timedelta(at: np.ndarray, unit: str) -> Any:
    import pandas as pd

    return pd.Timedelta(at.view(f"m8[{unit}]")[()])


def _check_pandas_timedelta(fields: dict[str, Any], reader: Reader) -> None:
    _check_timestamp({**fields, "zone": None}, reader)


def _make_interval(of: list) -> Any:
    import pandas as pd

    return pd.Interval(*of)


def _text_kind(split: Any, make: Any) -> Kind:
    """Return the kind of values that are a short text."""
    check = matching(re.compile(".*", re.DOTALL), "of")
    return Kind(
        {"of": PLAIN}, lambda value: {"of": split(value)}, lambda of: make(of), check
    )


def _list_kind(n: int, split: Any, make: Any) -> Kind:
    """Return the kind of values that are a list of n values."""

    def check(fields: dict[str, Any], reader: Reader) -> None:
        is_of(fields, n)

    return Kind({"of": ANY}, lambda value: {"of": list(split(value))}, make, check)


KINDS: dict[str, Kind] = {
    "tuple": Kind({"of": ANY}, lambda v: {"of": list(v)}, lambda of: tuple(of)),
    "names": Kind({"of": NAMED}, lambda v: {"of": v}, lambda of: of),
    "dict": Kind(
        {"of": ANY}, lambda v: {"of": [[k, w] for k, w in v.items()]}, _make_dict
    ),
    "floats": Kind(
        {"at": ARRAY},
        lambda v: {"at": np.array(v, dtype=np.float64)},
        lambda at: at.tolist(),
        _check_floats,
    ),
    "words": Kind(
        {"at": ARRAY, "ends": ARRAY}, _split_words, _make_words, _check_words
    ),
    "float": _text_kind(repr, float),
    "slice": _list_kind(3, lambda v: (v.start, v.stop, v.step), lambda of: slice(*of)),
    "array": Kind({"at": ARRAY}, lambda v: {"at": v}, lambda at: at),
    "scalar": Kind(
        {"at": ARRAY},
        lambda v: {"at": np.asarray(v)},
        lambda at: at[()],
        array_of(n_axes=0),
    ),
    "text": Kind({"at": ARRAY}, _split_text, _make_text, array_of("U32")),
    "objects": Kind({"of": ANY}, lambda v: {"of": v.tolist()}, _make_objects),
    "instants": Kind(
        {"at": ARRAY, "dtype": PLAIN},
        lambda v: {
            "at": v.astype(v.dtype.newbyteorder("=")).view(np.int64),
            "dtype": v.dtype.str[1:],
        },
        lambda at, dtype: at.view(dtype),
        _check_dates,
    ),
    "dtype": _text_kind(lambda v: v.str, lambda of: np.dtype(of)),
    "date": _text_kind(datetime.date.isoformat, datetime.date.fromisoformat),
    "datetime": _text_kind(
        datetime.datetime.isoformat, datetime.datetime.fromisoformat
    ),
    "time": _text_kind(datetime.time.isoformat, datetime.time.fromisoformat),
    "timedelta": _list_kind(
        3,
        lambda v: (v.days, v.seconds, v.microseconds),
        lambda of: datetime.timedelta(*of),
    ),
    "decimal": _text_kind(str, _make_decimal),
    "Timestamp": Kind(
        {"at": ARRAY, "unit": PLAIN, "zone": PLAIN},
        _split_timestamp,
        _make_timestamp,
        _check_timestamp,
    ),
    "Timedelta": Kind(
        {"at": ARRAY, "unit": PLAIN},
        lambda v: {"at": v.asm8.astype(np.int64), "unit": v.unit},
        _make_timedelta,
        _check_pandas_timedelta,
    ),
    "Interval": _list_kind(3, lambda v: (v.left, v.right, v.closed), _make_interval),
    "random": Kind({"keys": ARRAY, "of": ANY}, _split_random_state, _make_random_state),
    "device": Kind(
        {"of": PLAIN},
        lambda v: {"of": str(v)},
        lambda of: torch.device(of),
        matching(DEVICE, "of"),
    ),
    "layout": LAYOUT,
    "str_": _text_kind(str, np.str_),
}

EXACT = {
    tuple: "tuple",
    float: "float",
    slice: "slice",
    datetime.date: "date",
    datetime.datetime: "datetime",
    datetime.time: "time",
    datetime.timedelta: "timedelta",
    Decimal: "decimal",
    np.random.RandomState: "random",
    torch.device: "device",
    Layout: "layout",
}
"""Kinds by the type of a value."""

BY_LETTER = {"U": "text", "M": "instants", "m": "instants", "O": "objects"}
"""Kinds of arrays, by the letter of their type; others are numbers."""


def kind_of_value(value: Any) -> str | None:
    """Return the name of the kind of a value; None if it has none."""
    choose = BY_TYPE.get(type(value))
    if choose is not None:
        return choose(value)
    if isinstance(value, np.ndarray):
        return _kind_of_array(value)
    if isinstance(value, np.generic):
        return "scalar" if value.dtype.newbyteorder("<") in NAMES else None
    if isinstance(value, np.dtype):
        return "dtype" if value.kind in "biufUSmM" else None
    if type(value).__module__.partition(".")[0] == "pandas":
        return _kind_of_pandas(value)
    is_aware = getattr(value, "tzinfo", None) is not None
    # Names of time zones would be lost.
    return None if is_aware else EXACT.get(type(value))


def _kind_of_dict(value: dict) -> str:
    are_names = all(isinstance(key, str) for key in value) and "$" not in value
    return "names" if are_names else "dict"


def _kind_of_array(array: np.ndarray) -> str | None:
    letter = array.dtype.kind
    if letter in BY_LETTER:
        return BY_LETTER[letter] if letter != "O" or array.ndim == 1 else None
    return "array" if array.dtype.newbyteorder("<") in NAMES else None


def _kind_of_list(values: list) -> str:
    types = set(map(type, values))
    if len(values) < SHORT or len(types) > 1:
        return "list"
    return {float: "floats", str: "words"}.get(types.pop(), "list")


def _kind_of_word(value: np.str_) -> str | None:
    return "str_" if len(value) <= MOST_TEXT else None


BY_TYPE: dict[type, Callable[[Any], str | None]] = {
    list: _kind_of_list,
    dict: _kind_of_dict,
    np.str_: _kind_of_word,
}
"""What chooses between the kinds of a type, of which subclasses have none."""


def _kind_of_pandas(value: Any) -> str | None:
    name = type(value).__name__
    if name == "Timestamp" and value.tz is not None:
        zone = str(value.tz)
        known = zone == "UTC" or zone in zoneinfo.available_timezones()
        return name if known and ZONE.fullmatch(zone) else None
    return name if name in ("Timestamp", "Timedelta", "Interval") else None
