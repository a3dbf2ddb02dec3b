"""JSON parsed and written in chunks, so that other threads run between them.

The standard library's parser holds the interpreter's lock, and with it every other call, until it is done: some hundred
milliseconds for 16 MiB, and longer when the garbage collector then visits a million small lists. Here it gets at most
`CHUNK_CHARACTERS` at a time, and nested arrays are flattened as they are read.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from json.decoder import JSONDecodeError
from typing import Any, Final

CHUNK_CHARACTERS: Final = 64 * 1024
"""Characters that are parsed at a time, in about a millisecond."""
CHUNK_ELEMENTS: Final = 4096
"""Elements that are written at a time."""
MAX_FIELDS: Final = 50_000
"""Objects of a long text, and fields of all of them: as many take about a tenth of a second."""
MAX_DEPTH: Final = 64
"""The deepest nesting of arrays and objects."""

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\n\r]*")


@dataclass(frozen=True, slots=True)
class FlatArray:
    """A nested array, flattened.

    Attributes:
        values: The elements in row-major order; empty if the array is ragged.
        shape: The length at each depth, or None if the array is ragged.
    """

    values: list[Any]
    shape: tuple[int, ...] | None


RAGGED: Final = FlatArray([], None)


def flatten(array: "list[Any] | FlatArray") -> FlatArray:
    """Flatten an array of any depth."""
    if isinstance(array, FlatArray):
        return array
    shape: tuple[int, ...] = (len(array),)
    while list in (kinds := set(map(type, array))):
        widths = set(map(len, array)) if len(kinds) == 1 else ()
        if len(widths) != 1:
            return RAGGED
        shape += (*widths,)
        array = list(chain.from_iterable(array))
    return FlatArray(array, shape)


def loads(data: bytes) -> Any:
    """Parse a JSON text in UTF-8.

    As in Python's `json`, NaN, Infinity and -Infinity are numbers, and the last one counts of several fields with one
    name. In a text longer than `CHUNK_CHARACTERS`, nested arrays become `FlatArray`.

    Raises:
        ValueError: The text is not JSON, or is nested too deeply.
    """
    text = data.decode()
    try:
        return _DECODER.decode(text) if len(text) <= CHUNK_CHARACTERS else _Parser(text).read()
    except RecursionError:
        raise ValueError("arrays and objects are nested too deeply") from None


def dumps(elements: Sequence[Any]) -> Iterator[str]:
    """Yield the JSON text of an array without its brackets, in chunks."""
    for start in range(0, len(elements), CHUNK_ELEMENTS):
        chunk = json.dumps(elements[start : start + CHUNK_ELEMENTS], separators=(",", ":"), ensure_ascii=False)
        yield chunk[1:-1] if start == 0 else f",{chunk[1:-1]}"


def shown(value: Any) -> str:
    """Return a JSON value as errors show it, shortened."""
    if isinstance(value, list):
        return "an array"
    if isinstance(value, FlatArray):
        return "an array of arrays"
    if isinstance(value, dict):
        return "an object"
    return f"{json.dumps(value[:40] if isinstance(value, str) else value):.40}"


class _Parser:
    """Parses one long text."""

    def __init__(self, text: str) -> None:
        self._text = text
        # Elements before this place are parsed one by one, since no chunk of several could be cut out.
        self._careful = 0
        self._fields = 0

    def read(self) -> Any:
        value, end = self._value(self._skip(0), 0)
        if self._skip(end) != len(self._text):
            raise JSONDecodeError("Extra data", self._text, end)
        return value

    def _skip(self, start: int) -> int:
        """Return the next place that is not white space."""
        found = _SPACE.match(self._text, start)
        return found.end() if found else start

    def _value(self, start: int, depth: int) -> tuple[Any, int]:
        """Parse the value at a place; return it and the place after it."""
        if depth > MAX_DEPTH:
            raise ValueError(f"arrays and objects are nested more than {MAX_DEPTH} deep")
        opening = self._text[start : start + 1]
        if opening == "[":
            return self._array(start + 1, depth)
        if opening == "{":
            return self._object(start + 1, depth)
        return _DECODER.raw_decode(self._text, start)

    def _array(self, start: int, depth: int) -> tuple[list[Any] | FlatArray, int]:
        """Parse an array, given the place after its bracket; return it and the place after it."""
        place = self._skip(start)
        if self._text[place : place + 1] == "]":
            return [], place + 1
        whole = FlatArray([], (0,))
        while True:
            chunk, place = self._chunk(place) or self._element(place, depth + 1)
            whole = _joined(whole, chunk)
            if self._text[place : place + 1] != ",":
                break
            place = self._skip(place + 1)
        if self._text[place : place + 1] != "]":
            raise JSONDecodeError("Expecting ',' delimiter", self._text, place)
        return (whole.values if whole.shape and len(whole.shape) == 1 else whole), place + 1

    def _element(self, start: int, depth: int) -> tuple[FlatArray, int]:
        value, end = self._value(start, depth)
        if isinstance(value, list):
            value = flatten(value)
        if not isinstance(value, FlatArray):
            return FlatArray([value], (1,)), self._skip(end)
        return (FlatArray(value.values, (1, *value.shape)) if value.shape else RAGGED), self._skip(end)

    def _chunk(self, start: int) -> tuple[FlatArray, int] | None:
        """Parse a chunk of whole elements; return them and the place after them, or None if there is no such chunk.

        A text that is a valid array when it is put in brackets consists of whole elements: a part of an element would
        not be valid.
        """
        text, window = self._text, start + CHUNK_CHARACTERS
        if start < self._careful or text[start : start + 1] == "{":
            return None
        # The end of the array, or else the end of the last element within the window.
        if text[start : start + 1] == "[":
            ends = text.find("]]", start, window) + 1, text.rfind("],", start, window) + 1
        else:
            ends = text.find("]", start, window), text.rfind(",", start, window)
        for end in ends:
            try:
                elements = _DECODER.decode(f"[{text[start:end]}]") if end > start else []
            except ValueError:
                continue
            if elements and "{" in text[start:end] and dict in map(type, flatten(elements).values):
                break  # objects are parsed one by one, and counted
            if elements:
                return flatten(elements), self._skip(end)
        self._careful = window
        return None

    def _count(self) -> None:
        self._fields += 1
        if self._fields > MAX_FIELDS:
            raise ValueError(f"there are more than {MAX_FIELDS:,} objects and fields in it")

    def _object(self, start: int, depth: int) -> tuple[dict[str, Any], int]:
        """Parse an object, given the place after its brace; return it and the place after it."""
        text = self._text
        self._count()
        fields: dict[str, Any] = {}
        place = self._skip(start)
        if text[place : place + 1] == "}":
            return fields, place + 1
        while True:
            if text[place : place + 1] != '"':
                raise JSONDecodeError("Expecting property name enclosed in double quotes", text, place)
            name, end = _DECODER.raw_decode(text, place)
            place = self._skip(end)
            if text[place : place + 1] != ":":
                raise JSONDecodeError("Expecting ':' delimiter", text, place)
            self._count()
            fields[name], end = self._value(self._skip(place + 1), depth + 1)
            place = self._skip(end)
            if text[place : place + 1] == "}":
                return fields, place + 1
            if text[place : place + 1] != ",":
                raise JSONDecodeError("Expecting ',' delimiter", text, place)
            place = self._skip(place + 1)


def _joined(whole: FlatArray, chunk: FlatArray) -> FlatArray:
    """Append elements to others, whose list is reused."""
    if not whole.values and whole.shape == (0,):
        return chunk
    if not whole.shape or not chunk.shape or whole.shape[1:] != chunk.shape[1:]:
        return RAGGED
    whole.values.extend(chunk.values)
    return FlatArray(whole.values, (whole.shape[0] + chunk.shape[0], *whole.shape[1:]))
