"""Specs of columns, by name or position → parts that have every column once.

A part is a spec, which can be anything here, and the positions of its columns.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from skvae._sklearn import column_indices

Part = tuple[Any, list[int]]
"""A spec, and the positions of its columns."""


def assign_columns(
    said: Any,
    X: Any,
    as_spec: Callable[[Any], Any],
    labels: Sequence[str],
    others: Sequence[Any] = (),
) -> list[Part]:
    """Return parts that have every column once.

    Pairs stay separate parts. In a dict, and among columns that are not named, columns
    with equal specs are one part.

    Parameters
    ----------
    said : dict or list
        Columns with a spec each, or pairs of a spec and its columns.
    X : DataFrame, ndarray or sparse matrix
        Has the columns, which `said` chooses as `ColumnTransformer` does.
    as_spec : callable
        What a user says of columns → a spec, whose `repr` is complete.
    labels : sequence of str
        Names of the columns in messages.
    others : sequence, default=()
        For each column, what it is if it is not named; () refuses such columns.
    """
    is_dict = isinstance(said, Mapping)
    pairs = [(spec, column) for column, spec in said.items()] if is_dict else said
    names = list(getattr(X, "columns", ()))
    named = [(as_spec(spec), _positions(X, c, names, is_dict)) for spec, c in pairs]
    times = np.bincount([j for _, found in named for j in found], minlength=len(labels))
    unnamed = np.flatnonzero(times == 0).tolist()
    wrong = np.flatnonzero(times > 1).tolist() + ([] if others else unnamed)
    if wrong:
        raise ValueError(
            f"Every column requires one likelihood. Got {times[wrong[0]]} for column "
            f"{labels[wrong[0]]}. Name each column of X once, for example as "
            "'gaussian'."
        )
    rest = [(as_spec(others[j]), [j]) for j in unnamed]
    named = [part for part in named if part[1]]
    return _grouped(named + rest) if is_dict else named + _grouped(rest)


def _positions(X: Any, columns: Any, names: list, is_key: bool) -> list[int]:
    """Return the positions of columns.

    Tuples name columns of several levels, and integers that are keys of a dict name
    columns where these have integers for names.
    """
    if is_key and (isinstance(columns, int | tuple) and columns in names):
        return [j for j, name in enumerate(names) if name == columns]
    if is_key and isinstance(columns, int) and any(isinstance(n, int) for n in names):
        raise ValueError(f"Column {columns} must be a column of X. Got {names}.")
    if isinstance(columns, list) and any(isinstance(c, tuple) for c in columns):
        return [names.index(column) for column in columns]
    return column_indices(X, columns)


def _grouped(parts: list[Part]) -> list[Part]:
    """Return parts with equal specs as one, in the order of their first columns."""
    groups: dict[str, Part] = {}
    for spec, columns in sorted(parts, key=lambda part: part[1]):
        groups.setdefault(repr(spec), (spec, []))[1].extend(columns)
    return list(groups.values())
