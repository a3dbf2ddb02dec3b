"""Elementwise operators of several tensors or constants."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from types import MappingProxyType
from typing import Any, Final, Protocol

import numpy as np

from forwardpass.importers.onnx.arrays import Array
from forwardpass.importers.onnx.constant_folding import folded, numbers_of
from forwardpass.importers.onnx.elementwise import applied, pending
from forwardpass.importers.onnx.graph_builder import columns_of
from forwardpass.importers.onnx.lifting import all_lifted, lifted
from forwardpass.importers.onnx.node_context import FLOATS, NodeContext, NodeReader, Result
from forwardpass.importers.onnx.pending_functions import (
    IDENTITY,
    MAX_PARTS,
    PendingFunction,
    as_condition,
    as_number,
    call,
    literal,
    template,
)
from forwardpass.importers.onnx.reshaping import broadcast, joined
from forwardpass.importers.onnx.values import Constant, GraphTensor
from forwardpass.importers.onnx.whole_numbers import WHOLE, check_whole, wrapped
from forwardpass.importers.unsupported import UnsupportedError

_ARITHMETIC: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict(zip(("Add", "Sub", "Mul", "Div", "Pow", "Sum"), ("+", "-", "*", "/", "**", "+"), strict=True)),
        **dict(zip(("Max", "Min", "Mod", "FMod"), ("max", "min", "mod", "fmod"), strict=True)),
    }
)
_COMPARISONS: Final[Mapping[str, str]] = MappingProxyType(
    {"Greater": ">", "GreaterOrEqual": ">=", "Less": "<", "LessOrEqual": "<=", "Equal": "=="}
)
_LOGICAL: Final[Mapping[str, str]] = MappingProxyType({"And": "and", "Or": "or", "Xor": "!="})
_SYMBOLS: Final[Mapping[str, str]] = MappingProxyType({**_ARITHMETIC, **_COMPARISONS, **_LOGICAL})
"""The operator or function of the expression grammar for each ONNX operator."""

_MIRRORED: Final[Mapping[str, str]] = MappingProxyType(
    {"Greater": "Less", "GreaterOrEqual": "LessOrEqual", "Less": "Greater", "LessOrEqual": "GreaterOrEqual"}
)
"""The comparison with its operands exchanged."""


def _binary(node: NodeContext) -> Result:
    return combined(node, node.op, node.value(0), node.value(1))


def _mod(node: NodeContext) -> Result:
    """`A mod B` with the sign of the divisor, or of the dividend as C's fmod has it."""
    return combined(node, "FMod" if node.integer("fmod", 0) else "Mod", node.value(0), node.value(1))


def _variadic(node: NodeContext) -> Result:
    """Combine any number of tensors; those that depend on the inputs by one layer."""
    values = [node.value(place) for place in range(len(node.inputs))]
    tensors = [value for value in values if isinstance(value, GraphTensor)]
    merge = {"Sum": "sum", "Mean": "mean", "Max": "max"}.get(node.op)
    if merge is not None and len(tensors) == len(values) > 2:
        for tensor in tensors:
            _check_numbers(node, node.op, tensor)
        return _merged(node, merge, fitting(node, tensors))
    op = "Sum" if node.op == "Mean" else node.op
    whole = reduce(lambda one, other: combined(node, op, one, other), values)
    if node.op != "Mean" or len(values) == 1:
        return whole
    return combined(node, "Div", whole, Constant(array=np.array(len(values), whole.kind)))


def combined(
    node: NodeContext, op: str, one: Constant | GraphTensor, other: Constant | GraphTensor
) -> Constant | GraphTensor:
    """Combine two tensors by an operator.

    Args:
        node: The node, for its name and graph.
        op: The name of the operator.
        one: The left operand.
        other: The right one.
    """
    if isinstance(one, Constant):
        if isinstance(other, Constant):
            return folded(node.graph, op, numbers_of(one), numbers_of(other))
        return _with_constant(node, op, other, numbers_of(one), left=True)
    if isinstance(other, Constant):
        return _with_constant(node, op, one, numbers_of(other), left=False)
    _check_numbers(node, op, one)
    _check_numbers(node, op, other)
    first, second = fitting(node, [one, other])
    return wrapped(node, op, _joined_tensors(node, op, first, second))


