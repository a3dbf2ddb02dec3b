"""Operators that join tensors element by element: with constants, with one another, or both."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from types import MappingProxyType
from typing import Any, Final, Protocol

import numpy as np

from forwardpass.importers.onnx.arrays import Array
from forwardpass.importers.onnx.draft import columns_of
from forwardpass.importers.onnx.elementwise import applied, pending
from forwardpass.importers.onnx.folding import folded, numbers_of
from forwardpass.importers.onnx.functions import (
    IDENTITY,
    MAX_PARTS,
    Function,
    as_condition,
    as_number,
    call,
    literal,
)
from forwardpass.importers.onnx.refusing import Refused
from forwardpass.importers.onnx.step import FLOATS, Reader, Result, Step
from forwardpass.importers.onnx.structure import broadcast, joined
from forwardpass.importers.onnx.values import Constant, Flow

_ARITHMETIC: Final[Mapping[str, str]] = MappingProxyType(
    {"Add": "+", "Sub": "-", "Mul": "*", "Div": "/", "Pow": "**", "Max": "max", "Min": "min", "Sum": "+"}
)
_COMPARISONS: Final[Mapping[str, str]] = MappingProxyType(
    {"Greater": ">", "GreaterOrEqual": ">=", "Less": "<", "LessOrEqual": "<=", "Equal": "=="}
)
_LOGICAL: Final[Mapping[str, str]] = MappingProxyType({"And": "and", "Or": "or", "Xor": "!="})
_SYMBOLS: Final[Mapping[str, str]] = MappingProxyType({**_ARITHMETIC, **_COMPARISONS, **_LOGICAL})
"""The grammar's operator or function for each operator."""

_MIRRORED: Final[Mapping[str, str]] = MappingProxyType(
    {"Greater": "Less", "GreaterOrEqual": "LessOrEqual", "Less": "Greater", "LessOrEqual": "GreaterOrEqual"}
)
"""The comparison that says the same from the other side."""


def _binary(step: Step) -> Result:
    return combined(step, step.op, step.value(0), step.value(1))


def _variadic(step: Step) -> Result:
    """Join any number of tensors; those that depend on the inputs by one layer."""
    values = [step.value(place) for place in range(len(step.inputs))]
    flows = [value for value in values if isinstance(value, Flow)]
    merge = {"Sum": "sum", "Mean": "mean", "Max": "max"}.get(step.op)
    if merge is not None and len(flows) == len(values) > 2:
        for flow in flows:
            _check_numbers(step.op, flow)
        return _merged(step, merge, _fitting(step, flows))
    op = "Sum" if step.op == "Mean" else step.op
    whole = reduce(lambda one, other: combined(step, op, one, other), values)
    if step.op != "Mean" or len(values) == 1:
        return whole
    return combined(step, "Div", whole, Constant(array=np.array(len(values), whole.kind)))


def combined(step: Step, op: str, one: Constant | Flow, other: Constant | Flow) -> Constant | Flow:
    """Join two tensors by an operator.

    Args:
        step: The node that does it, for its name and draft.
        op: ONNX's name of the operator.
        one: The left operand.
        other: The right one.
    """
    if isinstance(one, Constant):
        if isinstance(other, Constant):
            return folded(step.draft, op, numbers_of(one), numbers_of(other))
        return _with_constant(step, op, other, numbers_of(one), left=True)
    if isinstance(other, Constant):
        return _with_constant(step, op, one, numbers_of(other), left=False)
    _check_numbers(op, one)
    _check_numbers(op, other)
    first, second = _fitting(step, [one, other])
    if first.same_columns(second):
        x, y = first.function or IDENTITY, second.function or IDENTITY
        function = _function(op, x, y)
        if function.parts <= MAX_PARTS:
            return replace(first, function=function, kind=_kind(op, first))
    return _BOTH[op](step, first, second) if op in _BOTH else _compared(step, op, first, second)


def _check_numbers(op: str, flow: Flow) -> None:
    if op not in _COMPARISONS and (flow.kind == "bool") != (op in _LOGICAL):
        raise Refused(f"computes with {flow.kind}, which has no such operator")
    if op in {*_ARITHMETIC, "Mean"} and flow.kind not in FLOATS:
        raise Refused(f"computes in {flow.kind}; networks compute in float32 or float64, cast to one of them")


def _kind(op: str, flow: Flow) -> str:
    return flow.kind if op in _ARITHMETIC else "bool"


def _function(op: str, one: Function, other: Function) -> Function:
    form = as_condition if op in {"And", "Or"} else as_number
    return call(_SYMBOLS[op], form(one), form(other))


def fit(step: Step, flow: Flow, array: Array) -> Flow:
    """Repeat a tensor's elements so that there is one for each of a constant's, and check that it has one row."""
    from_right = 0 if flow.rows is None else len(flow.shape) - flow.rows
    if flow.rows is not None and array.ndim >= from_right and array.shape[-from_right] != 1:
        raise Refused(f"has constants of {array.shape[-from_right]} rows; a network computes each row by itself")
    wide = broadcast(step, flow, array.shape)
    return wide if isinstance(wide, Flow) else flow


