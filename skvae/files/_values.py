"""Values ↔ JSON and arrays: a value of a class is its name in a list and its fields.

What is written is a *node*: None, a boolean, an integer, a finite float, a text, a list
of nodes, or an object {"$": kind, ...} with the fields of its kind. A reader knows the
kinds, and what each field must be. It audits all nodes of a file before it makes a
value of any: nothing that a file names is looked up anywhere else.
"""

import math
from collections.abc import Callable, Mapping
from types import NoneType
from typing import Any, NamedTuple

import numpy as np

from skvae.files._container import Source
from skvae.files._errors import ModelFileError

PLAIN = {NoneType: True, bool: True, int: True, str: True}
"""Types that are the same in JSON; none derived from them."""

FLOAT = {float: True}
"""The type that is the same if it is finite."""

SHORT = 16
"""Lists of fewer numbers or texts are in the JSON, where people can read them."""

MOST_DEPTH = 40
MOST_OBJECTS = 1 << 20
"""Most numbers in lists, or half as many texts, that are made of a file's arrays."""


class Kind(NamedTuple):
    """A kind of node.

    Attributes
    ----------
    fields : dict of str to Field
    split : callable
        Gives the fields of a value, by name.
    make : callable
        Gives the value of fields, by name.
    check : callable
        Gets the fields of a node, which passed their own audits, and a reader; raises
        ModelFileError if a value of them may not be made.
    """

    fields: Mapping[str, "Field"]
    split: Callable[[Any], dict[str, Any]]
    make: Callable[..., Any]
    check: Callable[[dict[str, Any], "Reader"], None] = lambda fields, reader: None


class Field:
    """A field of a kind; this one is any value, a node."""

    def write(self, writer: "Writer", value: Any) -> Any:
        """Return the JSON of a value."""
        return writer.encode(value)

    def audit(self, reader: "Reader", said: Any) -> None:
        """Raise ModelFileError if JSON is not what `write` gives."""
        reader.audit(said)

    def read(self, reader: "Reader", said: Any) -> Any:
        """Return the value of JSON that passed the audit."""
        return reader.decode(said)


class Plain(Field):
    """A field that is a text, an integer, a boolean, or None."""

    def write(self, writer: "Writer", value: Any) -> Any:
        """Return the value."""
        return value

    def audit(self, reader: "Reader", said: Any) -> None:
        """Raise ModelFileError if it is none of these."""
        if not isinstance(said, str | int | None):
            raise ModelFileError("The file has something else in place of a text.")

    def read(self, reader: "Reader", said: Any) -> Any:
        """Return the value."""
        return said


class Array(Field):
    """A field that is an array in the file; the node has its name."""

    def write(self, writer: "Writer", value: Any) -> Any:
        """Keep the array, and return its name."""
        return writer.put(value)

    def audit(self, reader: "Reader", said: Any) -> None:
        """Raise ModelFileError if there is no such array, or it is used already."""
        reader.claim(said)

    def read(self, reader: "Reader", said: Any) -> Any:
        """Return the array."""
        return reader.source.array(said)


class Named(Field):
    """A field that is a dict of texts to values."""

    def write(self, writer: "Writer", value: Any) -> Any:
        """Return the dict of nodes."""
        return {name: writer.encode_at(name, one) for name, one in value.items()}

    def audit(self, reader: "Reader", said: Any) -> None:
        """Raise ModelFileError if it is none, or a node in it is wrong."""
        if not isinstance(said, dict) or "$" in said:
            raise ModelFileError("The file has something else in place of names.")
        for node in said.values():
            reader.audit(node)

    def read(self, reader: "Reader", said: Any) -> Any:
        """Return the dict of values."""
        return {name: reader.decode(node) for name, node in said.items()}


