"""Functions of torch that give the values of arrays of a graph other places."""

from collections.abc import Callable, Iterable
from itertools import pairwise
from math import prod
from typing import Any

import torch
from torch import Tensor

from skvae.files._onnx_array import (
    ROWS,
    GraphArray,
    broadcast,
    converted,
    lifted,
    node,
    positions,
    same_type,
    together,
)

Array = Any


def axes_of(a: GraphArray, dim: int | None) -> list[int]:
    """Return the axes that an argument means, from the first."""
    return list(range(a.dim())) if dim is None else [dim % a.dim()]


def reduced(shape: tuple[int, ...], axes: list[int], keepdim: bool) -> list[int]:
    """Return the shape of what is computed over some axes."""
    kept = [1 if axis in axes else size for axis, size in enumerate(shape)]
    if keepdim:
        return kept
    return [size for axis, size in enumerate(shape) if axis not in axes]


# Shapes


def _reshape(a: GraphArray, *shape: Any) -> GraphArray:
    sizes = [*(shape[0] if isinstance(shape[0], tuple | list) else shape)]
    if sizes.count(ROWS) == 2 and sizes[0] == a.shape[0] == ROWS:
        # The rows are kept, so that the other size is known.
        sizes[1 + sizes[1:].index(ROWS)] = -prod(a.shape) // prod(sizes)
    if sizes.count(ROWS) > 1 or min(sizes, default=0) < ROWS:
        raise NotImplementedError(f"reshape to {tuple(sizes)} has none")
    if ROWS in sizes and ROWS not in a.shape:
        sizes[sizes.index(ROWS)] = prod(a.shape) // -prod(sizes)
    return node("Reshape", a, positions(a, sizes), shape=sizes)


def _unflatten(a: GraphArray, dim: int, sizes: Iterable[int]) -> GraphArray:
    axis = dim % a.dim()
    return _reshape(a, (*a.shape[:axis], *sizes, *a.shape[axis + 1 :]))


def _flatten(a: GraphArray, start_dim: int = 0, end_dim: int = -1) -> GraphArray:
    start, end = start_dim % a.dim(), end_dim % a.dim()
    inner = a.shape[start : end + 1]
    size = ROWS if ROWS in inner else prod(inner)
    return _reshape(a, (*a.shape[:start], size, *a.shape[end + 1 :]))


def _unsqueeze(a: GraphArray, dim: int) -> GraphArray:
    axis = dim % (a.dim() + 1)
    shape = (*a.shape[:axis], 1, *a.shape[axis:])
    return node("Unsqueeze", a, positions(a, [axis]), shape=shape)


def _squeeze(a: GraphArray, dim: int) -> GraphArray:
    (axis,) = axes_of(a, dim)
    if a.shape[axis] != 1:
        return a
    shape = (*a.shape[:axis], *a.shape[axis + 1 :])
    return node("Squeeze", a, positions(a, [axis]), shape=shape)


def _permute(a: GraphArray, *axes: Any) -> GraphArray:
    order = axes[0] if isinstance(axes[0], tuple | list) else axes
    order = [axis % a.dim() for axis in order]
    shape = [a.shape[axis] for axis in order]
    return node("Transpose", a, shape=shape, perm=order)


def _transpose(a: GraphArray, dim0: int, dim1: int) -> GraphArray:
    order = list(range(a.dim()))
    order[dim0], order[dim1] = order[dim1], order[dim0]
    return _permute(a, order)


def _expand(a: GraphArray, *sizes: Any) -> GraphArray:
    wanted = sizes[0] if isinstance(sizes[0], tuple | list) else sizes
    # One leaves an axis as it is, as ROWS does.
    ones = [1 if size == ROWS else size for size in wanted]
    shape = broadcast(a.shape, tuple(ones))
    return node("Expand", a, positions(a, ones), shape=shape)


def _expand_as(a: Array, other: Array) -> GraphArray:
    a, other = together(a, other)
    axes = (len(other.shape),)
    sizes = node("Shape", other, shape=axes, dtype=torch.int64)
    return node("Expand", a, sizes, shape=other.shape)


def _to(a: Array, other: Any = None, dtype: Any = None, **options: Any) -> Array:
    """Return an array in a type, or in that of another array; devices do not matter."""
    if isinstance(other, torch.dtype):
        dtype = other
    elif isinstance(other, Tensor | GraphArray):
        dtype = other.dtype
    if dtype is None:
        return a
    return a.to(dtype) if isinstance(a, Tensor) else converted(a, dtype)


