"""Arrays whose values are not known yet: what is computed of them becomes a graph."""

from collections.abc import Callable, Iterable
from functools import partial
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skvae.files._onnx_graph import Graph

ROWS = -1
"""Size of an axis that is known when the graph runs: that of rows."""

KINDS = {torch.bool: np.bool_, torch.int64: np.int64, torch.float64: np.float64}
"""Types of arrays in a graph, from the narrowest; numbers have 64 bits."""

VIEWS = frozenset(
    "chunk contiguous expand expand_as flatten getitem permute reshape split squeeze "
    "tensor_split transpose unflatten unsqueeze view view_as".split()
)
"""Functions whose results may show the values of what they are given, in torch."""

_TYPES = {kind: dtype for dtype, kind in KINDS.items()}
_WIDTHS = list(KINDS)


class GraphArray:
    """A value in a graph, which takes the place of a tensor in functions of torch.

    Torch lets other types answer for its functions, through `__torch_function__`.
    This one adds nodes to the graph, by the graph's `operations`. Preparations, links,
    networks and densities, called with such an array, so are written as they are, with
    no second copy of a formula. What looks at values, as `if` does, is an error.

    Attributes
    ----------
    graph : Graph
    name : str
        That of the value in the graph.
    shape : tuple of int
        The size of the axis of rows is `ROWS`.
    dtype : torch.dtype
        A key of `KINDS`.
    is_shared : bool
        Whether another array may show the same values, in torch.
    """

    device, requires_grad = torch.device("cpu"), False
    # Operators of NumPy's arrays leave the work to those of this class.
    __array_ufunc__ = None
    __iter__ = None

    def __init__(
        self, graph: Graph, name: str, shape: Iterable[int], dtype: torch.dtype
    ) -> None:
        self.graph, self.name = graph, name
        self.shape, self.dtype = tuple(shape), dtype
        self.is_shared = False

    @classmethod
    def __torch_function__(
        cls, function: Callable, types: Any, args: tuple = (), kwargs: Any = None
    ) -> Any:
        return call(function.__name__, *args, **(kwargs or {}))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or known_name(name) not in self.graph.operations:
            raise AttributeError(f"Tensor.{name} has none")
        return partial(call, name, self)

    def __bool__(self) -> bool:
        raise TypeError("values are not known before the graph runs")

    def __len__(self) -> int:
        if self.shape[0] == ROWS:
            raise TypeError("the number of rows is not known before the graph runs")
        return self.shape[0]

    def __getitem__(self, index: Any) -> "GraphArray":
        return call("getitem", self, index)

    @property
    def T(self) -> "GraphArray":
        """The transpose of a matrix."""
        return call("transpose", self, 0, 1)

    def dim(self) -> int:
        """Return the number of axes."""
        return len(self.shape)

    def numel(self) -> int:
        """Return the number of values, negative where that of rows is not known."""
        return prod(self.shape)

    def size(self, axis: int | None = None) -> Any:
        """Return the sizes of the axes, or of one."""
        return self.shape if axis is None else self.shape[axis]

    def is_floating_point(self) -> bool:
        """Return whether the values are real numbers."""
        return self.dtype == torch.float64


def known_name(name: str) -> str:
    """Return a function's name without what says that it is special or in place."""
    return name.strip("_").removeprefix("special_")


def call(name: str, *args: Any, **kwargs: Any) -> Any:
    """Return what a function of torch gives for arrays, some of them in a graph."""
    graph = next(array.graph for array in _arrays((args, tuple(kwargs.values()))))
    function = graph.operations.get(known_name(name))
    if function is None:
        raise NotImplementedError(f"torch.{known_name(name)} has none")
    is_in_place = name.endswith("_") and not name.startswith("_")
    is_in_place = kwargs.pop("inplace", False) or is_in_place
    result = function(*args, **kwargs)
    if known_name(name) in VIEWS:
        for array in _arrays((args[0], result)):
            array.is_shared = True
    return _put(args[0], result) if is_in_place else result


def _put(array: Any, result: GraphArray) -> GraphArray:
    """Let an array become the result of a function that changes it in place."""
    if not isinstance(array, GraphArray) or array.is_shared:
        what = (
            "what another array shows" if isinstance(array, GraphArray) else "tensors"
        )
        raise NotImplementedError(f"changing {what} in place has none")
    vars(array).update(vars(result))
    return array


def _arrays(values: Any) -> Iterable[GraphArray]:
    """Yield the arrays of a graph among arguments, also in lists."""
    for value in values:
        if isinstance(value, GraphArray):
            yield value
        elif isinstance(value, list | tuple):
            yield from _arrays(value)


def _reflected(name: str) -> Callable:
    return lambda self, other: call(name, other, self)


def _operator(name: str) -> Callable:
    return lambda self, *other: call(name, self, *other)


for _name in ("add", "sub", "mul", "truediv", "pow", "matmul", "and", "or"):
    setattr(GraphArray, f"__{_name}__", _operator(_name))
    setattr(GraphArray, f"__r{_name}__", _reflected(_name))
for _name in ("lt", "le", "gt", "ge", "eq", "ne", "neg", "abs", "invert"):
    setattr(GraphArray, f"__{_name}__", _operator(_name))
GraphArray.__hash__ = object.__hash__  # type: ignore[method-assign]


# Nodes


def lifted(graph: Graph, value: Any) -> GraphArray:
    """Return a number, an array or a tensor as a constant of a graph."""
    if isinstance(value, GraphArray):
        return value
    known = value.detach().cpu().numpy() if isinstance(value, Tensor) else value
    known = np.asarray(known)
    kind = {"f": np.float64, "b": np.bool_}.get(known.dtype.kind, np.int64)
    name = graph.constant(known.astype(kind))
    return GraphArray(graph, name, known.shape, _TYPES[kind])


def together(*values: Any) -> list[GraphArray]:
    """Return values as arrays of one graph."""
    graph = next(iter(_arrays(values))).graph
    return [lifted(graph, value) for value in values]


def same_type(*values: Any) -> list[GraphArray]:
    """Return values as arrays of one graph, in the widest of their types."""
    arrays = together(*values)
    dtype = max((array.dtype for array in arrays), key=_WIDTHS.index)
    return [converted(array, dtype) for array in arrays]


def converted(array: GraphArray, dtype: torch.dtype) -> GraphArray:
    """Return an array in another type."""
    if dtype not in KINDS:
        dtype = torch.float64 if dtype.is_floating_point else torch.int64
    if array.dtype == dtype:
        return array
    return node("Cast", array, shape=array.shape, dtype=dtype, to=KINDS[dtype])


def node(
    operator: str,
    *inputs: GraphArray,
    shape: Iterable[int],
    dtype: torch.dtype | None = None,
    **attributes: Any,
) -> GraphArray:
    """Return what an operator gives; by default in the type of its first input."""
    first = inputs[0]
    name = first.graph.add(operator, *(array.name for array in inputs), **attributes)
    return GraphArray(first.graph, name, shape, dtype or first.dtype)


def positions(like: GraphArray, values: Iterable[int] | int) -> GraphArray:
    """Return positions as a constant of the graph of an array."""
    return lifted(like.graph, torch.tensor(values, dtype=torch.int64))


def broadcast(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of what is computed of arrays of some shapes, cell by cell."""
    n_axes = max(map(len, shapes))
    padded = [(1,) * (n_axes - len(shape)) + shape for shape in shapes]
    return tuple(
        ROWS if ROWS in sizes else 0 if 0 in sizes else max(sizes)
        for sizes in zip(*padded, strict=True)
    )