def _joined_tensors(node: NodeContext, op: str, first: GraphTensor, second: GraphTensor) -> GraphTensor:
    """Combine tensors of one shape."""
    if first.same_columns(second):
        x, y = first.pending or IDENTITY, second.pending or IDENTITY
        function = _function(op, x, y)
        if function.parts <= MAX_PARTS:
            return replace(first, pending=function, kind=_kind(op, first))
    if op == "Div" and first.kind in WHOLE:
        return joined_by(node, "x / y", [first, second])
    return _BOTH[op](node, first, second) if op in _BOTH else _compared(node, op, first, second)


def _check_numbers(node: NodeContext, op: str, tensor: GraphTensor) -> None:
    if op not in _COMPARISONS and (tensor.kind == "bool") != (op in _LOGICAL):
        raise UnsupportedError(f"computes with {tensor.kind}, which has no such operator")
    if op in {*_ARITHMETIC, "Mean"} and tensor.kind not in FLOATS:
        if tensor.kind not in WHOLE:
            raise UnsupportedError(
                f"computes in {tensor.kind}; networks compute in float32 or float64, cast to one of them"
            )
        check_whole(node, op, tensor)


def _kind(op: str, tensor: GraphTensor) -> str:
    return tensor.kind if op in _ARITHMETIC else "bool"


def _function(op: str, one: PendingFunction, other: PendingFunction) -> PendingFunction:
    if op == "FMod":
        return template(_FMOD, x=as_number(one), y=as_number(other))
    form = as_condition if op in {"And", "Or"} else as_number
    return call(_SYMBOLS[op], form(one), form(other))


_FMOD: Final = "where(x < 0, -mod(abs(x), abs(y)), mod(abs(x), abs(y)))"
"""The remainder with the sign of the dividend."""


def fit(node: NodeContext, tensor: GraphTensor, array: Array) -> GraphTensor:
    """Broadcast a tensor to the shape of a constant, which must be for one row."""
    from_right = 0 if tensor.row_axis is None else len(tensor.shape) - tensor.row_axis
    if tensor.row_axis is not None and array.ndim >= from_right and array.shape[-from_right] != 1:
        raise UnsupportedError(
            f"has constants of {array.shape[-from_right]} rows; a network computes each row by itself"
        )
    wide = broadcast(node, tensor, array.shape)
    return wide if isinstance(wide, GraphTensor) else tensor


def _with_constant(node: NodeContext, op: str, tensor: GraphTensor, array: Array, *, left: bool) -> GraphTensor:
    """Combine a tensor with a constant, which is the left or the right operand."""
    return wrapped(node, op, _joined_constant(node, op, tensor, array, left=left))


def _joined_constant(node: NodeContext, op: str, tensor: GraphTensor, array: Array, *, left: bool) -> GraphTensor:
    _check_numbers(node, op, tensor)
    tensor = fit(node, tensor, array)
    numbers = columns_of(tensor, array).astype(tensor.kind)
    if tensor.kind in WHOLE:
        numbers = numbers.astype(np.float64)
    if not np.isfinite(numbers.astype(np.float64)).all():
        bound = {"Max": -np.inf, "Min": np.inf}.get(op)
        if (numbers == bound).all():
            return tensor
        return _with_lifted(node, op, tensor, array, left=left)
    if op in {"Div", "Mod", "FMod"} and not left and (numbers == 0).any():
        raise UnsupportedError("divides by a constant that is 0")
    if not (numbers == numbers[:1]).all():
        whole = op == "Div" and tensor.kind in WHOLE
        if whole or (op not in _COLUMNS and op not in _COMPARISONS):
            return _with_lifted(node, op, tensor, array, left=left)
        return _with_column(node, op, tensor, numbers, left=left)
    constant = literal(float(numbers[0]), tensor.kind)
    return pending(
        node, tensor, lambda x: _function(op, constant, x) if left else _function(op, x, constant), _kind(op, tensor)
    )


