"""The words of the grammar, their meaning for one number, the tree of an expression, and its canonical text.

Each tree has one canonical text, and parsing that text gives the tree again.

Operators bind as in Python: `-x ** 2` is `-(x ** 2)`, and `a ** b ** c` is `a ** (b ** c)`.
"""

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, TypeAlias

from forwardpass.spec.faults import found, quoted

MAX_LENGTH: Final = 1_000
"""The most characters of a text, as given and in its canonical form."""

MAX_PARTS: Final = 200
"""The most numbers, names, operators and calls of an expression."""

MAX_DEPTH: Final = 64
"""The deepest nesting of parentheses, calls and operators."""

MAX_PARAMETERS: Final = 16

NAME: Final = r"[A-Za-z_][A-Za-z0-9_]{0,63}"
"""The form of a parameter's name; words of the grammar are excluded."""

VARIABLE: Final = "x"

NEGATIVE: Final = "neg"
"""The name of unary minus in the tree, which no text can contain."""


class ExpressionError(ValueError):
    """An expression breaks the grammar, or has a part without a value."""

    def __init__(self, column: int, problem: str) -> None:
        super().__init__(f"at column {column}: {problem}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Number:
    """A number.

    Attributes:
        value: Finite, not negative.
        column: Where in the text it begins, from 1; no part of what is compared, here and below.
    """

    value: float
    column: int = field(compare=False, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Name:
    """`x`, a constant or a parameter."""

    word: str
    column: int = field(compare=False, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A function or operator and its operands."""

    function: str
    operands: "tuple[Expression, ...]"
    column: int = field(compare=False, repr=False)


Expression: TypeAlias = Number | Name | Call


@dataclass(frozen=True, kw_only=True, slots=True)
class Function:
    """A function that is called by its name.

    Attributes:
        operands: How many it takes.
        compute: Its value for Python floats; raises ValueError or OverflowError where it has none.
    """

    operands: int
    compute: Callable[..., float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Operator:
    """An operator.

    Attributes:
        level: How tightly it binds; the higher, the tighter.
        left: The level that its left operand needs to stand without parentheses.
        right: The same for the right operand, or the only one.
        compute: Its value for Python floats, or booleans.
    """

    level: int
    left: int
    right: int
    compute: Callable[..., float | bool]


def _sigmoid(x: float) -> float:
    small = math.exp(-abs(x))
    return (1.0 if x >= 0 else small) / (1.0 + small)


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


CONSTANTS: Final[Mapping[str, float]] = MappingProxyType({"e": math.e, "pi": math.pi})

FUNCTIONS: Final[Mapping[str, Function]] = MappingProxyType(
    {
        "where": Function(operands=3, compute=lambda condition, x, y: x if condition else y),
        "min": Function(operands=2, compute=min),
        "max": Function(operands=2, compute=max),
        "clip": Function(operands=3, compute=lambda x, low, high: min(max(x, low), high)),
        "abs": Function(operands=1, compute=abs),
        "sqrt": Function(operands=1, compute=math.sqrt),
        "exp": Function(operands=1, compute=math.exp),
        "expm1": Function(operands=1, compute=math.expm1),
        "log": Function(operands=1, compute=math.log),
        "log1p": Function(operands=1, compute=math.log1p),
        "sin": Function(operands=1, compute=math.sin),
        "cos": Function(operands=1, compute=math.cos),
        "tanh": Function(operands=1, compute=math.tanh),
        "asin": Function(operands=1, compute=math.asin),
        "acos": Function(operands=1, compute=math.acos),
        "atan": Function(operands=1, compute=math.atan),
        "floor": Function(operands=1, compute=lambda x: float(math.floor(x))),
        "ceil": Function(operands=1, compute=lambda x: float(math.ceil(x))),
        "round": Function(operands=1, compute=lambda x: float(round(x))),
        "mod": Function(operands=2, compute=operator.mod),
        "erf": Function(operands=1, compute=math.erf),
        "erfc": Function(operands=1, compute=math.erfc),
        "relu": Function(operands=1, compute=lambda x: max(x, 0.0)),
        "sigmoid": Function(operands=1, compute=_sigmoid),
        "softplus": Function(operands=1, compute=_softplus),
    }
)

COMPARISON: Final = 4
OPERATORS: Final[Mapping[str, Operator]] = MappingProxyType(
    {
        "or": Operator(level=1, left=1, right=2, compute=operator.or_),
        "and": Operator(level=2, left=2, right=3, compute=operator.and_),
        "<": Operator(level=COMPARISON, left=5, right=5, compute=operator.lt),
        "<=": Operator(level=COMPARISON, left=5, right=5, compute=operator.le),
        ">": Operator(level=COMPARISON, left=5, right=5, compute=operator.gt),
        ">=": Operator(level=COMPARISON, left=5, right=5, compute=operator.ge),
        "==": Operator(level=COMPARISON, left=5, right=5, compute=operator.eq),
        "!=": Operator(level=COMPARISON, left=5, right=5, compute=operator.ne),
        "+": Operator(level=5, left=5, right=6, compute=operator.add),
        "-": Operator(level=5, left=5, right=6, compute=operator.sub),
        "*": Operator(level=6, left=6, right=7, compute=operator.mul),
        "/": Operator(level=6, left=6, right=7, compute=operator.truediv),
        "**": Operator(level=8, left=9, right=7, compute=math.pow),
    }
)
"""The operators between two operands."""

PREFIXES: Final[Mapping[str, Operator]] = MappingProxyType(
    {
        "not": Operator(level=3, left=0, right=3, compute=operator.not_),
        NEGATIVE: Operator(level=7, left=0, right=7, compute=operator.neg),
    }
)
"""The operators before one operand, by their names in the tree."""

LOGICAL: Final = frozenset({"and", "or", "not"})
_COMPARISONS: Final = frozenset(symbol for symbol, known in OPERATORS.items() if known.level == COMPARISON)
_RESERVED: Final = frozenset({VARIABLE, *CONSTANTS, *FUNCTIONS, *LOGICAL})


def is_condition(part: Expression) -> bool:
    """Return whether a part is a condition, true or false, rather than a number."""
    return isinstance(part, Call) and part.function in LOGICAL | _COMPARISONS


def takes_condition(function: str, index: int) -> bool:
    """Return whether an operand of a function must be a condition rather than a number."""
    return function in LOGICAL or (function == "where" and index == 0)


def parameter_fault(name: object) -> str | None:
    """Return why a parameter cannot have a name, or None."""
    if not isinstance(name, str) or not re.fullmatch(NAME, name):
        shown = quoted(name) if isinstance(name, str) else found(name)
        return f"{shown} is not a name for a parameter; it needs letters, digits and underscores, at most 64"
    if name in _RESERVED:
        return f"{quoted(name)} is a word of the grammar; rename the parameter"
    return None


def parameters_of(part: Expression) -> set[str]:
    """Return the names in an expression that are neither `x` nor constants."""
    if isinstance(part, Call):
        return set().union(*map(parameters_of, part.operands))
    return {part.word} - _RESERVED if isinstance(part, Name) else set()


def show(part: Expression) -> str:
    """Write a tree with one space around each operator between two operands, and no needless parentheses."""
    return _show(part, 0)


def _show(part: Expression, level: int) -> str:
    """Write a part, in parentheses where it binds less tightly than a precedence."""
    if isinstance(part, Number):
        return repr(part.value).removesuffix(".0")
    if isinstance(part, Name):
        return part.word
    known = OPERATORS.get(part.function) or PREFIXES.get(part.function)
    if known is None:
        return f"{part.function}({', '.join(map(show, part.operands))})"
    right = _show(part.operands[-1], known.right)
    if part.function == NEGATIVE:
        text = f"-{right}"
    elif part.function in PREFIXES:
        text = f"{part.function} {right}"
    else:
        text = f"{_show(part.operands[0], known.left)} {part.function} {right}"
    return text if known.level >= level else f"({text})"