def _as(dtype: torch.dtype) -> Callable:
    return lambda a: converted(a, dtype)


def _same(a: Array, *args: Any, **options: Any) -> Array:
    return a


# Parts


def _slice(a: GraphArray, axis: int, begin: int, end: int) -> GraphArray:
    shape = (*a.shape[:axis], end - begin, *a.shape[axis + 1 :])
    where = (positions(a, [value]) for value in (begin, end, axis))
    return node("Slice", a, *where, shape=shape)


def _index_select(a: Array, dim: int, index: Array) -> GraphArray:
    a, index = together(a, index)
    (axis,) = axes_of(a, dim)
    shape = (*a.shape[:axis], *index.shape, *a.shape[axis + 1 :])
    return node("Gather", a, index, shape=shape, axis=axis)


def _gather(a: Array, dim: int, index: Array) -> GraphArray:
    a, index = together(a, index)
    (axis,) = axes_of(a, dim)
    return node("GatherElements", a, index, shape=index.shape, axis=axis)


def _getitem(a: Array, index: Any) -> GraphArray:
    """Return what an index means, one axis after the other."""
    given = index if isinstance(index, tuple) else (index,)
    n_axes = sum(each is not None and each is not Ellipsis for each in given)
    others = (slice(None),) * (a.dim() - n_axes)
    at = given.index(Ellipsis) if any(i is Ellipsis for i in given) else len(given)
    axis = 0
    for each in (*given[:at], *others, *given[at + 1 :]):
        a, n_new = _taken(a, axis, each)
        axis += n_new
    return a


def _taken(a: Array, axis: int, index: Any) -> tuple[Array, int]:
    """Return an array with an index along one axis, and how many axes that makes."""
    if index is None:
        return torch.unsqueeze(a, axis), 1
    if isinstance(index, GraphArray) and index.dtype == torch.bool:
        return _masked(a, axis, index), 1
    if isinstance(index, Tensor) and index.dtype == torch.bool:
        index = index.nonzero()[:, 0]
    if not isinstance(index, slice):
        taken = _index_select(a, axis, index)
        return taken, taken.dim() - a.dim() + 1
    if index == slice(None):
        return a, 1
    if a.shape[axis] == ROWS or index.step not in (None, 1):
        raise NotImplementedError(f"{index} of axis {axis} of {a.shape} has none")
    begin, end, _ = index.indices(a.shape[axis])
    return _slice(a, axis, begin, max(begin, end)), 1


def _split(a: GraphArray, sizes: Any, dim: int = 0) -> list[GraphArray]:
    (axis,) = axes_of(a, dim)
    n = a.shape[axis]
    if isinstance(sizes, int):
        sizes = [min(sizes, n - begin) for begin in range(0, n, sizes)]
    ends = [sum(sizes[:i]) for i in range(len(sizes) + 1)]
    return [_slice(a, axis, begin, end) for begin, end in pairwise(ends)]


