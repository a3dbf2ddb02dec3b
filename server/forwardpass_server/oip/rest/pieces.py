"""JSON in pieces: texts of many megabytes are read and written while other threads go on.

The standard library's parser holds the interpreter's lock until it is done, and with it every call: some
hundred milliseconds for 16 MiB, and more when the garbage collector then looks at a million small lists. Here
it gets at most `PIECE` characters at a time, and arrays in arrays are made flat at once.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from json.decoder import JSONDecodeError
from typing import Any, Final

PIECE: Final = 64 * 1024
"""Characters that are read at one go: about a millisecond."""
MAX_NUMBERS: Final = 4096
"""Elements that are written at one go."""
MAX_DEPTH: Final = 64
"""How deep arrays and objects may be in one another."""

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\n\r]*")


@dataclass(frozen=True, slots=True)
class Flat:
    """An array of arrays, its elements in row-major order.

    Attributes:
        values: The elements; none when the array is ragged.
        shape: The length at each depth, or None when the array is ragged.
    """

    values: list[Any]
    shape: tuple[int, ...] | None


RAGGED: Final = Flat([], None)


def flatten(array: "list[Any] | Flat") -> Flat:
    """Make an array of any depth flat."""
    if isinstance(array, Flat):
        return array
    shape: tuple[int, ...] = (len(array),)
    while list in (kinds := set(map(type, array))):
        widths = set(map(len, array)) if len(kinds) == 1 else ()
        if len(widths) != 1:
            return RAGGED
        shape += (*widths,)
        array = list(chain.from_iterable(array))
    return Flat(array, shape)


def loads(data: bytes) -> Any:
    """Read a JSON text in UTF-8.

    As in Python's `json`, NaN, Infinity and -Infinity are numbers, and of members of one name the last counts.
    In a text longer than `PIECE` arrays of arrays come as `Flat`.

    Raises:
        ValueError: It is none, or too deep.
    """
    text = data.decode()
    try:
        return _DECODER.decode(text) if len(text) <= PIECE else _Reader(text).read()
    except RecursionError:
        raise ValueError("arrays and objects are too deep in one another") from None


def dumps(elements: Sequence[Any]) -> Iterator[str]:
    """Write the elements of an array, without its brackets, in pieces that follow one another."""
    for start in range(0, len(elements), MAX_NUMBERS):
        piece = json.dumps(elements[start : start + MAX_NUMBERS], separators=(",", ":"), ensure_ascii=False)
        yield piece[1:-1] if start == 0 else f",{piece[1:-1]}"


def said(value: Any) -> str:
    """Return a JSON value for a message, shortened."""
    if isinstance(value, list):
        return "an array"
    if isinstance(value, Flat):
        return "an array of arrays"
    if isinstance(value, dict):
        return "an object"
    return f"{json.dumps(value[:40] if isinstance(value, str) else value):.40}"


class _Reader:
    """Reads one long text."""

    def __init__(self, text: str) -> None:
        self._text = text
        # Up to here elements are read one by one, since no piece could be cut out.
        self._careful = 0

    def read(self) -> Any:
        value, end = self._value(self._skip(0), 0)
        if self._skip(end) != len(self._text):
            raise JSONDecodeError("Extra data", self._text, end)
        return value

    def _skip(self, start: int) -> int:
        """Return where the next thing after white space is."""
        found = _SPACE.match(self._text, start)
        return found.end() if found else start

    def _value(self, start: int, depth: int) -> tuple[Any, int]:
        """Read the value at a place; return it and the place behind it."""
        if depth > MAX_DEPTH:
            raise ValueError(f"arrays and objects are more than {MAX_DEPTH} deep in one another")
        opening = self._text[start : start + 1]
        if opening == "[":
            return self._array(start + 1, depth)
        if opening == "{":
            return self._object(start + 1, depth)
        return _DECODER.raw_decode(self._text, start)

    def _array(self, start: int, depth: int) -> tuple[list[Any] | Flat, int]:
        """Read the rest of an array."""
        place = self._skip(start)
        if self._text[place : place + 1] == "]":
            return [], place + 1
        whole = Flat([], (0,))
        while True:
            piece, place = self._piece(place) or self._element(place, depth + 1)
            whole = _joined(whole, piece)
            if self._text[place : place + 1] != ",":
                break
            place = self._skip(place + 1)
        if self._text[place : place + 1] != "]":
            raise JSONDecodeError("Expecting ',' delimiter", self._text, place)
        return (whole.values if whole.shape and len(whole.shape) == 1 else whole), place + 1

    def _element(self, start: int, depth: int) -> tuple[Flat, int]:
        value, end = self._value(start, depth)
        if isinstance(value, list):
            value = flatten(value)
        if not isinstance(value, Flat):
            return Flat([value], (1,)), self._skip(end)
        return (Flat(value.values, (1, *value.shape)) if value.shape else RAGGED), self._skip(end)

    def _piece(self, start: int) -> tuple[Flat, int] | None:
        """Read as many elements as may be cut out at one go; return them and the place behind.

        What is a valid array when it is cut off somewhere and put in brackets is elements of this array, and no part
        of one: that would not be complete.
        """
        text, window = self._text, start + PIECE
        if start < self._careful or text[start : start + 1] == "{":
            return None
        # Where the array may end, or else its last element within the window.
        if text[start : start + 1] == "[":
            ends = text.find("]]", start, window) + 1, text.rfind("],", start, window) + 1
        else:
            ends = text.find("]", start, window), text.rfind(",", start, window)
        for end in ends:
            try:
                elements = _DECODER.decode(f"[{text[start:end]}]") if end > start else []
            except ValueError:
                continue
            if elements:
                return flatten(elements), self._skip(end)
        self._careful = window
        return None

    def _object(self, start: int, depth: int) -> tuple[dict[str, Any], int]:
        """Read the rest of an object."""
        text = self._text
        members: dict[str, Any] = {}
        place = self._skip(start)
        if text[place : place + 1] == "}":
            return members, place + 1
        while True:
            if text[place : place + 1] != '"':
                raise JSONDecodeError("Expecting property name enclosed in double quotes", text, place)
            name, end = _DECODER.raw_decode(text, place)
            place = self._skip(end)
            if text[place : place + 1] != ":":
                raise JSONDecodeError("Expecting ':' delimiter", text, place)
            members[name], end = self._value(self._skip(place + 1), depth + 1)
            place = self._skip(end)
            if text[place : place + 1] == "}":
                return members, place + 1
            if text[place : place + 1] != ",":
                raise JSONDecodeError("Expecting ',' delimiter", text, place)
            place = self._skip(place + 1)


def _joined(whole: Flat, piece: Flat) -> Flat:
    """Put elements behind others, whose list is taken over."""
    if not whole.values and whole.shape == (0,):
        return piece
    if not whole.shape or not piece.shape or whole.shape[1:] != piece.shape[1:]:
        return RAGGED
    whole.values.extend(piece.values)
    return Flat(whole.values, (whole.shape[0] + piece.shape[0], *whole.shape[1:]))
