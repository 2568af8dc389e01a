"""Names, types and shapes of arrays ↔ the header of a file, checked before any array.

The layout is that of safetensors: eight bytes that are the length of a JSON header, the
header, and the arrays one after another. Reading is written out here, and not left to
the package of that name, since it has to be stricter: one text for one layout, and a
bound on what a header may become in memory.
"""

import json
import math
from typing import Any, NamedTuple

import numpy as np

from skvae.files._errors import ModelFileError

DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "|u1",
    "BOOL": "|b1",
}
"""Types of arrays: their names in safetensors, and in NumPy."""

NAMES = {np.dtype(dtype): name for name, dtype in DTYPES.items()}

BEGIN = b'{"__metadata__":{"sha256":"'
"""How every header begins, so that the sum has a place of its own."""

NO_SUM = b"0" * 64
"""What is in the place of the sum while it is computed."""

MOST_BYTES = 1 << 20
"""Longest header; as Python objects it is at most about 15 times as large."""

MOST_CONTAINERS = 1 << 16
"""Most brackets of a header, each of which may be an object of many bytes."""

MOST_AXES = 16
MOST_NAME = 1000


class Entry(NamedTuple):
    """An array in a file; its bytes follow those of the one before."""

    name: str
    dtype: np.dtype
    shape: tuple[int, ...]

    @property
    def n_bytes(self) -> int:
        """Number of bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


def little(array: np.ndarray) -> np.ndarray:
    """Return an array in the order of bytes of files, contiguous."""
    dtype = array.dtype.newbyteorder("<")
    if dtype not in NAMES:
        raise TypeError(
            "Arrays in files must be of floats, integers or booleans of at most 8 "
            f"bytes. Got {array.dtype}. Convert it first."
        )
    return np.asarray(array, dtype=dtype, order="C")


def header_of(entries: list[Entry], facts: dict[str, Any]) -> bytes:
    """Return the header, with zeros in the place of the sum.

    Raises
    ------
    ValueError
        If it would be too long, or a fact is no JSON value.
    """
    own = json.dumps(facts, allow_nan=False, separators=(",", ":"))
    header: dict[str, Any] = {
        "__metadata__": {"sha256": NO_SUM.decode(), "format": "skvae", "facts": own}
    }
    begin = 0
    for name, dtype, shape in entries:
        end = begin + Entry(name, dtype, shape).n_bytes
        header[name] = {
            "dtype": NAMES[dtype],
            "shape": list(shape),
            "data_offsets": [begin, end],
        }
        begin = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MOST_BYTES or _n_containers(text) > MOST_CONTAINERS:
        raise ValueError(
            f"A file requires at most {MOST_BYTES:,} bytes and {MOST_CONTAINERS:,} "
            f"brackets of text. Got {len(text):,} and {_n_containers(text):,}. Use "
            "fewer columns, or shorter names of columns and categories."
        )
    return text


def read_header(text: bytes, n_rest: int) -> tuple[list[Entry], dict[str, Any]]:
    """Return the arrays that a file must hold, and its facts.

    Parameters
    ----------
    text : bytes
        The header, of at most `MOST_BYTES` bytes.
    n_rest : int
        Number of bytes that follow it.

    Raises
    ------
    ModelFileError
        If anything is not as `header_of` writes it.
    """
    if not text.startswith(BEGIN) or _n_containers(text) > MOST_CONTAINERS:
        raise ModelFileError("The header is not that of a model.")
    header = parse(text)
    about = header.pop("__metadata__", None)
    if not _is_about(about):
        raise ModelFileError("The header says nothing of a model.")
    entries = []
    begin = 0
    for name, said in header.items():
        entry, end = _entry(name, said, begin)
        entries.append(entry)
        begin = end
    if begin != n_rest:
        raise ModelFileError(
            f"The file must have {begin} bytes after its header. Got {n_rest}."
        )
    facts = parse(about["facts"])
    try:
        again = header_of(entries, facts)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"The header is not that of a model: {error}.") from error
    if again != text.replace(about["sha256"].encode(), NO_SUM, 1):
        raise ModelFileError("The header is not as this package writes it.")
    return entries, facts


def parse(text: bytes | str) -> dict[str, Any]:
    """Return a JSON object in which no key occurs twice and all numbers are finite."""
    try:
        value = json.loads(
            text,
            object_pairs_hook=_without_doubles,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except ModelFileError:
        raise
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"The file has text that is no JSON: {error}.") from error
    if not isinstance(value, dict):
        raise ModelFileError("The file has text that is no JSON object.")
    return value


def _n_containers(text: bytes) -> int:
    return text.count(b"[") + text.count(b"{")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ModelFileError("The file has a key twice.")
    return found


def _refuse_constant(name: str) -> None:
    raise ModelFileError(f"The file has the number {name}, which is not JSON.")


def _finite(text: str) -> float:
    if math.isinf(value := float(text)):
        raise ModelFileError(f"The file has the number {text}, which is no float.")
    return value


def _is_about(about: Any) -> bool:
    """Return whether metadata have what a model's have, and nothing else."""
    return (
        isinstance(about, dict)
        and list(about) == ["sha256", "format", "facts"]
        and all(isinstance(value, str) for value in about.values())
        and about["format"] == "skvae"
    )


def _entry(name: str, said: Any, begin: int) -> tuple[Entry, int]:
    """Return an array of the header that begins at a byte, and where it ends."""
    wrong = ModelFileError(f"The file describes the array {name[:80]!r} wrongly.")
    if not isinstance(said, dict) or list(said) != ["dtype", "shape", "data_offsets"]:
        raise wrong
    dtype, shape, offsets = said.values()
    if not isinstance(dtype, str) or dtype not in DTYPES or len(name) > MOST_NAME:
        raise wrong
    if not (_is_sizes(shape) and _is_sizes(offsets) and len(shape) <= MOST_AXES):
        raise wrong
    entry = Entry(name, np.dtype(DTYPES[dtype]), tuple(shape))
    # Of an empty array too, sizes have to be such that NumPy can make it.
    most = math.prod(max(1, size) for size in shape) * entry.dtype.itemsize
    if offsets != [begin, begin + entry.n_bytes] or most >= 1 << 62:
        raise wrong
    return entry, offsets[1]


def _is_sizes(values: Any) -> bool:
    # A boolean is an integer to Python, but not to JSON.
    return isinstance(values, list) and all(
        isinstance(v, int) and not isinstance(v, bool) and v >= 0 for v in values
    )
