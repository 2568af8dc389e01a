"""The columns of a table, and the cells that travel with a page."""

from typing import Any

import numpy as np

from skvae.explorer._levels import MOST_LISTED, add_levels
from skvae.explorer._pack import Pack
from skvae.table import Cells, Column, is_whole

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
    pack: Pack, columns: tuple[Column, ...], cells: Cells, rows: np.ndarray
) -> list[dict[str, Any]]:
    """Put the cells of some rows into a pack; return what a page knows of columns."""
    X = np.asarray(cells[rows], dtype=np.float64)
    are_listed = len(columns) <= MOST_LISTED
    return [
        _described(column) | _with_cells(pack, column, values, are_listed)
        for column, values in zip(columns, X.T, strict=True)
    ]


def _described(column: Column) -> dict[str, Any]:
    known = column.categories
    said = {
        "name": str(column.name),
        "kind": column.kind if known is None else "category",
        "origin": int(column.origin),
        "whole": is_whole(column.dtype),
    }
    return said if known is None else said | {"categories": [*map(str, known)]}


def _with_cells(
    pack: Pack, column: Column, values: np.ndarray, are_listed: bool
) -> dict[str, Any]:
    """Return where cells are, and the range that pictures of the column have."""
    if column.categories is not None:
        return {"codes": pack.add(_codes(values, len(column.categories)))}
    observed = values[np.isfinite(values)]
    ends = [0.0, 1.0] if not len(observed) else np.quantile(observed, [0.01, 0.99])
    said = add_levels(pack, values, are_listed=are_listed)
    return said | {"from": float(ends[0]), "to": float(ends[1])}


def _codes(values: np.ndarray, n_categories: int) -> np.ndarray:
    """Return codes of categories; the last code of the type is a missing cell."""
    dtype = next(dtype for dtype in TYPES if n_categories <= np.iinfo(dtype).max)
    observed = np.isfinite(values)
    codes = np.full(len(values), np.iinfo(dtype).max, dtype=dtype)
    codes[observed] = values[observed].astype(dtype)
    return codes
