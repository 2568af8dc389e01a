"""One column: what is known of it, its cells as numbers, and numbers as its cells."""

import datetime
import re
from collections.abc import Callable, Sequence
from decimal import Context, Decimal
from numbers import Number, Real
from typing import Any, NamedTuple

import numpy as np

from skvae.table._types import is_date, kind_of, text_of, unit_of, zone_of

DAY = np.timedelta64(1, "D")

YEARS = np.array(["0001-01-02", "9999-12-30"], "M8[D]").astype(np.int64)
"""Days from 1970 that any package of tables can hold, in any time zone."""

LONGEST = 999_999_998
"""Days of the longest duration that any package of tables can hold."""

MOST_PLACES = 76
"""Decimal places that a column may have: those of pyarrow's longest type."""

MOST_DIGITS = 400
"""Digits that hold any float with as many decimal places."""

ACCEPTED = {
    "number": ("number", "boolean"),
    "boolean": ("number", "boolean"),
    "datetime": ("datetime",),
    "timedelta": ("timedelta",),
}
"""Kinds that new rows may have in a column of a kind; codes are made of any values."""

EXPECTED = {
    "number": ("numbers", "pandas.to_numeric"),
    "boolean": ("booleans", "astype(bool)"),
    "datetime": ("dates", "pandas.to_datetime"),
    "timedelta": ("durations", "pandas.to_timedelta"),
}
"""What a column of a kind holds, and what converts others to it."""


class Column(NamedTuple):
    """What is known of a column before any likelihood: strings and arrays only.

    Attributes
    ----------
    name : hashable
        The name in a table, the position in an array.
    kind : {"number", "boolean", "category", "level", "datetime", "timedelta", "object"}
        Read from the type of the column; where that says nothing, from the types of its
        cells: "object" if these are several, or dates.
    dtype : str
        The type as a text; "" of numbers in an array.
    categories : ndarray or None
        The values that codes 0, 1, ... stand for, where the column is coded.
    ordered : bool
        Whether the type orders the categories.
    origin : int
        The day, counted from 1970, from which dates are counted.
    """

    name: Any
    kind: str
    dtype: str = ""
    categories: Any = None
    ordered: bool = False
    origin: int = 0

    @property
    def label(self) -> str:
        """Name of the column in messages."""
        return repr(self.name) if isinstance(self.name, str) else str(self.name)

    @property
    def title(self) -> str:
        """The name of the column beside numbers, where a position says too little."""
        is_name = isinstance(self.name, str | tuple)
        return str(self.name) if is_name else f"column {self.name}"

    @property
    def has_order(self) -> bool:
        """Whether the categories have an order: that of the type, or of numbers."""
        if self.ordered or self.categories is None:
            return self.ordered
        return all(isinstance(value, Real) for value in self.categories.tolist())


def is_missing(cell: Any) -> bool:
    """Return whether a cell, of any type, is None, NaN, or NA or NaT of pandas."""
    if cell is None or type(cell).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(cell, Decimal):
        return cell.is_nan()
    is_number = isinstance(cell, Number | np.datetime64 | np.timedelta64)
    return is_number and bool(cell != cell)


# The kind of objects


def described(cells: Sequence) -> tuple[str, str]:
    """Return the kind of a column of objects, and what its cells are, as a text."""
    names = sorted({_nature(cell) for cell in cells if not is_missing(cell)})
    if not names:
        return "category", ""
    if set(names) <= {"int", "float", "Decimal"}:
        # Where one is a fraction of any length, all may be.
        name = max(names, key=("int", "Decimal", "float").index)
        return "number", f"{name} {_scale(cells)}" if name == "Decimal" else name
    is_one = len(names) == 1 and names[0] not in ("date", "complex")
    kind = "boolean" if names[0] == "bool" else "category"
    return kind if is_one else "object", ", ".join(names)


def _nature(cell: Any) -> str:
    """Return which type a cell has, one name for all that mean the same."""
    if isinstance(cell, bool | np.bool_):
        return "bool"
    if isinstance(cell, np.datetime64 | np.timedelta64) or _is_date(cell):
        return "date"
    if isinstance(cell, Decimal):
        return "Decimal"
    if isinstance(cell, Number):
        is_real = not isinstance(cell, complex | np.complexfloating)
        is_whole = hasattr(cell, "__index__")
        return ("int" if is_whole else "float") if is_real else "complex"
    return type(cell).__name__