def _with_lifted(node: NodeContext, op: str, tensor: GraphTensor, array: Array, *, left: bool) -> GraphTensor:
    """Combine a tensor with a constant as with another tensor."""
    constant, tensor = fitting(node, [lifted(node, array.astype(tensor.kind), tensor), tensor])
    return _joined_tensors(node, op, constant, tensor) if left else _joined_tensors(node, op, tensor, constant)


def _with_column(node: NodeContext, op: str, tensor: GraphTensor, numbers: Array, *, left: bool) -> GraphTensor:
    """Combine each element with its own constant."""
    if op in _COMPARISONS:
        difference = scaled(node, tensor, shift=-numbers)
        symbol = _SYMBOLS[_MIRRORED.get(op, op) if left else op]
        return applied(node, difference, f"x {symbol} 0", kind="bool")
    return _COLUMNS[op](node, tensor, numbers, left=left)


def scaled(node: NodeContext, tensor: GraphTensor, **numbers: Array) -> GraphTensor:
    """Multiply by `scale` and add `shift`, arrays with a number for each element; either may be absent."""
    return layered(node, tensor, kind="scale_shift", **numbers)


def layered(node: NodeContext, tensor: GraphTensor, **document: Any) -> GraphTensor:
    """Add a layer that computes each element by itself, with arrays of a number for each, and return its nodes."""
    shaped = {
        key: value.reshape(tensor.shape) if isinstance(value, np.ndarray) else value for key, value in document.items()
    }
    return node.graph.tensor(node.graph.by_element(node.graph.plain(tensor), **shaped), tensor.row_axis, tensor.kind)


def _add(node: NodeContext, tensor: GraphTensor, numbers: Array, *, left: bool) -> GraphTensor:  # noqa: ARG001 - either side is the same
    return scaled(node, tensor, shift=numbers)


def _multiply(node: NodeContext, tensor: GraphTensor, numbers: Array, *, left: bool) -> GraphTensor:  # noqa: ARG001 - as above
    return scaled(node, tensor, scale=numbers)


def _raise(node: NodeContext, tensor: GraphTensor, numbers: Array, *, left: bool) -> GraphTensor:  # noqa: ARG001 - as above
    return layered(node, tensor, kind="clip", low=numbers)


def _lower(node: NodeContext, tensor: GraphTensor, numbers: Array, *, left: bool) -> GraphTensor:  # noqa: ARG001 - as above
    return layered(node, tensor, kind="clip", high=numbers)


def _subtract(node: NodeContext, tensor: GraphTensor, numbers: Array, *, left: bool) -> GraphTensor:
    if left:
        return scaled(node, tensor, scale=-np.ones_like(numbers), shift=numbers)
    return scaled(node, tensor, shift=-numbers)


def _divide(node: NodeContext, tensor: GraphTensor, numbers: Array, *, left: bool) -> GraphTensor:
    if left:
        return scaled(node, applied(node, tensor, "1 / x"), scale=numbers)
    return scaled(node, tensor, scale=1 / numbers)


class _OnColumns(Protocol):
    def __call__(self, node: NodeContext, tensor: GraphTensor, numbers: Array, *, left: bool) -> GraphTensor: ...


_COLUMNS: Final[Mapping[str, _OnColumns]] = MappingProxyType(
    {
        "Add": _add,
        "Sum": _add,
        "Sub": _subtract,
        "Mul": _multiply,
        "Div": _divide,
        "Max": _raise,
        "Min": _lower,
    }
)
"""The layer that combines each element with its own constant, by operator."""


