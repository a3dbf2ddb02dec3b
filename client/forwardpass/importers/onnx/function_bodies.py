"""Operators that are read as the nodes that ONNX's own specification defines them by."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from forwardpass.importers.onnx.values import Constant, GraphTensor, Value
from forwardpass.importers.unsupported import UnsupportedError

FUNCTIONS: Final = frozenset(
    {
        *("Attention", "RotaryEmbedding", "CausalConvWithState", "SwiGLU"),
        *("GroupNormalization", "MeanVarianceNormalization"),
        *("CenterCropPad", "AffineGrid"),
        *("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"),
    }
)
"""The operators whose body, as the package onnx has it, is read in their place."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FunctionBody:
    """The nodes that one node stands for.

    Attributes:
        nodes: The nodes, which read and make the tensors of the graph; inner tensors have names of their own.
        versions: The version of each operator set that they are of.
    """

    nodes: tuple[Any, ...]
    versions: Mapping[str, int]


def body_of(node: Any, version: int, inputs: Sequence[Value | None]) -> FunctionBody:
    """Return the body of a node of an operator in `FUNCTIONS`.

    Args:
        node: The `NodeProto`.
        version: The version of its operator set.
        inputs: Its inputs, whose types and shapes the body may depend on.

    Raises:
        UnsupportedError: The operator set does not have the operator, or the node is not as the operator must be.
    """
    import onnx  # noqa: PLC0415 - an extra

    try:
        schema = onnx.defs.get_schema(node.op_type, version, "")
    except onnx.defs.SchemaError:
        raise UnsupportedError(f"is not in version {version} of the operator set") from None
    if not schema.min_input <= len(node.input) <= schema.max_input or len(node.output) > schema.max_output:
        raise UnsupportedError(f"has {len(node.input)} inputs and {len(node.output)} outputs, which its operator lacks")
    function = onnx.FunctionProto.FromString(_serialized(schema, node, version, inputs))
    if not function.node:
        raise UnsupportedError("is not as its operator must be: its inputs or attributes do not fit")
    return FunctionBody(
        nodes=tuple(_nodes(function, node, schema)),
        versions={known.domain: known.version for known in function.opset_import} or {"": version},
    )


def _serialized(schema: Any, node: Any, version: int, inputs: Sequence[Value | None]) -> bytes:
    if schema.has_context_dependent_function:
        types = [_type_of(value).SerializeToString() for value in inputs]
        opset = max(known for known in schema.context_dependent_function_opset_versions if known <= version)
        whole: bytes = schema.get_context_dependent_function_with_opset_version(opset, node.SerializeToString(), types)
        return whole
    opset = max(known for known in schema.function_opset_versions if known <= version)
    plain: bytes = schema.get_function_with_opset_version(opset)
    return plain


def _type_of(value: Value | None) -> Any:
    """Return the type of an input as a `TypeProto`; the axis of the rows has a name in place of a size."""
    from onnx import TypeProto, helper  # noqa: PLC0415 - an extra

    if not isinstance(value, Constant | GraphTensor):
        return TypeProto()
    sizes: list[int | str] = list(value.shape)
    if isinstance(value, GraphTensor) and value.row_axis is not None:
        sizes[value.row_axis] = "rows"
    kind = np.dtype(np.int64 if value.kind == "object" else value.kind)
    return helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(kind), sizes)


def _nodes(function: Any, node: Any, schema: Any) -> Iterator[Any]:
    """Yield the nodes of a function with the tensors and attributes of the node that calls it."""
    inner = next((name for name in node.output if name), node.op_type)
    names = dict.fromkeys([*function.input, *function.output], "")
    names.update(zip(function.input, node.input, strict=False))
    names.update({name: f"{inner}.{name}" for name in function.output})
    names.update({name: given for name, given in zip(function.output, node.output, strict=False) if given})
    given = {attribute.name: attribute for attribute in node.attribute}
    for original in function.node:
        copied = type(original)()
        copied.CopyFrom(original)
        copied.input[:] = [names.get(name, f"{inner}.{name}") if name else "" for name in original.input]
        copied.output[:] = [names.get(name, f"{inner}.{name}") if name else "" for name in original.output]
        del copied.attribute[:]
        copied.attribute.extend(filter(None, (_resolved(one, given, schema) for one in original.attribute)))
        yield copied


def _resolved(attribute: Any, given: Mapping[str, Any], schema: Any) -> Any | None:
    """Return an attribute with the value that the calling node gives, or its operator's default; None for neither."""
    if not attribute.ref_attr_name:
        return attribute
    default = schema.attributes.get(attribute.ref_attr_name)
    source = given.get(attribute.ref_attr_name) or (default.default_value if default is not None else None)
    if source is None or not source.type:
        return None
    resolved = type(attribute)()
    resolved.CopyFrom(source)
    resolved.name = attribute.name
    return resolved
