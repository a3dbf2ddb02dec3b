"""Activation functions of a network's own, as expressions over `x` in a closed grammar: nothing is ever executed."""

from forwardpass.spec.expressions.folding import Folded, fold
from forwardpass.spec.expressions.grammar import (
    FUNCTIONS,
    MAX_LENGTH,
    MAX_PARAMETERS,
    NAME,
    Expression,
    ExpressionError,
    parameter_fault,
    parameters_of,
)
from forwardpass.spec.expressions.parser import parse
from forwardpass.spec.expressions.printer import show

__all__ = [
    "FUNCTIONS",
    "MAX_LENGTH",
    "MAX_PARAMETERS",
    "NAME",
    "Expression",
    "ExpressionError",
    "Folded",
    "fold",
    "parameter_fault",
    "parameters_of",
    "parse",
    "show",
]
