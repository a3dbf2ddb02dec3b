"""Pending functions of one element: expression trees over `x` that grow node by node."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.spec import expressions
from forwardpass.spec.expressions.grammar import NEGATIVE, VARIABLE, Call, Expression, Name, Number, is_condition

MAX_PARTS: Final = 50
"""The size at which a tree becomes a layer, far below the limit of an expression."""

X: Final = Name(word=VARIABLE, column=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class PendingFunction:
    """A function of one element.

    Attributes:
        tree: The expression of `x`.
        parts: The number of parts of the tree.
        activation: The activation that is the same, or None.
    """

    tree: Expression
    parts: int
    activation: Any = field(default=None, hash=False)

    @property
    def is_condition(self) -> bool:
        """Whether its value is a boolean."""
        return is_condition(self.tree)

    def document(self) -> Any:
        """Return the activation in the form of a spec."""
        if self.activation is not None:
            return self.activation
        text = expressions.show(as_number(self).tree)
        return _KNOWN.get(text, {"expression": text})


IDENTITY: Final = PendingFunction(tree=X, parts=1)

PLAIN: Final = frozenset({"relu", "tanh", "sigmoid", "softplus", "exp", "sin", "cos"})
"""Functions of the expression grammar that are activations of the same name."""

_KNOWN: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{f"{name}(x)": name for name in PLAIN},
        "x * sigmoid(x)": "silu",
        "sigmoid(x) * x": "silu",
        "x * tanh(softplus(x))": "mish",
        "x * x": "square",
        "x ** 2": "square",
    }
)
"""The activation of each expression that exporters write in one or several nodes."""


def literal(value: float, kind: str) -> PendingFunction:
    """Return a number as a tree, with the fewest digits that identify it in the element type."""
    number = float(np.format_float_scientific(np.float32(value))) if kind == "float32" else float(value)
    tree: Expression = Number(value=abs(number), column=0)
    if number < 0:
        return PendingFunction(tree=Call(function=NEGATIVE, operands=(tree,), column=0), parts=2)
    return PendingFunction(tree=tree, parts=1)


def template(text: str, **words: PendingFunction) -> PendingFunction:
    """Return the tree of an expression with functions substituted for its words; `x` stays where it is not given."""
    trees = {word: function.tree for word, function in words.items()}
    tree = _parsed(text, frozenset(trees))
    sizes = {word: function.parts for word, function in words.items()}
    return PendingFunction(tree=_replaced(tree, trees), parts=_parts(tree, sizes))


@lru_cache(maxsize=256)
def _parsed(text: str, words: frozenset[str]) -> Expression:
    return expressions.parse(text, dict.fromkeys(words - {VARIABLE}, 0.0))


def condition(text: str, **words: PendingFunction) -> PendingFunction:
    """Return the tree of a condition with functions substituted for its words."""
    whole = template(f"where({text}, 1, 0)", **words)
    tree = whole.tree.operands[0] if isinstance(whole.tree, Call) else whole.tree
    return PendingFunction(tree=tree, parts=whole.parts - 3)


def call(function: str, *operands: PendingFunction) -> PendingFunction:
    """Return the tree of a function or operator applied to functions."""
    tree = Call(function=function, operands=tuple(operand.tree for operand in operands), column=0)
    return PendingFunction(tree=tree, parts=1 + sum(operand.parts for operand in operands))


def as_number(function: PendingFunction) -> PendingFunction:
    """Return a condition as 1 or 0, and a number as it is."""
    return call("where", function, _ONE, _ZERO) if function.is_condition else function


def as_condition(function: PendingFunction) -> PendingFunction:
    """Return a number as the condition that it is not 0, and a condition as it is."""
    return function if function.is_condition else call("!=", function, _ZERO)


_ZERO: Final = literal(0.0, "float64")
_ONE: Final = literal(1.0, "float64")


def _affine(tree: Expression) -> tuple[float | None, float | None] | None:
    """Return scale and shift of `x * scale` or `x + shift`, the other being None; None for other functions."""
    scale = _operand(tree, "*")
    if scale is not None:
        return scale, None
    shift = _operand(tree, "+")
    if shift is not None:
        return None, shift
    if isinstance(tree, Call) and tree.function == "-" and tree.operands[0] == X:
        value = _value(tree.operands[1])
        return None if value is None else (None, -value)
    return None


def scaled(function: PendingFunction) -> tuple[float | None, float | None, str] | None:
    """Return scale, shift and activation of `f(x * scale + shift)`, or None for other functions."""
    tree = function.tree
    activation = "identity"
    if isinstance(tree, Call) and tree.function in PLAIN:
        activation, tree = tree.function, tree.operands[0]
    found = _affine(tree)
    return None if found is None else (*found, activation)


def _operand(tree: Expression, operator: str) -> float | None:
    """Return the number that is added to `x` or multiplied by it."""
    if isinstance(tree, Call) and tree.function == operator and X in tree.operands:
        one, other = tree.operands
        return _value(other if one == X else one)
    return None


def _value(tree: Expression) -> float | None:
    if isinstance(tree, Call) and tree.function == NEGATIVE:
        value = _value(tree.operands[0])
        return None if value is None else -value
    return tree.value if isinstance(tree, Number) else None


def _replaced(tree: Expression, words: Mapping[str, Expression]) -> Expression:
    if isinstance(tree, Name):
        return words.get(tree.word, tree)
    if isinstance(tree, Call):
        operands = tuple(_replaced(operand, words) for operand in tree.operands)
        return Call(function=tree.function, operands=operands, column=0)
    return tree


def _parts(tree: Expression, words: Mapping[str, int]) -> int:
    if isinstance(tree, Name):
        return words.get(tree.word, 1)
    return 1 + sum(_parts(operand, words) for operand in tree.operands) if isinstance(tree, Call) else 1