def fitting(node: NodeContext, tensors: Sequence[GraphTensor]) -> list[GraphTensor]:
    """Broadcast tensors to one shape."""
    from_right = {None if tensor.row_axis is None else len(tensor.shape) - tensor.row_axis for tensor in tensors}
    if len(from_right) > 1:
        raise UnsupportedError("joins tensors whose rows are not the same axis")
    try:
        shape = np.broadcast_shapes(*(tensor.shape for tensor in tensors))
    except ValueError:
        raise UnsupportedError(
            f"joins tensors of the shapes {', '.join(str(list(tensor.shape)) for tensor in tensors)}"
        ) from None
    fitted = (broadcast(node, tensor, shape) for tensor in tensors)
    return [tensor for tensor in fitted if isinstance(tensor, GraphTensor)]


def _merged(node: NodeContext, merge: str, tensors: Sequence[GraphTensor]) -> GraphTensor:
    """Merge tensors element by element by one layer."""
    whole = node.graph.merge([node.graph.plain(tensor) for tensor in tensors], merge)
    return node.graph.tensor(whole, tensors[0].row_axis, tensors[0].kind)


def _minus(node: NodeContext, tensor: GraphTensor) -> GraphTensor:
    return applied(node, tensor, "-x")


_BOTH: Final[Mapping[str, Callable[[NodeContext, GraphTensor, GraphTensor], GraphTensor]]] = MappingProxyType(
    {
        "Add": lambda node, one, other: _merged(node, "sum", [one, other]),
        "Sum": lambda node, one, other: _merged(node, "sum", [one, other]),
        "Sub": lambda node, one, other: _merged(node, "sum", [one, _minus(node, other)]),
        "Mul": lambda node, one, other: _merged(node, "multiply", [one, other]),
        "Div": lambda node, one, other: _merged(node, "multiply", [one, applied(node, other, "1 / x")]),
        "Pow": lambda node, one, other: joined_by(node, "x ** y", [one, other]),
        "Max": lambda node, one, other: _merged(node, "max", [one, other]),
        "Min": lambda node, one, other: _minus(node, _merged(node, "max", [_minus(node, one), _minus(node, other)])),
        "And": lambda node, one, other: _merged(node, "multiply", [one, other]),
        "Mod": lambda node, one, other: joined_by(node, "mod(x, y)", [one, other]),
        "FMod": lambda node, one, other: joined_by(node, _FMOD, [one, other]),
        "Or": lambda node, one, other: _merged(node, "max", [one, other]),
        "Xor": lambda node, one, other: applied(node, _merged(node, "sum", [one, other]), "x == 1", kind="bool"),
    }
)
"""The layers that combine two tensors of different nodes, by operator."""


def _compared(node: NodeContext, op: str, one: GraphTensor, other: GraphTensor) -> GraphTensor:
    if op not in _COMPARISONS:
        raise UnsupportedError(f"joins two tensors by {op}, for which there is no layer")
    return joined_by(node, f"where(x {_SYMBOLS[op]} y, 1, 0)", [one, other], "bool")


def joined_by(node: NodeContext, expression: str, tensors: Sequence[GraphTensor], kind: str = "") -> GraphTensor:
    """Compute an expression over x, y and z of two or three tensors of one shape by one layer."""
    parts = [node.graph.materialize(tensor, node.hint) for tensor in tensors]
    width = tensors[0].index.size
    name = node.graph.layer(node.hint, parts, width, merge="concatenate", kind="elementwise", expression=expression)
    return node.graph.like(name, tensors[0], kind)


def _clip(node: NodeContext) -> Result:
    """Bound by `min`, then by `max`, which are attributes before operator set 11."""
    value = node.value(0)
    for place, (name, op) in enumerate((("min", "Max"), ("max", "Min")), start=1):
        bound = node.value(place) if node.has(place) else None
        if bound is None and name in node.attributes:
            bound = Constant(array=np.array(node.attributes[name], np.float32))
        if bound is not None:
            value = combined(node, op, value, bound)
    return value


