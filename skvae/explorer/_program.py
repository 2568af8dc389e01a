"""The decoder as data that a page computes: the graph that ONNX gets, too."""

from typing import Any

import numpy as np

from skvae.explorer._pack import Pack
from skvae.files._onnx import cells_graph
from skvae.files._onnx_graph import Graph, Node

OPERATORS = frozenset(
    "Abs Add And ArgMax Cast Ceil Concat Div Equal Exp Expand Floor Gather "
    "GatherElements Greater GreaterOrEqual Identity IsNaN Less LessOrEqual Log "
    "LogSoftmax MatMul Max Min Mul Neg Not Or Pad Pow Reciprocal ReduceMax ReduceMean "
    "ReduceSum Relu Reshape Round Shape Sigmoid Sign Slice Softmax Sqrt Squeeze Sub "
    "Tanh Transpose Unsqueeze Where".split()
)
"""What `assets/operators.js` can compute."""

LARGEST_INT = 2**31 - 1
"""Beyond it, whole numbers are stored as floats, which are exact up to 2^53."""


def decoder_program(model: Any, pack: Pack) -> dict[str, Any]:
    """Return the decoder's nodes, and put the constants into a pack.

    Raises ValueError, in words, where a network has no form in a graph.
    """
    graph = cells_graph(model)
    unknown = {node.operator for node in graph.nodes} - OPERATORS
    if unknown:
        raise ValueError(
            f"The decoder must be made of operators that a page knows. Got "
            f"{', '.join(sorted(unknown))}. Use a network of skvae.networks."
        )
    return _as_data(graph, pack)


def _as_data(graph: Graph, pack: Pack) -> dict[str, Any]:
    constants = {name: pack.add(_stored(a)) for name, a in graph.constants.items()}
    return {
        "input": graph.inputs[0].name,
        "output": graph.outputs[0].name,
        "constants": constants,
        "nodes": [_node(node) for node in graph.nodes],
    }


def _stored(array: np.ndarray) -> np.ndarray:
    """Return a constant in a type that browsers have."""
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.dtype.kind != "i":
        return array
    is_small = np.abs(array).max(initial=0) <= LARGEST_INT
    return array.astype(np.int32 if is_small else np.float64)


def _node(node: Node) -> list[Any]:
    """Return [operator, names of inputs, name of the output, attributes]."""
    said = {name: _plain(value) for name, value in node.attributes.items()}
    return [node.operator, list(node.inputs), node.output, said]


def _plain(value: Any) -> Any:
    if isinstance(value, type):
        return np.dtype(value).name
    return [*map(int, value)] if isinstance(value, list | tuple) else int(value)
