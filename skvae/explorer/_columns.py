"""The columns of a table, and the cells that travel with a page."""

from typing import Any

import numpy as np

from skvae.explorer._levels import MOST_LISTED, add_levels
from skvae.explorer._pack import Pack
from skvae.table import Column, is_whole

SEED = 0
"""Of the rows that travel, where not all do."""

TYPES: tuple[type[np.unsignedinteger], ...] = (np.uint8, np.uint16, np.uint32)
"""Of codes of categories: the first that can hold them all, and a missing one."""


def rows_that_travel(n_rows: int, n_columns: int, max_cells: int) -> np.ndarray:
    """Return which rows bring their values along, sorted."""
    most = min(n_rows, int(max_cells) // n_columns)
    if most == n_rows:
        return np.arange(n_rows)
    random = np.random.default_rng(SEED)
    return np.sort(random.choice(n_rows, most, replace=False))


def add_columns(
    pack: Pack, columns: tuple[Column, ...], X: np.ndarray, usual: np.ndarray
) -> list[dict[str, Any]]:
    """Put cells into a pack; return what a page knows of columns.

    Parameters
    ----------
    pack : Pack
    columns : tuple of Column
    X : ndarray of shape (n_travelling, n_features)
        Numbers and codes.
    usual : ndarray of shape (n_others, n_features)
        The same of rows that say in which range a column lies.
    """
    are_listed = len(columns) <= MOST_LISTED
    return [
        _described(column, others) | _with_cells(pack, column, values, are_listed)
        for column, values, others in zip(columns, X.T, usual.T, strict=True)
    ]


def _described(column: Column, usual: np.ndarray) -> dict[str, Any]:
    """Return what a column is, and the range that pictures of it have."""
    known = column.categories
    said = {
        "name": str(column.name),
        "kind": column.kind if known is None else "category",
        "origin": int(column.origin),
        "whole": is_whole(column.dtype),
    }
    if known is not None:
        return said | {"categories": [*map(str, known)]}
    observed = usual[np.isfinite(usual)]
    ends = [0.0, 1.0] if not len(observed) else np.quantile(observed, [0.01, 0.99])
    return said | {"from": float(ends[0]), "to": float(ends[1])}


def _with_cells(
    pack: Pack, column: Column, values: np.ndarray, are_listed: bool
) -> dict[str, Any]:
    """Return where cells are."""
    if column.categories is not None:
        return {"codes": pack.add(_codes(values, len(column.categories)))}
    return add_levels(pack, values, are_listed=are_listed)


def _codes(values: np.ndarray, n_categories: int) -> np.ndarray:
    """Return codes of categories; the last code of the type is a missing cell."""
    dtype = next(dtype for dtype in TYPES if n_categories <= np.iinfo(dtype).max)
    observed = np.isfinite(values)
    codes = np.full(len(values), np.iinfo(dtype).max, dtype=dtype)
    codes[observed] = values[observed].astype(dtype)
    return codes
