"""Columns as users pass them ↔ numbers and codes, in a graph."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from skvae.files._onnx_array import KINDS, ROWS, GraphArray
from skvae.files._onnx_graph import ML, Graph
from skvae.table import Column, Layout, is_whole, values_of

Array = Any

MOST = float(np.finfo(np.float64).max)

LARGEST_INT = float(2**63 - 1024)
"""Largest float64 that is an int64."""


def check_columns(layout: Layout) -> None:
    """Raise ValueError where a column has no form in ONNX."""
    for column in layout.columns:
        if column.categories is not None and not (
            _is_text(column) or _is_coded(column)
        ):
            raise ValueError(
                "ONNX requires categories of text, numbers or booleans. Got others in "
                f"column {column.label}, such as {column.categories[0]!r}. Convert the "
                "column to text before fit, for example with astype(str)."
            )


def _is_text(column: Column) -> bool:
    """Return whether the categories of a column are texts."""
    values = [] if column.categories is None else column.categories.tolist()
    return bool(values) and all(isinstance(value, str) for value in values)


def _is_coded(column: Column) -> bool:
    """Return whether the categories of a column, if any, are numbers or booleans."""
    known = column.categories
    return known is not None and (known.dtype.kind in "biuf" or not len(known))


def is_matrix(layout: Layout) -> bool:
    """Return whether rows are an array of numbers: one input, or one output."""
    return layout.is_numeric and not any(map(_is_text, layout.columns))


# Rows → numbers and codes


def read_cells(graph: Graph, layout: Layout) -> GraphArray:
    """Return cells (n, D), of inputs that are added to a graph; NaN is missing."""
    if is_matrix(layout):
        n_columns = len(layout.columns)
        return _with_codes(add_numbers(graph, "X", n_columns), layout)
    each = [_read_column(graph, column) for column in layout.columns]
    return _with_codes(torch.cat(each, -1), layout)


def add_numbers(graph: Graph, name: str, n_columns: int) -> Any:
    """Return numbers (n, n_columns), an input that is added to a graph."""
    name = graph.add_input(name, np.float64, n_columns)
    return GraphArray(graph, name, (ROWS, n_columns), torch.float64)


def _read_column(graph: Graph, column: Column) -> Array:
    """Return a column of a table, (n, 1); of text, codes."""
    name = str(column.name)
    if not _is_text(column):
        return add_numbers(graph, name, 1) - float(column.origin)
    known = column.categories.tolist()
    options = {"values_int64s": [*range(len(known))], "default_int64": -1}
    given = graph.add_input(name, str, 1)
    found = graph.add("LabelEncoder", given, domain=ML, keys_strings=known, **options)
    codes: Array = GraphArray(graph, found, (ROWS, 1), torch.int64)
    return torch.where(codes < 0, torch.nan, codes.double())


def _with_codes(cells: Array, layout: Layout) -> Array:
    """Return cells with codes in place of categories that are numbers."""

    def codes_of(cells: Array, known: torch.Tensor) -> Array:
        found = cells[..., None] == known
        codes = (found * torch.arange(known.shape[-1])).sum(-1)
        return torch.where(found.any(-1), codes.double(), torch.nan)

    return _changed(codes_of, cells, layout.columns)


def _changed(function: Callable, cells: Array, columns: Sequence[Column]) -> Array:
    """Return cells with function(cells, categories) where categories are numbers."""
    coded = [j for j, column in enumerate(columns) if _is_coded(column)]
    if not coded:
        return cells
    others = [j for j in range(len(columns)) if j not in coded]
    known = _categories([columns[j] for j in coded])
    parts = [cells[..., torch.tensor(others)]] if others else []
    parts += [function(cells[..., torch.tensor(coded)], known)]
    return torch.cat(parts, -1)[..., torch.argsort(torch.tensor(others + coded))]


def _categories(columns: Sequence[Column]) -> torch.Tensor:
    """Return the categories of each column, (m, C), padded with NaN."""
    most = max(1, *(len(column.categories) for column in columns))
    padded = np.full((len(columns), most), np.nan)
    for values, column in zip(padded, columns, strict=True):
        values[: len(column.categories)] = column.categories
    return torch.from_numpy(padded)


# Numbers and codes → rows


def write_cells(graph: Graph, cells: Array, layout: Layout) -> None:
    """Make cells (n, D) outputs of a graph, as `Layout.decode` makes them rows."""
    cells = torch.clamp(cells, -MOST, MOST)
    codes = cells
    if layout.library is not None:
        cells = _in_range(cells, layout.columns)
    cells = _changed(_categories_at, cells, layout.columns)
    if is_matrix(layout):
        graph.add_output("X", np.float64, cells.name, len(layout.columns))
        return
    for j, column in enumerate(layout.columns):
        _write_column(graph, column, cells[..., [j]], codes[..., [j]])


def _categories_at(codes: Array, known: torch.Tensor) -> Array:
    """Return the categories (n, m) that codes stand for, given those of columns."""
    return known.gather(1, codes.long().T).T


def _in_range(cells: Array, columns: Sequence[Column]) -> Array:
    """Return numbers that the types of columns can hold; booleans are 0 or 1."""
    kinds = ["code" if c.categories is not None else c.kind for c in columns]
    pairs = list(zip(kinds, columns, strict=True))
    whole = torch.tensor([k == "number" and is_whole(c.dtype) for k, c in pairs])
    boolean = torch.tensor([kind == "boolean" for kind in kinds])
    if whole.any():
        cells = torch.where(whole, torch.round(cells), cells)
    if boolean.any():
        cells = torch.where(boolean, (cells > 0.5).double(), cells)
    limits = [_limits(c) if k == "number" else (-MOST, MOST) for k, c in pairs]
    return torch.clamp(cells, *torch.tensor(limits, dtype=torch.float64).T)


def _limits(column: Column) -> tuple[float, float]:
    """Return the least and the greatest number that the type of a column holds."""
    low, high = map(float, values_of(np.array([-MOST, MOST]), column))
    most = LARGEST_INT if is_whole(column.dtype) else MOST
    return max(low, -most), min(high, most)


def _write_column(graph: Graph, column: Column, cells: Array, codes: Array) -> None:
    """Make a column (n, 1) an output, in the type that goes with its own."""
    name = str(column.name)
    if _is_text(column):
        texts = graph.constant(np.array(column.categories.tolist(), dtype=object))
        found = graph.add("Gather", texts, codes.long().name)
        graph.add_output(name, str, found, 1)
        return
    cells = (cells + float(column.origin)).to(_type_of(column))
    graph.add_output(name, KINDS[cells.dtype], cells.name, 1)


def _type_of(column: Column) -> torch.dtype:
    """Return the type of a column of numbers or booleans."""
    is_known = column.categories is not None
    letter = column.categories.dtype.kind if is_known else ""
    if letter == "b" or (not letter and column.kind == "boolean"):
        return torch.bool
    is_int = is_whole(column.dtype) if not letter else letter in "iu"
    return torch.int64 if is_int else torch.float64
