"""Values of inputs, nodes and outputs in the words that people have for them."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from forwardpass.render.graphs.values import State
from forwardpass.render.numerals import percent, short
from forwardpass.spec.network import Output
from forwardpass.tensors import Array

if TYPE_CHECKING:
    from forwardpass.render.graphs.sources import AnyFeature

_DEAD: Final = frozenset({"relu", "relu6"})
_RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "sigmoid": (0.0, 1.0),
    "hard_sigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0),
    "relu6": (-math.inf, 6.0),
}
"""The open or closed ends of functions that flatten there."""
_NEAR: Final = 0.01
_MAX_NAME: Final = 48
_PROBABILITIES: Final = frozenset({"softmax", "sparsemax", "sigmoid"})


def clip(name: str) -> str:
    """Return a name for a text of several lines: its first 48 characters, where it is longer."""
    return name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 1]}…"


def function_name(function: str) -> str:
    """Return the name of a function without its parameters."""
    return function.partition("(")[0]


def gives_probabilities(function: str) -> bool:
    """Return whether the values of a classifier's outputs are probabilities."""
    return function_name(function) in _PROBABILITIES


def states(function: str, before: Array | None, after: Array) -> list[State]:
    """Return whether each node is dead or saturated."""
    name = function_name(function)
    found: list[State] = ["plain"] * len(after)
    low, high = _RANGES.get(name, (-math.inf, math.inf))
    margin = _NEAR * (high - low if math.isfinite(high - low) else abs(high) if math.isfinite(high) else 0.0)
    for index, value in enumerate(after.tolist()):
        if name in _DEAD and value == 0 and (before is None or before[index] <= 0):
            found[index] = "dead"
        elif value >= high - margin or value <= low + margin:
            found[index] = "saturated"
    return found


def input_value(value: float, feature: "AnyFeature | None") -> str:
    """Return an input as the caller knows it: with its unit, as a category, as true or false."""
    if feature is None:
        return short(value)
    if math.isnan(value):
        return "missing"
    return raw_value(value * feature.scale + feature.mean, feature)


def raw_value(value: float, feature: "AnyFeature") -> str:
    """Return an input before standardization with its unit, as a category, as true or false."""
    return _FEATURE_KINDS[feature.kind](value, feature)


def _number(raw: float, feature: "AnyFeature") -> str:
    # Standardization and back leave noise in the last digits; short() cuts it off.
    rounded = float(f"{raw:.6g}")
    return f"{short(rounded)} {feature.unit}".strip()


def _category(raw: float, feature: "AnyFeature") -> str:
    index = round(raw)
    return feature.categories[index] if 0 <= index < len(feature.categories) else short(raw)


_FEATURE_KINDS: Final[Mapping[str, Callable[[float, "AnyFeature"], str]]] = {
    "number": _number,
    "category": _category,
    "boolean": lambda raw, _feature: {0: "false", 1: "true"}.get(round(raw), short(raw)),
}


def output_value(value: float, output: Output | None, *, is_probability: bool) -> str:
    """Return an output with its unit, or a probability as a percentage."""
    if is_probability:
        return percent(value)
    return short(value) if output is None or not output.unit else f"{short(value)} {output.unit}"


def node_value(before: float | None, after: float) -> str:
    """Return a node's weighted sum and its activation, once where they read the same."""
    if before is None or short(before) == short(after):
        return short(after)
    return f"{short(before, 3)} → {short(after, 3)}"


def terms(names: Sequence[str], numbers: Array, most: int) -> list[str]:
    """Return the largest numbers with their names, one in a line, and the sum of the others."""
    order = np.argsort(-np.abs(numbers), kind="stable")
    lines = [f"{clip(names[index])}: {short(numbers[index])}" for index in order[:most].tolist()]
    if len(order) > most:
        lines.append(f"{len(order) - most:,} others: {short(float(numbers[order[most:]].sum()))}")
    return lines