class Writer:
    """Makes nodes of values, and collects their arrays.

    Parameters
    ----------
    kinds : mapping of str to Kind
    kind_of : callable
        Gives the name of a value's kind; None if there is none.
    """

    def __init__(
        self, kinds: Mapping[str, Kind], kind_of: Callable[[Any], str | None]
    ) -> None:
        self.kinds, self.kind_of = kinds, kind_of
        self.arrays: dict[str, np.ndarray] = {}
        self.place: list[str] = []

    def encode_at(self, name: Any, value: Any) -> Any:
        """Return the node of a value that has a name in the one around it."""
        self.place.append(str(name))
        node = self.encode(value)
        self.place.pop()
        return node

    @property
    def name(self) -> str:
        """Name of the place, which people can read."""
        return "/".join(self.place)

    def put(self, array: np.ndarray) -> str:
        """Keep an array, and return a name of its own."""
        name = self.name
        if name in self.arrays or len(name) > 200 or not name.isascii():
            name = f"array/{len(self.arrays)}"
        self.arrays[name] = array
        return name

    def encode(self, value: Any) -> Any:
        """Return the node of a value.

        Raises
        ------
        TypeError
            If a file cannot hold it.
        """
        if PLAIN.get(type(value)):
            return value
        if FLOAT.get(type(value)) and math.isfinite(value):
            return value
        kind = self.kind_of(value)
        if kind is None:
            raise TypeError(
                "Files of models hold values of this package's classes, numbers, "
                f"texts, dates, and lists and dicts of them. Got {value!r} of the type "
                f"{type(value).__module__}.{type(value).__name__} at "
                f"{self.name or 'the top'}. Use pickle, for files that nobody else "
                "can change, or leave it out."
            )
        if kind == "list":
            return [self.encode_at(i, one) for i, one in enumerate(value)]
        fields = self.kinds[kind].fields
        parts = self.kinds[kind].split(value)
        return {"$": kind} | {k: fields[k].write(self, v) for k, v in parts.items()}


class Reader:
    """Makes values of the nodes of a file, after all have passed the audit.

    Parameters
    ----------
    kinds : mapping of str to Kind
    source : Source
    """

    def __init__(self, kinds: Mapping[str, Kind], source: Source) -> None:
        self.kinds, self.source = kinds, source
        self.unused = set(source.entries)
        self.depth, self.n_objects = 0, 0

    def read(self, node: Any) -> Any:
        """Return the value of the node that holds all others.

        Raises
        ------
        ModelFileError
            If a node is wrong, or an array belongs to none.
        """
        self.audit(node)
        if self.unused:
            raise ModelFileError(f"The file has arrays of nothing: {min(self.unused)}.")
        return self.decode(node)

    def claim(self, name: Any) -> None:
        """Note that a node has an array, which no other may have."""
        if not isinstance(name, str) or name not in self.unused:
            raise ModelFileError(
                f"The file lacks an array, or uses it twice: {name!r}."
            )
        self.unused.remove(name)

    def spend(self, n: int) -> None:
        """Count objects that are made of an array, and are larger than its numbers."""
        self.n_objects += n
        if self.n_objects > MOST_OBJECTS:
            raise ModelFileError("The file has too many numbers and texts in lists.")

    def audit(self, node: Any) -> None:
        """Raise ModelFileError if a node, or one within it, is wrong."""
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise ModelFileError("The file has values within values, too many times.")
        if isinstance(node, list):
            for one in node:
                self.audit(one)
        elif isinstance(node, dict):
            self._audit_object(node)
        self.depth -= 1

    def _audit_object(self, node: dict[str, Any]) -> None:
        name = node.get("$")
        kind = self.kinds.get(name) if isinstance(name, str) else None
        if kind is None:
            raise ModelFileError(f"The file has a value of an unknown kind: {name!r}.")
        fields = {key: said for key, said in node.items() if key != "$"}
        if fields.keys() != kind.fields.keys():
            raise ModelFileError(f"The file has a {name} that is not whole.")
        for key, said in fields.items():
            kind.fields[key].audit(self, said)
        kind.check(fields, self)

    def decode(self, node: Any) -> Any:
        """Return the value of a node."""
        if isinstance(node, list):
            return [self.decode(one) for one in node]
        if not isinstance(node, dict):
            return node
        kind = self.kinds[node["$"]]
        fields = kind.fields.items()
        return kind.make(**{k: field.read(self, node[k]) for k, field in fields})
