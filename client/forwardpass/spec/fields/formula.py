"""The expression of an elementwise layer: a function of the parts x, y and z of what the layer reads."""

from typing import Annotated, Final, TypeAlias

from pydantic import PlainValidator, ValidationInfo, WithJsonSchema

from forwardpass.spec import expressions
from forwardpass.spec.faults import found
from forwardpass.spec.fields.base import Context, refuse

OPERANDS: Final = ("x", "y", "z")
"""The names of the parts."""


def count_operands(text: object) -> int | None:
    """Return how many parts an expression reads, or None where it is not right."""
    try:
        return _count(expressions.parse(text, OPERANDS[1:])) if isinstance(text, str) else None
    except expressions.ExpressionError:
        return None


def fold_formula(text: str, dtype: str) -> expressions.Folded:
    """Return the tree of an expression over the parts, with constants folded.

    Raises:
        ExpressionError: It is not right, or has a part without a value.
    """
    return expressions.fold(expressions.parse(text, OPERANDS[1:]), {}, dtype, OPERANDS)


def _count(tree: expressions.Expression) -> int:
    """Return the number of parts up to the last one that is read; x is read always."""
    read = expressions.parameters_of(tree)
    return 3 if "z" in read else 2 if "y" in read else 1


def _formula(value: object, info: "ValidationInfo[Context]") -> str:
    if not isinstance(value, str):
        refuse([((), f'is {found(value)}; must be a text such as "where(x > y, 1, 0)"')])
    try:
        tree = expressions.parse(value, OPERANDS[1:])
        expressions.fold(tree, {}, info.context.dtype, OPERANDS)
    except expressions.ExpressionError as error:
        refuse([((), str(error))])
    if "z" in (read := expressions.parameters_of(tree)) and "y" not in read:
        refuse([((), "reads z and not y; call the second part y")])
    return expressions.show(tree)


Formula: TypeAlias = Annotated[
    str,
    PlainValidator(_formula),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": expressions.MAX_LENGTH}),
]
