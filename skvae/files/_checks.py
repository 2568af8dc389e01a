"""What fields of nodes must be before a value is made of them."""

import re
from typing import Any, NoReturn

from skvae.files._errors import ModelFileError
from skvae.files._layout import NAMES
from skvae.files._values import Reader

MOST_TEXT = 500
"""Longest text of a type or a number."""


def refuse(what: Any) -> NoReturn:
    """Raise ModelFileError."""
    raise ModelFileError(f"The file has a value that is not valid: {str(what)[:80]!r}.")


def matching(pattern: re.Pattern[str], name: str) -> Any:
    """Return a check that a field is a short text of a pattern."""

    def check(fields: dict[str, Any], reader: Reader) -> None:
        said = fields[name]
        is_text = isinstance(said, str) and len(said) <= MOST_TEXT
        if not (is_text and pattern.fullmatch(said)):
            refuse(said)

    return check


def array_of(*types: str, n_axes: int | None = None) -> Any:
    """Return a check of the type and the number of axes of the array `at`."""

    def check(fields: dict[str, Any], reader: Reader) -> None:
        entry = reader.source.entries[fields["at"]]
        is_type = not types or NAMES[entry.dtype] in types
        if not is_type or n_axes not in (None, len(entry.shape)):
            refuse(entry.name)

    return check


def is_of(fields: dict[str, Any], n: int) -> None:
    """Raise ModelFileError unless a node is a list of so many."""
    if not isinstance(fields["of"], list) or len(fields["of"]) != n:
        refuse(fields["of"])