def _is_date(cell: Any) -> bool:
    is_known = isinstance(cell, datetime.date | datetime.time | datetime.timedelta)
    return is_known or type(cell).__name__ == "Period"


def _scale(cells: Sequence) -> int:
    """Return the largest number of decimal places, up to those that count."""
    decimals = (cell for cell in cells if isinstance(cell, Decimal))
    exponents = (cell.as_tuple().exponent for cell in decimals if cell.is_finite())
    return min(max(-int(exponent) for exponent in exponents), MOST_PLACES)


# Cells → numbers


def numbers(cells: Any, column: Column) -> np.ndarray:
    """Return a column of a table, or of an array, as float64; NaN is missing.

    Raises ValueError where cells are of another kind than those of `fit`.
    """
    kind, text = kind_and_text(cells)
    is_known = kind in ACCEPTED[column.kind]
    if not is_known or _is_aware(kind, text) != _is_aware(column.kind, column.dtype):
        return _missing_only(cells, column, text)
    if kind in ("datetime", "timedelta"):
        return days(_instants(cells, text), column.origin)
    return _floats(cells)


def _is_aware(kind: str, text: str) -> bool:
    """Return whether a column holds dates with a time zone."""
    return kind == "datetime" and zone_of(text) is not None


def kind_and_text(cells: Any) -> tuple[str, str]:
    """Return the kind of a column, and its type as a text."""
    text = text_of(cells.dtype)
    kind = kind_of(text)
    if kind != "object":
        return kind, text
    kind, nature = described(listed(cells))
    return kind, f"{text} of {nature}"


def listed(cells: Any) -> list:
    """Return the cells of a column of a table or of an array."""
    return cells.tolist() if isinstance(cells, np.ndarray) else cells.to_list()


def _missing_only(cells: Any, column: Column, text: str) -> np.ndarray:
    """Return missing cells; raise ValueError if there are others."""
    seen = next((cell for cell in listed(cells) if not is_missing(cell)), None)
    if seen is not None:
        things, convert = EXPECTED[column.kind]
        if column.kind == "datetime":
            zone = zone_of(column.dtype)
            things += f" with a time zone, such as {zone}" if zone else " without zone"
        raise ValueError(
            f"Column {column.label} must hold {things}, as in fit. Got {text}, such as "
            f"{seen!r}. Convert it, for example with {convert}."
        )
    return np.full(len(cells), np.nan)


def _floats(cells: Any) -> np.ndarray:
    """Return numbers or booleans of any type as float64."""
    if "object" in str(cells.dtype).lower():
        objects = listed(cells)
        return np.array([np.nan if is_missing(c) else float(c) for c in objects])
    if hasattr(cells, "cast"):  # polars
        return cells.cast(float).to_numpy()
    return cells.to_numpy(dtype=np.float64, na_value=np.nan)


def _instants(cells: Any, text: str) -> np.ndarray:
    """Return dates or durations in NumPy's types; dates in UTC."""
    if isinstance(cells, np.ndarray) or hasattr(cells, "cast"):
        return np.asarray(cells)
    if is_date(text):
        cells = cells.astype("datetime64[s]")
    letter = "M" if kind_of(text) == "datetime" else "m"
    return cells.to_numpy(dtype=f"{letter}8[{unit_of(text)}]")


def days(instants: np.ndarray, origin: Any = 0) -> np.ndarray:
    """Return dates as days from an origin, or durations as days; NaT as NaN."""
    instants, per_day = _in_days(instants)
    whole, rest = np.divmod(instants.astype(np.int64), per_day)
    values = (whole - origin) + rest / per_day
    return np.where(np.isnat(instants), np.nan, values)


def _in_days(instants: np.ndarray) -> tuple[np.ndarray, int]:
    """Return dates or durations in a unit of which a day has a whole number."""
    letter, (unit, _) = instants.dtype.kind, np.datetime_data(instants.dtype)
    if unit in ("Y", "M", "W"):
        unit = "D"
    elif unit in ("ps", "fs", "as"):
        unit = "ns"
    one: Any = np.timedelta64(1, unit)  # type: ignore[call-overload]
    return instants.astype(f"{letter}8[{unit}]"), int(DAY / one)


def first_day(cells: Any) -> int:
    """Return the day of the earliest date of a column, from 1970."""
    _, text = kind_and_text(cells)
    seen = days(_instants(cells, text))
    return int(np.floor(np.nanmin(seen))) if not np.isnan(seen).all() else 0


