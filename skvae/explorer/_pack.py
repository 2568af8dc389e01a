"""Arrays and a header ↔ one text that a page carries: base64 of compressed bytes."""

import base64
import gzip
import json
from typing import Any

import numpy as np

TYPES = {"f4", "f8", "i1", "i4", "u1", "u2", "u4"}
"""Types of arrays that browsers have, too; in little-endian order."""

ALIGNMENT = 8
"""Arrays begin at multiples of this many bytes."""


class Pack:
    """Named arrays, collected to be written one after the other.

    The bytes are those of the header's length (4, little-endian), of the header, a JSON
    text, and of the arrays. The header lists under `"arrays"` the type, the shape and
    the position of each, counted from the end of the header.
    """

    def __init__(self) -> None:
        self._arrays: list[np.ndarray] = []
        self._places: list[tuple[str, list[int], int]] = []
        self._size = 0

    def add(self, array: np.ndarray) -> int:
        """Add an array; return its number."""
        array = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
        name = array.dtype.str[1:]
        if name not in TYPES:
            raise TypeError(f"Arrays must be of {sorted(TYPES)}. Got {name}.")
        self._arrays.append(array)
        self._places.append((name, list(array.shape), self._size))
        self._size += _aligned(array.nbytes)
        return len(self._places) - 1

    def text(self, header: dict[str, Any]) -> str:
        """Return everything, with a header, as base64."""
        said = json.dumps({**header, "arrays": self._places}, separators=(",", ":"))
        start = said.encode()
        start += b" " * (_aligned(len(start) + 4) - len(start) - 4)
        parts = [len(start).to_bytes(4, "little"), start]
        for array in self._arrays:
            parts.append(array.tobytes())
            parts.append(bytes(_aligned(array.nbytes) - array.nbytes))
        # Without the time, so that the same page has the same bytes.
        return base64.b64encode(gzip.compress(b"".join(parts), 6, mtime=0)).decode()


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