def _prelu(node: NodeContext) -> Result:
    tensor, slopes = node.float_tensor(0), node.constant(1)
    tensor = fit(node, tensor, slopes)
    numbers = columns_of(tensor, slopes)
    if (numbers == numbers[:1]).all():
        slope = float(numbers[0])
        short = float(str(numbers[0]))
        activation = {"name": "prelu", "slope": short}
        return applied(node, tensor, "where(x > 0, x, slope * x)", activation=activation, slope=slope)
    tensor = node.graph.materialize(tensor, node.hint)
    below = scaled(node, applied(node, tensor, "min(x, 0)"), scale=numbers)
    return _merged(node, "sum", [applied(node, tensor, "relu(x)"), below])


def _where(node: NodeContext) -> Result:
    """Select one of two by a condition."""
    values = [node.value(place) for place in range(3)]
    tensors = [value for value in values if isinstance(value, GraphTensor)]
    if not tensors:
        condition, one, other = (numbers_of(value) for value in values if isinstance(value, Constant))
        node.graph.budget.claim_constant(math.prod(np.broadcast_shapes(condition.shape, one.shape, other.shape)))
        return Constant(array=np.where(condition, one, other))
    if isinstance(values[0], Constant):
        return _chosen(node, numbers_of(values[0]), all_lifted(node, values[1:]))
    alone = [
        value if isinstance(value, GraphTensor) or _is_only(value) else lifted(node, numbers_of(value), tensors[0])
        for value in values
    ]
    sizes = np.broadcast_shapes(*(value.shape for value in alone))
    fitted = [broadcast(node, value, sizes) if isinstance(value, GraphTensor) else value for value in alone]
    first = next(value for value in fitted if isinstance(value, GraphTensor))
    parts = []
    for value in fitted:
        if isinstance(value, Constant):
            parts.append(literal(float(numbers_of(value).ravel()[0]), first.kind))
        elif value.same_columns(first):
            parts.append(value.pending or IDENTITY)
        else:
            return _chosen_by(node, alone)
    function = call("where", as_condition(parts[0]), as_number(parts[1]), as_number(parts[2]))
    if function.parts > MAX_PARTS:
        raise UnsupportedError("chooses between functions that are too long for one expression")
    return replace(first, pending=function, kind=_kind_of_choice(values))


def _kind_of_choice(values: Sequence[Constant | GraphTensor]) -> str:
    return next((value.kind for value in values[1:] if isinstance(value, GraphTensor)), values[1].kind)


def _chosen_by(node: NodeContext, values: Sequence[Constant | GraphTensor]) -> GraphTensor:
    """Select one of two by a condition, each of other nodes or a single number."""
    tensors = fitting(node, [value for value in values if isinstance(value, GraphTensor)])
    letters = iter("xyz")
    words = []
    for value in values:
        number = None if isinstance(value, GraphTensor) else float(numbers_of(value).ravel()[0])
        words.append(next(letters) if number is None else repr(number).removesuffix(".0"))
    return joined_by(node, f"where({words[0]} != 0, {words[1]}, {words[2]})", tensors, _kind_of_choice(values))


def _chosen(node: NodeContext, condition: Array, tensors: Sequence[GraphTensor]) -> GraphTensor:
    """Select elements of two tensors by constants; no layer is needed."""
    one, other = fitting(node, [fit(node, tensor, condition) for tensor in tensors])
    axis = len(one.shape)
    wide = [replace(tensor, index=tensor.index[..., None]) for tensor in (one, other)]
    both = joined(node, wide, axis)
    return replace(both, index=np.where(condition, both.index[..., 0], both.index[..., 1]))


def _is_only(value: Constant) -> bool:
    """Return whether a constant is one finite number, once or at every place."""
    numbers = numbers_of(value).astype(np.float64).ravel()
    return bool(numbers.size and (numbers == numbers[0]).all() and np.isfinite(numbers[0]))


MERGING: Final[Mapping[str, NodeReader]] = MappingProxyType(
    {
        **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Pow", *_COMPARISONS, *_LOGICAL), _binary),
        **dict.fromkeys(("Sum", "Mean", "Max", "Min"), _variadic),
        "Mod": _mod,
        "Clip": _clip,
        "PRelu": _prelu,
        "Where": _where,
    }
)
"""The reader of each elementwise operator of several tensors."""
