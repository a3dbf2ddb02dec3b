"""Activations as ONNX nodes: the named ones by their formulas, and custom expressions."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.onnx_form.graph_writer import GraphWriter
from forwardpass.spec import Activation, expressions
from forwardpass.spec.activations import ACTIVATIONS
from forwardpass.spec.expressions.grammar import VARIABLE

_OVER_NODES: Final[Mapping[str, str]] = MappingProxyType({"softmax": "Softmax", "log_softmax": "LogSoftmax"})
"""The operator for each activation over all nodes of a layer."""

_OPERATORS_OF: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = MappingProxyType(
    {
        "leaky_relu": ("LeakyRelu", {"alpha": "negative_slope"}),
        "prelu": ("LeakyRelu", {"alpha": "slope"}),
        "elu": ("Elu", {"alpha": "alpha"}),
        "celu": ("Celu", {"alpha": "alpha"}),
        "softsign": ("Softsign", {}),
        "hard_swish": ("HardSwish", {}),
    }
)
"""The operator for each activation in float32, with the names of its attributes. In float64 the attributes
have too few digits, or onnxruntime lacks the operator."""

_OPERATORS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "or": "Or",
        "and": "And",
        "not": "Not",
        "<": "Less",
        "<=": "LessOrEqual",
        ">": "Greater",
        ">=": "GreaterOrEqual",
        "==": "Equal",
        "+": "Add",
        "-": "Sub",
        "*": "Mul",
        "/": "Div",
        "**": "Pow",
        "neg": "Neg",
        "where": "Where",
        "min": "Min",
        "max": "Max",
        "abs": "Abs",
        "sqrt": "Sqrt",
        "exp": "Exp",
        "log": "Log",
        "sin": "Sin",
        "cos": "Cos",
        "tanh": "Tanh",
        "asin": "Asin",
        "acos": "Acos",
        "atan": "Atan",
        "floor": "Floor",
        "ceil": "Ceil",
        "round": "Round",
        "erf": "Erf",
        "relu": "Relu",
        "sigmoid": "Sigmoid",
    }
)
"""The operator for each function of the expression grammar."""


def add_activation(graph: GraphWriter, activation: Activation, x: str, nodes: int, output: str) -> None:
    """Compute an activation of pre-activations.

    Args:
        graph: The graph.
        activation: The function.
        x: The pre-activations, `(rows, nodes)`.
        nodes: The number of nodes.
        output: The name of the activations.
    """
    if activation.name in _OVER_NODES:
        graph.add(_OVER_NODES[activation.name], x, axis=1, output=output)
        return
    if activation.name == "sparsemax":
        add_sparsemax(graph, x, nodes)
        graph.call_last(output)
        return
    own = _OPERATORS_OF.get(activation.name) if graph.dtype == "float32" else None
    if own is not None:
        operator, names = own
        attributes: dict[str, Any] = {theirs: activation.parameters[ours] for theirs, ours in names.items()}
        graph.add(operator, x, output=output, **attributes)
        return
    text = activation.expression or ACTIVATIONS[activation.name].expression
    parameters = activation.parameters
    tree = expressions.fold(expressions.parse(text, parameters), parameters, graph.dtype)
    if tree == VARIABLE:
        graph.add("Identity", x, output=output)
    else:
        add_expression(graph, tree, x=x)
        graph.call_last(output)


def add_sparsemax(graph: GraphWriter, x: str, size: int) -> str:
    """Add the nodes of sparsemax along the last axis, of a size, and return its name.

    With the distances d below the largest, ascending, it is `max(s - d, 0)` with the smallest of all `s = (1 + d_1 +
    ... + d_k) / k`.
    """
    below = graph.add("Sub", graph.add("ReduceMax", x, axes=[-1], keepdims=1), x)
    ordered = graph.add("TopK", below, graph.sizes([size]), unread=1, axis=-1, largest=0, sorted=1)
    sums = graph.add("Add", graph.add("CumSum", ordered, graph.indices(np.array(-1))), graph.number(1.0))
    thresholds = graph.add("Div", sums, graph.numbers(np.arange(1, size + 1)))
    least = graph.add("ReduceMin", thresholds, axes=[-1], keepdims=1)
    # A NaN makes all values NaN; onnxruntime's TopK and ReduceMin may pass over it.
    unknown = graph.add("Where", graph.add("IsNaN", below), below, graph.number(0.0))
    least = graph.add("Add", least, graph.add("ReduceSum", unknown, graph.sizes([-1]), keepdims=1))
    above = graph.add("Sub", least, below)
    zero = graph.number(0.0)
    return graph.add("Where", graph.add("Less", above, zero), zero, above)


def add_expression(graph: GraphWriter, tree: Any, **variables: str) -> str:
    """Add the nodes of a folded expression of some variables, and return its name."""
    if isinstance(tree, str):
        return variables[tree]
    if not isinstance(tree, tuple):
        return graph.number(tree)
    function, *operands = tree
    parts = [add_expression(graph, operand, **variables) for operand in operands]
    if function in _OPERATORS:
        return graph.add(_OPERATORS[function], *parts)
    return _COMPOSED[function](graph, *parts)


def _different(graph: GraphWriter, x: str, y: str) -> str:
    return graph.add("Not", graph.add("Equal", x, y))


def _clip(graph: GraphWriter, x: str, low: str, high: str) -> str:
    return graph.add("Min", graph.add("Max", x, low), high)


def _mod(graph: GraphWriter, x: str, y: str) -> str:
    """The remainder with the sign of y, from that with the sign of x, which is what `Mod` computes of floats."""
    rest = graph.add("Mod", x, y, fmod=1)
    zero = graph.number(0.0)
    opposite = graph.add("Xor", graph.add("Less", rest, zero), graph.add("Less", y, zero))
    moved = graph.add("And", opposite, _different(graph, rest, zero))
    return graph.add("Where", moved, graph.add("Add", rest, y), rest)


def _expm1(graph: GraphWriter, x: str) -> str:
    """`exp(x) - 1` as `tanh(x / 2) * (exp(x) + 1)`, which keeps its digits near 0."""
    half = graph.add("Tanh", graph.add("Mul", x, graph.number(0.5)))
    return graph.add("Mul", half, graph.add("Add", graph.add("Exp", x), graph.number(1.0)))


def _log1p(graph: GraphWriter, x: str) -> str:
    """`log(1 + x)` with its digits near 0, as `log(u) * x / (u - 1)` of the rounded `u = 1 + x`.

    Goldberg, "What every computer scientist should know about floating-point arithmetic", theorem 4.
    """
    one = graph.number(1.0)
    u = graph.add("Add", x, one)
    log, back = graph.add("Log", u), graph.add("Sub", u, one)
    corrected = graph.add("Div", graph.add("Mul", log, x), back)
    small = graph.add("Where", graph.add("Equal", u, one), x, corrected)
    return graph.add("Where", graph.add("Equal", back, x), log, small)


def _erfc(graph: GraphWriter, x: str) -> str:
    return graph.add("Sub", graph.number(1.0), graph.add("Erf", x))


def _softplus(graph: GraphWriter, x: str) -> str:
    if graph.dtype == "float32":  # onnxruntime has no other
        return graph.add("Softplus", x)
    small = graph.add("Exp", graph.add("Neg", graph.add("Abs", x)))
    return graph.add("Add", graph.add("Relu", x), _log1p(graph, small))


_COMPOSED: Final[Mapping[str, Callable[..., str]]] = MappingProxyType(
    {
        "!=": _different,
        "clip": _clip,
        "mod": _mod,
        "expm1": _expm1,
        "log1p": _log1p,
        "erfc": _erfc,
        "softplus": _softplus,
    }
)
"""The nodes for each function of the grammar that is no single operator."""
