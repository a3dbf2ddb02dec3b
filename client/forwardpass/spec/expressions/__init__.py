"""Activation functions as expressions over `x` in a closed grammar; they are parsed, never executed as Python."""

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
    show,
)
from forwardpass.spec.expressions.parser import parse

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
