"""The canonical text of an expression: each tree has one, and parsing it gives the tree again."""

from forwardpass.spec.expressions.grammar import (
    NEGATIVE,
    OPERATORS,
    PREFIXES,
    Expression,
    Name,
    Number,
)


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
