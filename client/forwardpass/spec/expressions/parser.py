"""Parse the text of an expression to its tree. Length, parts and depth are bounded before anything grows with them."""

import re
from collections.abc import Collection, Iterator
from typing import Final, NamedTuple

from forwardpass.spec.expressions.grammar import (
    COMPARISON,
    CONSTANTS,
    FUNCTIONS,
    LOGICAL,
    MAX_DEPTH,
    MAX_LENGTH,
    MAX_PARTS,
    NEGATIVE,
    OPERATORS,
    PREFIXES,
    VARIABLE,
    Call,
    Expression,
    ExpressionError,
    Name,
    Number,
    is_condition,
    show,
    takes_condition,
)
from forwardpass.spec.faults import nearest, quoted

_TOKEN: Final = re.compile(
    r"(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<symbol>\*\*|<=|>=|==|!=|[-+*/<>(),])"
    r"|(?P<space>[ \t\r\n]+)"
)
_MEANT: Final = {
    "^": "**",
    "\u00d7": "*",
    "\u00b7": "*",
    "\u00f7": "/",
    "\u2212": "-",
    "\u2013": "-",
    "\u2264": "<=",
    "\u2265": ">=",
    "\u2260": "!=",
    "\u03c0": "pi",
    "=": "==",
    "&": "and",
    "|": "or",
    "!": "not",
    "[": "(",
    "]": ")",
}
"""Characters that people may write, with the words of the grammar that they mean."""


class _Token(NamedTuple):
    """A word of the text: its kind (empty at the end), its text, and its column from 1."""

    kind: str
    text: str
    column: int


def parse(text: str, parameters: Collection[str] = ()) -> Expression:
    """Read an expression.

    Args:
        text: At most `MAX_LENGTH` characters.
        parameters: The names that it may use besides `x` and the constants.

    Raises:
        ExpressionError: The text is not of the grammar, too long, or does not read `x`.
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionError(1, f"has {len(text)} characters; at most {MAX_LENGTH} are allowed")
    parser = _Parser(text, parameters)
    tree = parser.whole()
    if is_condition(tree):
        raise ExpressionError(1, "is a condition, not a number; write where(condition, 1, 0)")
    if not parser.reads_variable:
        raise ExpressionError(1, "does not read x, so that every node would have the same value")
    kept = len(show(tree))
    if kept > MAX_LENGTH:
        raise ExpressionError(1, f"has {kept} characters in canonical form; at most {MAX_LENGTH} are allowed")
    return tree


def _tokens(text: str) -> Iterator[_Token]:
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            character = text[place]
            meant = f"; did you mean {quoted(_MEANT[character])}?" if character in _MEANT else ""
            what = f"{quoted(character)} (U+{ord(character):04X}) is not of the grammar{meant}"
            raise ExpressionError(place + 1, what)
        if match.lastgroup is not None and match.lastgroup != "space":
            yield _Token(match.lastgroup, match[0], place + 1)
        place = match.end()
    yield _Token("", "", len(text) + 1)


class _Parser:
    """Precedence climbing: each operator takes operands that bind at least as tightly as it needs.

    Attributes:
        reads_variable: Whether `x` was read.
    """

    def __init__(self, text: str, parameters: Collection[str]) -> None:
        self.reads_variable = False
        self._tokens = list(_tokens(text))
        self._place = 0
        self._parts = 0
        self._depth = 0
        self._names = (VARIABLE, *CONSTANTS, *parameters)

    def whole(self) -> Expression:
        """Read the whole text."""
        tree = self._operation(0)
        token = self._take()
        if token.kind:
            raise ExpressionError(token.column, f"{quoted(token.text)} is too much; an operator is needed, or the end")
        return tree

    def _operation(self, level: int) -> Expression:
        """Read operands and the operators between them that have at least a precedence."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            column = self._tokens[self._place].column
            raise ExpressionError(column, f"is nested too deeply; at most {MAX_DEPTH} levels are allowed")
        left = self._operand()
        while True:
            token = self._tokens[self._place]
            known = OPERATORS.get(token.text)
            if known is None or known.level < level:
                break
            self._place += 1
            if known.level == COMPARISON and is_condition(left):
                raise ExpressionError(token.column, "comparisons cannot be chained; write a < b and b < c")
            left = self._call(token, (left, self._operation(known.right)))
        self._depth -= 1
        return left

    def _operand(self) -> Expression:
        token = self._take()
        if token.kind == "number":
            self._count(token)
            value = float(token.text)
            if value == float("inf"):
                raise ExpressionError(token.column, f"{quoted(token.text)} is beyond the largest float64")
            return Number(value=value, column=token.column)
        if token.text == "(":
            inner = self._operation(0)
            self._expect(")")
            return inner
        if token.text in {"-", "not"}:
            token = token._replace(text=NEGATIVE if token.text == "-" else "not")
            return self._call(token, (self._operation(PREFIXES[token.text].right),))
        if token.kind == "word" and token.text not in LOGICAL:
            return self._function(token) if self._tokens[self._place].text == "(" else self._name(token)
        what = f"not {quoted(token.text)}" if token.kind else "but the text ends"
        raise ExpressionError(token.column, f"a number, a name or a parenthesis is needed, {what}")

    def _name(self, token: _Token) -> Name:
        self._count(token)
        if token.text in FUNCTIONS:
            raise ExpressionError(token.column, f"{quoted(token.text)} is a function; write {token.text}(...)")
        if token.text not in self._names:
            near = nearest(token.text, self._names)
            hint = f"did you mean {quoted(near)}?" if near else "give it a value in parameters"
            raise ExpressionError(token.column, f"{quoted(token.text)} is no name that is known here; {hint}")
        self.reads_variable = self.reads_variable or token.text == VARIABLE
        return Name(word=token.text, column=token.column)

    def _function(self, token: _Token) -> Call:
        known = FUNCTIONS.get(token.text)
        if known is None:
            near = nearest(token.text, FUNCTIONS)
            hint = f"did you mean {quoted(near)}?" if near else f"known are {', '.join(FUNCTIONS)}"
            raise ExpressionError(token.column, f"{quoted(token.text)} is no function; {hint}")
        self._expect("(")
        operands = [self._operation(0)]
        while self._tokens[self._place].text == ",":
            self._place += 1
            operands.append(self._operation(0))
        self._expect(")")
        if len(operands) != known.operands:
            raise ExpressionError(
                token.column, f"{token.text} takes {known.operands} operands, here are {len(operands)}"
            )
        return self._call(token, tuple(operands))

    def _call(self, token: _Token, operands: tuple[Expression, ...]) -> Call:
        self._count(token)
        for index, operand in enumerate(operands):
            if takes_condition(token.text, index) and not is_condition(operand):
                raise ExpressionError(operand.column, "is a number; must be a condition, such as x > 0")
            if is_condition(operand) and not takes_condition(token.text, index):
                raise ExpressionError(
                    operand.column, "is a condition; must be a number, such as where(condition, 1, 0)"
                )
        return Call(function=token.text, operands=operands, column=token.column)

    def _count(self, token: _Token) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            what = f"has more than {MAX_PARTS} numbers, names, operators and calls"
            raise ExpressionError(token.column, what)

    def _take(self) -> _Token:
        token = self._tokens[self._place]
        self._place = min(self._place + 1, len(self._tokens) - 1)
        return token

    def _expect(self, symbol: str) -> None:
        token = self._take()
        if token.text != symbol:
            what = f"not {quoted(token.text)}" if token.kind else "but the text ends"
            raise ExpressionError(token.column, f"{quoted(symbol)} is needed, {what}")