def _with_constant(step: Step, op: str, flow: Flow, array: Array, *, left: bool) -> Flow:
    """Join a tensor with a constant, which stands left or right of it."""
    _check_numbers(op, flow)
    flow = fit(step, flow, array)
    numbers = columns_of(flow, array).astype(flow.kind)
    if not np.isfinite(numbers.astype(np.float64)).all():
        bound = {"Max": -np.inf, "Min": np.inf}.get(op)
        if (numbers == bound).all():
            return flow
        raise Refused("has a constant that is not finite")
    if op == "Div" and not left and (numbers == 0).any():
        raise Refused("divides by a constant that is 0")
    if not (numbers == numbers[:1]).all():
        if op not in _COLUMNS and op not in _COMPARISONS:
            raise Refused(f"joins each element with another constant, which no layer does by {op}")
        return _with_column(step, op, flow, numbers, left=left)
    constant = literal(float(numbers[0]), flow.kind)
    return pending(
        step, flow, lambda x: _function(op, constant, x) if left else _function(op, x, constant), _kind(op, flow)
    )


def _with_column(step: Step, op: str, flow: Flow, numbers: Array, *, left: bool) -> Flow:
    """Join each element with a constant of its own."""
    if op in _COMPARISONS:
        difference = scaled(step, flow, shift=-numbers)
        symbol = _SYMBOLS[_MIRRORED.get(op, op) if left else op]
        return applied(step, difference, f"x {symbol} 0", kind="bool")
    return _COLUMNS[op](step, flow, numbers, left=left)


def scaled(step: Step, flow: Flow, **numbers: Array) -> Flow:
    """Multiply by `scale` and add `shift`, each an array with a number for each element, or not there."""
    return layered(step, flow, kind="scale_shift", **numbers)


def layered(step: Step, flow: Flow, **document: Any) -> Flow:
    """Return the nodes of a new layer that has as many as the tensor has elements."""
    return step.draft.like(step.draft.layer(step.hint, [flow], flow.index.size, **document), flow)


def _add(step: Step, flow: Flow, numbers: Array, *, left: bool) -> Flow:  # noqa: ARG001 - either side is the same
    return scaled(step, flow, shift=numbers)


def _multiply(step: Step, flow: Flow, numbers: Array, *, left: bool) -> Flow:  # noqa: ARG001 - as above
    return scaled(step, flow, scale=numbers)


def _raise(step: Step, flow: Flow, numbers: Array, *, left: bool) -> Flow:  # noqa: ARG001 - as above
    return layered(step, flow, kind="clip", low=numbers)


def _lower(step: Step, flow: Flow, numbers: Array, *, left: bool) -> Flow:  # noqa: ARG001 - as above
    return layered(step, flow, kind="clip", high=numbers)


def _subtract(step: Step, flow: Flow, numbers: Array, *, left: bool) -> Flow:
    if left:
        return scaled(step, flow, scale=-np.ones_like(numbers), shift=numbers)
    return scaled(step, flow, shift=-numbers)


def _divide(step: Step, flow: Flow, numbers: Array, *, left: bool) -> Flow:
    if left:
        return scaled(step, applied(step, flow, "1 / x"), scale=numbers)
    return scaled(step, flow, scale=1 / numbers)


class _OnColumns(Protocol):
    def __call__(self, step: Step, flow: Flow, numbers: Array, *, left: bool) -> Flow: ...


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
"""How a layer joins each element with a constant of its own."""


def _fitting(step: Step, flows: Sequence[Flow]) -> list[Flow]:
    """Repeat elements until all tensors have one shape."""
    from_right = {None if flow.rows is None else len(flow.shape) - flow.rows for flow in flows}
    if len(from_right) > 1:
        raise Refused("joins tensors whose rows are not the same axis")
    try:
        shape = np.broadcast_shapes(*(flow.shape for flow in flows))
    except ValueError:
        raise Refused(f"joins tensors of the shapes {', '.join(str(list(flow.shape)) for flow in flows)}") from None
    fitted = (broadcast(step, flow, shape) for flow in flows)
    return [flow for flow in fitted if isinstance(flow, Flow)]


def _merged(step: Step, merge: str, flows: Sequence[Flow]) -> Flow:
    """Join tensors element by element, in one layer that reads each as a layer of its own."""
    settled = [step.draft.settle(flow, step.hint) for flow in flows]
    name = step.draft.layer(step.hint, settled, flows[0].index.size, merge=merge, kind="scale_shift")
    return step.draft.like(name, flows[0])


def _minus(step: Step, flow: Flow) -> Flow:
    return applied(step, flow, "-x")


