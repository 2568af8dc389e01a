"""The parameter `given` of `sample` → cells of all columns, of which some are free."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from skvae.likelihoods import Known, check_cells
from skvae.table import Layout, as_cells, library_of, plain, table_of


def read_given(given: Any, known: Known) -> np.ndarray:
    """Return given cells as numbers and codes, (n, D); NaN where a cell is free.

    Parameters
    ----------
    given : mapping, DataFrame or array-like
        A mapping from columns to values is one row. A table may leave columns out.
    known : Known
        What the fit knows of the columns.
    """
    table, names = _as_table(given, known.layout)
    positions = [_position(name, known.layout) for name in names]
    cells = known.layout.take(positions).encode(table, "error")
    rows = np.full((cells.shape[0], len(known.layout.columns)), np.nan)
    rows[:, positions] = cells[:]
    check_cells(as_cells(rows), known)
    return rows


def _as_table(given: Any, layout: Layout) -> tuple[Any, list]:
    """Return what is given as a table, or as an array or cells, and its columns."""
    if library_of(given) is not None:
        return given, list(given.columns)
    if isinstance(given, Mapping):
        _refuse_none(given)
        if layout.library is not None:
            cells = {name: [value] for name, value in given.items()}
            return table_of(layout.library, cells), list(given)
        return _as_rows([list(given.values())]), list(given)
    rows, n_columns = _as_rows(given), len(layout.columns)
    if len(rows.shape) != 2 or rows.shape[1] != n_columns:
        raise ValueError(
            f"given must have the {n_columns} columns of X, NaN where a cell is free. "
            f"Got shape {rows.shape}. Pass a dict to give some columns only."
        )
    return rows, list(range(n_columns))


def _refuse_none(given: Mapping) -> None:
    if not given:
        raise ValueError(
            "given must name a column. Got an empty dict. Leave it out to draw rows "
            "without a condition."
        )


def _as_rows(given: Any) -> Any:
    """Return an array of dates as it is, and numbers as cells."""
    rows = plain(given)
    return rows if rows.dtype.kind in "mM" else as_cells(rows.astype(np.float64))


def _position(name: Any, layout: Layout) -> int:
    """Return the position of a column that is named as in `fit`."""
    names = [column.name for column in layout.columns]
    if name in names:
        return names.index(name)
    shown = ", ".join(map(repr, names[:10])) + (", ..." if names[10:] else "")
    raise ValueError(f"given must name columns of X: {shown}. Got {name!r}.")
