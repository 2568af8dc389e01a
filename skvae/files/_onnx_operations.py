"""Functions of torch on arrays of a graph: operators of ONNX, or made of these."""

from collections.abc import Callable
from typing import Any

import torch

from skvae.files._onnx_array import (
    GraphArray,
    broadcast,
    converted,
    node,
    positions,
    same_type,
    together,
)
from skvae.files._onnx_functions import FUNCTIONS
from skvae.files._onnx_layers import LAYERS
from skvae.files._onnx_shapes import SHAPES, axes_of, new_zeros, reduced

Array = Any
"""A `GraphArray` or, beside one, a tensor or a number."""


# One value of each


def _unary(operator: str) -> Callable:
    return lambda a: node(operator, a, shape=a.shape)


def _binary(operator: str) -> Callable:
    def function(a: Array, b: Array) -> GraphArray:
        a, b = same_type(a, b)
        return node(operator, a, b, shape=broadcast(a.shape, b.shape))

    return function


def _comparison(operator: str) -> Callable:
    def function(a: Array, b: Array) -> GraphArray:
        a, b = same_type(a, b)
        shape = broadcast(a.shape, b.shape)
        return node(operator, a, b, shape=shape, dtype=torch.bool)

    return function


_add, _sub, _mul = map(_binary, ("Add", "Sub", "Mul"))
_both, _either = map(_binary, ("And", "Or"))
_equal = _comparison("Equal")
_not = _unary("Not")


def _scaled_sum(a: Array, b: Array, alpha: float = 1.0) -> GraphArray:
    return _add(a, b if alpha == 1.0 else b * alpha)


def _scaled_difference(a: Array, b: Array, alpha: float = 1.0) -> GraphArray:
    return _sub(a, b if alpha == 1.0 else b * alpha)


def _product(a: Array, b: Array) -> GraphArray:
    a, b = same_type(a, b)
    return _both(a, b) if a.dtype == torch.bool else _mul(a, b)


def _quotient(a: Array, b: Array) -> GraphArray:
    return _binary("Div")(*(converted(x, torch.float64) for x in together(a, b)))


def _isnan(a: GraphArray) -> GraphArray:
    return node("IsNaN", a, shape=a.shape, dtype=torch.bool)


def _where(condition: Array, a: Array, b: Array) -> GraphArray:
    condition, a, b = together(condition, a, b)
    a, b = same_type(a, b)
    shape = broadcast(condition.shape, a.shape, b.shape)
    return node("Where", condition, a, b, shape=shape, dtype=a.dtype)


def _clamp(a: Array, min: Array = None, max: Array = None) -> Array:
    # Comparisons leave NaN as it is, which not every runtime's Clip does.
    if min is not None:
        a = torch.where(a < min, min, a)
    return a if max is None else torch.where(a > max, max, a)


# Sums and the like, over an axis


def _reduction(operator: str) -> Callable:
    def function(
        a: GraphArray, dim: int | None = None, keepdim: bool = False
    ) -> GraphArray:
        a = converted(a, torch.int64) if a.dtype == torch.bool else a
        axes = axes_of(a, dim)
        shape = reduced(a.shape, axes, keepdim)
        kept = int(keepdim)
        return node(operator, a, positions(a, axes), shape=shape, keepdims=kept)

    return function


_amax, _mean, _sum_of_some = map(_reduction, ("ReduceMax", "ReduceMean", "ReduceSum"))


def _sum(a: GraphArray, dim: int | None = None, keepdim: bool = False) -> Array:
    axes = axes_of(a, dim)
    if 0 not in [a.shape[axis] for axis in axes]:
        return _sum_of_some(a, dim, keepdim)
    # Of nothing, runtimes do not agree.
    return new_zeros(a, reduced(a.shape, axes, keepdim))


def _any(a: GraphArray, dim: int | None = None, keepdim: bool = False) -> GraphArray:
    return _comparison("Greater")(_amax(a, dim, keepdim), 0)


def _all(a: GraphArray, dim: int | None = None, keepdim: bool = False) -> GraphArray:
    return _not(_any(_not(a), dim, keepdim))


def _argmax(a: GraphArray, dim: int, keepdim: bool = False) -> GraphArray:
    axes = axes_of(a, dim)
    shape = reduced(a.shape, axes, keepdim)
    options: Any = {"axis": axes[0], "keepdims": int(keepdim)}
    return node("ArgMax", a, shape=shape, dtype=torch.int64, **options)


def _normalized(operator: str) -> Callable:
    def function(a: GraphArray, dim: int = -1, **others: Any) -> GraphArray:
        return node(operator, a, shape=a.shape, axis=axes_of(a, dim)[0])

    return function


def _matmul(a: Array, b: Array) -> GraphArray:
    a, b = same_type(a, b)
    if b.dim() == 1:
        shape: Any = a.shape[:-1]
    else:
        shape = (*broadcast(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])
    return node("MatMul", a, b, shape=shape)


OPERATIONS: dict[str, Callable] = {
    **{
        operator.lower(): _unary(operator)
        for operator in (
            "Abs Ceil Exp Floor Log Neg Reciprocal Relu Round Sigmoid Sign Sqrt Tanh"
        ).split()
    },
    "invert": _not,
    "bitwise_not": _not,
    "logical_not": _not,
    "square": lambda a: a * a,
    "add": _scaled_sum,
    "sub": _scaled_difference,
    "mul": _product,
    "div": _quotient,
    "truediv": _quotient,
    "pow": _binary("Pow"),
    "maximum": _binary("Max"),
    "minimum": _binary("Min"),
    "and": _both,
    "bitwise_and": _both,
    "logical_and": _both,
    "or": _either,
    "bitwise_or": _either,
    "logical_or": _either,
    "lt": _comparison("Less"),
    "le": _comparison("LessOrEqual"),
    "gt": _comparison("Greater"),
    "ge": _comparison("GreaterOrEqual"),
    "eq": _equal,
    "ne": lambda a, b: ~_equal(a, b),
    "isnan": _isnan,
    "where": _where,
    "masked_fill": lambda a, mask, value: torch.where(mask, value, a),
    "clamp": _clamp,
    "clip": _clamp,
    "clamp_min": _clamp,
    "clamp_max": lambda a, most: _clamp(a, max=most),
    "sum": _sum,
    "mean": _mean,
    "amax": _amax,
    "any": _any,
    "all": _all,
    "argmax": _argmax,
    "softmax": _normalized("Softmax"),
    "log_softmax": _normalized("LogSoftmax"),
    "matmul": _matmul,
    **SHAPES,
    **FUNCTIONS,
    **LAYERS,
}
"""What torch calls them → functions that add nodes to the graph of an argument."""
