"""A converter for skl2onnx, by which pipelines with a model in them become ONNX."""

from typing import Any

import numpy as np

from skvae.estimators import AutoencoderTransformer, VAETransformer
from skvae.files._onnx import onnx_graph
from skvae.files._onnx_graph import ML_OPSET, OPSET, Port, attributes_of, onnx_type


def register_onnx() -> None:
    """Let skl2onnx convert pipelines that have a fitted model as a step.

    After this call ``skl2onnx.to_onnx`` writes a `VAETransformer` or
    `AutoencoderTransformer` as its ``transform``, as `export_onnx` writes the encoder.
    What a step gives has the type of the numbers that it gets, float32 or float64. As
    the first step, a model has an input for each column of a table.

    Raises
    ------
    ImportError
        If skl2onnx is not installed.

    See Also
    --------
    export_onnx : Writes a single model, its decoder, or its scores.

    Notes
    -----
    The type of an input is that of the rows that ``to_onnx`` is given. Inside the step,
    numbers are float64.
    """
    from skl2onnx import update_registered_converter

    for cls in (VAETransformer, AutoencoderTransformer):
        alias = f"Skvae{cls.__name__}"
        update_registered_converter(cls, alias, _shapes, _convert, overwrite=True)


def _shapes(operator: Any) -> None:
    """Set the type of the step's output: that of its numbers, (n, K)."""
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    doubles = [isinstance(v.type, DoubleTensorType) for v in operator.inputs]
    kind = DoubleTensorType if any(doubles) else FloatTensorType
    operator.outputs[0].type = kind([None, operator.raw_operator.n_components_])


def _convert(scope: Any, operator: Any, container: Any) -> None:
    """Add the nodes of the encoder to a graph of skl2onnx."""
    from onnx import numpy_helper
    from skl2onnx.common.data_types import FloatTensorType

    if container.target_opset < OPSET:
        raise ValueError(
            f"target_opset must be at least {OPSET} for a step of skvae. Got "
            f"{container.target_opset}. Pass target_opset={OPSET} to skl2onnx."
        )
    graph, names = onnx_graph(operator.raw_operator, "encoder"), _Names(scope)
    inputs = [given.full_name for given in operator.inputs]
    _add_inputs(container, inputs, graph.inputs, names)
    for name, value in graph.constants.items():
        tensor = numpy_helper.from_array(value)
        container.add_initializer(names[name], None, None, tensor)
    for node in graph.nodes:
        given = [names[name] for name in node.inputs]
        options = {"op_domain": node.domain, **attributes_of(node)}
        options["op_version"] = ML_OPSET if node.domain else OPSET
        container.add_node(node.operator, given, [names[node.output]], **options)
    output, (port,) = operator.outputs[0], graph.outputs
    is_single = isinstance(output.type, FloatTensorType)
    kind = np.float32 if is_single else np.float64
    _add_cast(container, names[port.name], output.full_name, kind)


class _Names(dict):
    """Names in a graph of the package → names that its place in another one gives."""

    def __init__(self, scope: Any) -> None:
        super().__init__()
        self.scope = scope

    def __missing__(self, name: str) -> str:
        self[name] = self.scope.get_unique_variable_name("skvae")
        return self[name]


def _add_inputs(
    container: Any, inputs: list[str], ports: list[Port], names: _Names
) -> None:
    """Convert inputs of a step to those of the graph.

    Columns of a table are an input each, also where the graph has one for all.
    """
    if len(ports) == 1:
        (port,) = ports
        parts = [names[f"{port.name}/{j}"] for j in range(len(inputs))]
        for given, part in zip(inputs, parts, strict=True):
            _add_cast(container, given, part, port.kind)
        container.add_node("Concat", parts, [names[port.name]], axis=1)
        return
    if len(inputs) != len(ports):
        raise ValueError(
            f"A step with columns of several kinds requires an input for each of its "
            f"{len(ports)} columns. Got {len(inputs)}. Make it the first step, and "
            "pass rows of the table to to_onnx."
        )
    for given, port in zip(inputs, ports, strict=True):
        _add_cast(container, given, names[port.name], port.kind)


def _add_cast(container: Any, given: str, name: str, kind: Any) -> None:
    """Add a node that converts a value to a type."""
    container.add_node("Cast", [given], [name], to=onnx_type(kind))
