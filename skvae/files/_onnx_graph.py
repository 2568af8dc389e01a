"""A graph of ONNX operators, as nodes and constants."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

OPSET, ML_OPSET, IR_VERSION = 18, 3, 8
"""Versions of ONNX that the graph is written in: of December 2022."""

FEW = 64
"""Numbers that are not worth a conversion to be stored in half as many bytes."""


class Node(NamedTuple):
    """One operator, with the names of what it takes and of what it gives."""

    operator: str
    inputs: tuple[str, ...]
    output: str
    attributes: dict[str, Any]
    domain: str


class Port(NamedTuple):
    """An input or an output of the graph; the first of its axes is that of rows.

    `kind` is a NumPy type, `str` for text; the columns are None where an output has
    rows only.
    """

    name: str
    kind: Any
    n_columns: int | None


class Graph:
    """Nodes in the order in which they run; equal ones are one.

    Parameters
    ----------
    operations : mapping of str to callable
        Functions of torch that can be written, by name; see `GraphArray`.
    """

    def __init__(self, operations: Mapping[str, Callable]) -> None:
        self.operations = operations
        self.nodes: list[Node] = []
        self.constants: dict[str, np.ndarray] = {}
        self.inputs: list[Port] = []
        self.outputs: list[Port] = []
        self._known: dict[Any, str] = {}

    def add(
        self, operator: str, *inputs: str, domain: str = "", **attributes: Any
    ) -> str:
        """Add a node, unless there is such a one; return the name of its output."""
        key = operator, inputs, repr(attributes)
        if key not in self._known:
            self._known[key] = output = self._new_name()
            self.nodes.append(Node(operator, inputs, output, attributes, domain))
        return self._known[key]

    def constant(self, value: np.ndarray) -> str:
        """Add a constant, unless there is such a one; return its name.

        Parameters of networks are float32 numbers, and are stored as such.
        """
        if value.dtype == np.float64 and value.size > FEW:
            with np.errstate(over="ignore"):
                single = value.astype(np.float32)
            if np.array_equal(single, value, equal_nan=True):
                return self.add("Cast", self.constant(single), to=np.float64)
        is_text = value.dtype == object
        cells = tuple(value.tolist()) if is_text else value.tobytes()
        key = value.dtype.str, value.shape, cells
        if key not in self._known:
            self._known[key] = self._new_name()
            self.constants[self._known[key]] = value
        return self._known[key]

    def add_input(self, name: str, kind: Any, n_columns: int) -> str:
        """Add an input (n, n_columns); return its name."""
        self.inputs.append(Port(name, kind, n_columns))
        return name

    def add_output(self, name: str, kind: Any, value: str, n_columns: Any) -> None:
        """Make a value an output, whose name is extended if another has it."""
        while name in {port.name for port in (*self.inputs, *self.outputs)}:
            name += "_"
        self.nodes.append(Node("Identity", (value,), name, {}, ""))
        self.outputs.append(Port(name, kind, n_columns))

    def _new_name(self) -> str:
        return f"skvae/{len(self._known)}"

    def to_model(self, **said: str) -> Any:
        """Return an `onnx.ModelProto` with a description, by name."""
        try:
            from onnx import helper, numpy_helper
        except ImportError as error:
            raise ImportError(
                "export_onnx requires the package onnx. Run: pip install 'skvae[onnx]'"
            ) from error
        initializers = [
            numpy_helper.from_array(value, name)
            for name, value in self.constants.items()
        ]
        nodes = [_proto(node) for node in self.nodes]
        inputs, outputs = (
            [*map(_info, ports)] for ports in (self.inputs, self.outputs)
        )
        graph = helper.make_graph(nodes, "skvae", inputs, outputs, initializers)
        opsets = helper.make_opsetid("", OPSET), helper.make_opsetid(ML, ML_OPSET)
        made_by = {"ir_version": IR_VERSION, "producer_name": "skvae"}
        model = helper.make_model(graph, opset_imports=opsets, **made_by)
        helper.set_model_props(model, said)
        return model


ML = "ai.onnx.ml"
"""The domain of operators for tables."""


def attributes_of(node: Node) -> dict[str, Any]:
    """Return the attributes of a node, with ONNX's number in place of a type."""
    said = dict(node.attributes)
    if "to" in said:
        said["to"] = onnx_type(said["to"])
    return said


def onnx_type(kind: Any) -> int:
    """Return ONNX's number of a NumPy type, or of `str`."""
    from onnx import TensorProto, helper

    if kind is str:
        return TensorProto.STRING
    return helper.np_dtype_to_tensor_dtype(np.dtype(kind))


def _proto(node: Node) -> Any:
    from onnx import helper

    names = node.inputs, [node.output]
    # Older runtimes confuse nodes without a name.
    options = {"name": node.output, "domain": node.domain, **attributes_of(node)}
    return helper.make_node(node.operator, *names, **options)


def _info(port: Port) -> Any:
    from onnx import helper

    shape: Any = ["n"] if port.n_columns is None else ["n", port.n_columns]
    return helper.make_tensor_value_info(port.name, onnx_type(port.kind), shape)