def _tensor_split(a: GraphArray, at: Any, dim: int = 0) -> list[GraphArray]:
    (axis,) = axes_of(a, dim)
    n = a.shape[axis]
    if isinstance(at, int):
        # The first parts have one more where the axis cannot be divided.
        at = [i * (n // at) + min(i, n % at) for i in range(1, at)]
    return [_slice(a, axis, *ends) for ends in pairwise((0, *at, n))]


def _chunk(a: GraphArray, chunks: int, dim: int = 0) -> list[GraphArray]:
    n = a.shape[dim]
    return _split(a, -(-n // chunks), dim) if n else [a] * chunks


def _concatenate(arrays: Any, dim: int = 0) -> GraphArray:
    arrays = same_type(*arrays)
    (axis,) = axes_of(arrays[0], dim)
    sizes = [array.shape[axis] for array in arrays]
    shapes = [(*a.shape[:axis], 1, *a.shape[axis + 1 :]) for a in arrays]
    shape = list(broadcast(*shapes))
    shape[axis] = ROWS if ROWS in sizes else sum(sizes)
    return node("Concat", *arrays, shape=shape, axis=axis)


def _stack(arrays: Any, dim: int = 0) -> GraphArray:
    return _concatenate([torch.unsqueeze(array, dim) for array in arrays], dim)


def _masked(a: GraphArray, axis: int, mask: GraphArray) -> GraphArray:
    """Return an array without the rows along an axis that a mask leaves out."""
    shape = (*a.shape[:axis], ROWS, *a.shape[axis + 1 :])
    return node("Compress", a, mask, shape=shape, axis=axis)


def _masked_scatter(a: GraphArray, mask: GraphArray, values: GraphArray) -> GraphArray:
    """Return an array (B,) with others in place of those in a mask."""
    rows = node("NonZero", mask, shape=(1, ROWS), dtype=torch.int64)
    return node("ScatterElements", a, rows[0], values, shape=a.shape, axis=0)


def _scatter(a: GraphArray, dim: int, index: GraphArray, value: float) -> GraphArray:
    """Return an array with a value at one place of an axis, its last."""
    if index.shape[-1] != 1 or dim != -1:
        raise NotImplementedError("scatter to several places has none")
    return torch.where(torch.arange(a.shape[-1]) == index, value, a)  # type: ignore


def _new_full(a: GraphArray, size: Any, fill: float, **options: Any) -> Array:
    if ROWS not in size:
        return torch.full(size, fill, dtype=torch.float64)
    all_sizes = node("Shape", a, shape=(a.dim(),), dtype=torch.int64)
    n_rows = _slice(all_sizes, 0, a.shape.index(ROWS), a.shape.index(ROWS) + 1)
    given = [n_rows if n == ROWS else torch.tensor([n]) for n in size]
    sizes = _concatenate(given)
    return node("Expand", lifted(a.graph, fill), sizes, shape=size)


def new_zeros(a: GraphArray, *size: Any, **options: Any) -> Array:
    """Return zeros, as many as an array has rows where that is asked for."""
    is_one = bool(size) and not isinstance(size[0], int)
    return _new_full(a, size[0] if is_one else size, 0.0)


def _new_tensor(a: GraphArray, value: Any, **options: Any) -> Tensor:
    return torch.tensor(value, dtype=a.dtype)


def _like(fill: float) -> Callable:
    return lambda a, **options: torch.where(torch.isnan(a), fill, fill)


def _pad(
    a: GraphArray, pad: Any, mode: str = "constant", value: float | None = None
) -> GraphArray:
    if mode != "constant":
        raise NotImplementedError(f"pad(mode={mode!r}) has none")
    pairs = [tuple(pad[i : i + 2]) for i in range(0, len(pad), 2)]
    pairs = [*((0, 0),) * (a.dim() - len(pairs)), *reversed(pairs)]
    shape = [
        n + sum(pair) if sum(pair) else n
        for n, pair in zip(a.shape, pairs, strict=True)
    ]
    ends = [pair[0] for pair in pairs] + [pair[1] for pair in pairs]
    fill = converted(lifted(a.graph, value or 0.0), a.dtype)
    return node("Pad", a, positions(a, ends), fill, shape=shape)


SHAPES: dict[str, Callable] = {
    "reshape": _reshape,
    "view": _reshape,
    "view_as": lambda a, other: _reshape(a, other.shape),
    "unflatten": _unflatten,
    "flatten": _flatten,
    "unsqueeze": _unsqueeze,
    "squeeze": _squeeze,
    "permute": _permute,
    "transpose": _transpose,
    "expand": _expand,
    "expand_as": _expand_as,
    "to": _to,
    "type_as": _to,
    "double": _as(torch.float64),
    "long": _as(torch.int64),
    "int": _as(torch.int64),
    "bool": _as(torch.bool),
    "contiguous": _same,
    "detach": _same,
    "clone": lambda a: GraphArray(a.graph, a.name, a.shape, a.dtype),
    "dropout": _same,
    "index_select": _index_select,
    "gather": _gather,
    "getitem": _getitem,
    "split": _split,
    "tensor_split": _tensor_split,
    "chunk": _chunk,
    "cat": _concatenate,
    "concatenate": _concatenate,
    "stack": _stack,
    "scatter": _scatter,
    "masked_scatter": _masked_scatter,
    "new_full": _new_full,
    "new_zeros": new_zeros,
    "new_tensor": _new_tensor,
    "zeros_like": _like(0.0),
    "ones_like": _like(1.0),
    "pad": _pad,
}