# Numbers → cells


def values(numbers: np.ndarray, column: Column) -> np.ndarray:
    """Return numbers or codes as values that the type of a column can hold."""
    if column.categories is not None:
        return _of_codes(numbers, column.categories)
    if column.kind == "boolean":
        return numbers > 0.5
    if column.kind in ("datetime", "timedelta"):
        letter = "M" if column.kind == "datetime" else "m"
        return instants(numbers, column.origin, f"{letter}8[{unit_of(column.dtype)}]")
    return _of_numbers(numbers, column.dtype)


def _of_codes(codes: np.ndarray, categories: np.ndarray) -> np.ndarray:
    """Return the values that codes stand for; None where there is no category."""
    if not len(categories):
        return np.full(len(codes), None)
    return categories[codes.astype(int)]


def instants(numbers: np.ndarray, origin: int, dtype: str) -> np.ndarray:
    """Return days from an origin as dates, or days as durations."""
    letter = np.dtype(dtype).kind
    none, per_day = _in_days(np.empty(0, dtype))
    most = (2**63 - 1) // per_day - 1
    low, high = YEARS if letter == "M" else (-LONGEST, LONGEST)
    whole = np.floor(numbers)
    rest = np.rint((numbers - whole) * per_day).astype(np.int64)
    whole = np.clip(whole + origin, max(low, -most), min(high, most)).astype(np.int64)
    return (whole * per_day + rest).view(none.dtype).astype(dtype)


def is_whole(text: str) -> bool:
    """Return whether a type holds whole numbers."""
    return bool(re.search(r"^(arrow |Sparse\[)?(?i:u?int)\d|of int$", text))


def _of_numbers(numbers: np.ndarray, text: str) -> np.ndarray:
    """Return numbers within the range, and with the decimal places, of a type."""
    for pattern, convert in CONVERSIONS:
        if found := re.search(pattern, text):
            return convert(numbers, *found.groups())
    return numbers


def _whole(numbers: np.ndarray, letter: str, bits: str) -> np.ndarray:
    """Return whole numbers of so many bits, without sign after a letter."""
    n_bits, is_signed = int(bits), not letter
    low = -(2 ** (n_bits - 1)) if is_signed else 0
    most = 2 ** (n_bits - is_signed) - 1
    high = float(most)
    # The limit itself may not be a float, and the next one be beyond it.
    high = high if int(high) <= most else np.nextafter(high, 0.0)
    clipped = np.clip(np.rint(numbers), low, high)
    if n_bits > 64:
        return _objects(int, clipped)
    return clipped.astype(f"{letter}int{n_bits}".lower())


def _decimals(numbers: np.ndarray, precision: str, scale: str) -> np.ndarray:
    """Return Decimals of so many digits, so many of them after the point."""
    n_digits = int(precision) if precision.isdecimal() else MOST_DIGITS
    unit, exact = Decimal(1).scaleb(-int(scale)), Context(prec=MOST_DIGITS)
    limit = Decimal(10**n_digits - 1).scaleb(-int(scale), exact)

    def convert(number: float) -> Decimal:
        rounded = Decimal(repr(number)).quantize(unit, context=exact)
        return max(-limit, min(limit, rounded))

    return _objects(convert, numbers)


def _objects(convert: Callable, numbers: np.ndarray) -> np.ndarray:
    """Return an array of objects."""
    objects = np.empty(len(numbers), dtype=object)
    objects[:] = [convert(number) for number in numbers.tolist()]
    return objects


CONVERSIONS: Sequence[tuple[str, Callable[..., np.ndarray]]] = (
    (r"of int$", lambda numbers: _objects(round, numbers)),
    (r"of float$", lambda numbers: _objects(float, numbers)),
    (r"of (Decimal) (\d+)$", _decimals),
    (r"^arrow decimal\d+\((\d+), (-?\d+)\)", _decimals),
    (r"^Decimal\(precision=(\w+), scale=(\d+)\)", _decimals),
    (r"^(?:arrow |Sparse\[)?(?i:(u?)int(\d+))", _whole),
    (r"float16|halffloat", lambda n: np.clip(n, -65504.0, 65504.0)),
    (r"(?i)float32|arrow float", lambda n: n.clip(*np.finfo("f4").max * np.r_[-1, 1])),
)
"""What types hold, each found by a pattern in its text."""