_BOTH: Final[Mapping[str, Callable[[Step, Flow, Flow], Flow]]] = MappingProxyType(
    {
        "Add": lambda step, one, other: _merged(step, "sum", [one, other]),
        "Sum": lambda step, one, other: _merged(step, "sum", [one, other]),
        "Sub": lambda step, one, other: _merged(step, "sum", [one, _minus(step, other)]),
        "Mul": lambda step, one, other: _merged(step, "multiply", [one, other]),
        "Div": lambda step, one, other: _merged(step, "multiply", [one, applied(step, other, "1 / x")]),
        "Max": lambda step, one, other: _merged(step, "max", [one, other]),
        "Min": lambda step, one, other: _minus(step, _merged(step, "max", [_minus(step, one), _minus(step, other)])),
        "And": lambda step, one, other: _merged(step, "multiply", [one, other]),
        "Or": lambda step, one, other: _merged(step, "max", [one, other]),
        "Xor": lambda step, one, other: applied(step, _merged(step, "sum", [one, other]), "x == 1", kind="bool"),
    }
)
"""How layers join two tensors that are not functions of the same nodes."""


def _compared(step: Step, op: str, one: Flow, other: Flow) -> Flow:
    if op not in _COMPARISONS:
        raise Refused(f"joins two tensors by {op}, for which there is no layer")
    difference = _merged(step, "sum", [one, _minus(step, other)])
    return applied(step, difference, f"x {_SYMBOLS[op]} 0", kind="bool")


def _clip(step: Step) -> Result:
    """Bound by `min` and `max`, attributes before operator set 11; the later wins where they cross."""
    value = step.value(0)
    for place, (name, op) in enumerate((("min", "Max"), ("max", "Min")), start=1):
        bound = step.value(place) if step.has(place) else None
        if bound is None and name in step.attributes:
            bound = Constant(array=np.array(step.attributes[name], np.float32))
        if bound is not None:
            value = combined(step, op, value, bound)
    return value


def _prelu(step: Step) -> Result:
    flow, slopes = step.number_flow(0), step.constant(1)
    flow = fit(step, flow, slopes)
    numbers = columns_of(flow, slopes)
    if (numbers == numbers[:1]).all():
        slope = float(numbers[0])
        short = float(str(numbers[0]))
        activation = {"name": "prelu", "slope": short}
        return applied(step, flow, "where(x > 0, x, slope * x)", activation=activation, slope=slope)
    flow = step.draft.settle(flow, step.hint)
    below = scaled(step, applied(step, flow, "min(x, 0)"), scale=numbers)
    return _merged(step, "sum", [applied(step, flow, "relu(x)"), below])


def _where(step: Step) -> Result:
    """Choose one of two, by a condition of the same nodes as they are, or constants."""
    values = [step.value(place) for place in range(3)]
    flows = [value for value in values if isinstance(value, Flow)]
    if not flows:
        condition, one, other = (numbers_of(value) for value in values if isinstance(value, Constant))
        return Constant(array=np.where(condition, one, other))
    if isinstance(values[0], Constant) and len(flows) == 2:
        return _chosen(step, numbers_of(values[0]), flows)
    sizes = np.broadcast_shapes(*(value.shape for value in values))
    fitted = [broadcast(step, value, sizes) if isinstance(value, Flow) else value for value in values]
    first = next(value for value in fitted if isinstance(value, Flow))
    parts = []
    for value in fitted:
        if isinstance(value, Constant):
            parts.append(literal(_only(numbers_of(value)), first.kind))
        elif value.same_columns(first):
            parts.append(value.function or IDENTITY)
        else:
            raise Refused("chooses between tensors of different nodes, for which there is no layer")
    function = call("where", as_condition(parts[0]), as_number(parts[1]), as_number(parts[2]))
    if function.parts > MAX_PARTS:
        raise Refused("chooses between functions that are too long for one expression")
    kind = next((value.kind for value in values[1:] if isinstance(value, Flow)), values[1].kind)
    return replace(first, function=function, kind=kind)


def _chosen(step: Step, condition: Array, flows: Sequence[Flow]) -> Flow:
    """Choose elements of two tensors by constants, which no layer is needed for."""
    one, other = _fitting(step, [fit(step, flow, condition) for flow in flows])
    axis = len(one.shape)
    wide = [replace(flow, index=flow.index[..., None]) for flow in (one, other)]
    both = joined(step, wide, axis)
    return replace(both, index=np.where(condition, both.index[..., 0], both.index[..., 1]))


def _only(array: Array) -> float:
    numbers = array.astype(np.float64).ravel()
    if not numbers.size or not (numbers == numbers[0]).all() or not np.isfinite(numbers[0]):
        raise Refused("chooses constants that differ from element to element; only a single finite one can stand there")
    return float(numbers[0])


MERGING: Final[Mapping[str, Reader]] = MappingProxyType(
    {
        **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Pow", *_COMPARISONS, *_LOGICAL), _binary),
        **dict.fromkeys(("Sum", "Mean", "Max", "Min"), _variadic),
        "Clip": _clip,
        "PRelu": _prelu,
        "Where": _where,
    }
)
"""What reads each operator that joins tensors element by element."""
