"""Faults: a path (`spec.layers[1].weights[0][3]`), and a sentence with what was found and what is needed.

Values may be hostile. No value is shown whole, and everything shown can be encoded as UTF-8 and does not control a
terminal.
"""

import difflib
import itertools
import math
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

import numpy as np

from forwardpass.errors import Fault, InvalidNetworkError

MAX_FAULTS: Final = 100
"""The most faults of an exception. If there are more, a last one says how many."""

_SHOWN: Final = 60
_PLAIN_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,127}")
_KEPT: Final = 10_000
_SUGGESTIONS: Final = 50
_CHOICES: Final = 2_000


class Faults:
    """The faults found so far, each pair of path and sentence once."""

    def __init__(self) -> None:
        self._faults: dict[Fault, None] = {}
        self._unkept = 0
        self._suggestions = 0

    def __len__(self) -> int:
        return len(self._faults) + self._unkept

    def add(self, path: str, message: str) -> None:
        """Add a fault; those beyond the first ten thousand are only counted."""
        if len(self._faults) < _KEPT:
            self._faults[Fault(path=path, message=message)] = None
        else:
            self._unkept += 1

    def suggest(self, word: str, choices: Iterable[str]) -> str:
        """Return `; did you mean "relu"?` with the choice nearest to a word, or an empty text.

        Comparing words takes time, so only the first 50 faults get a suggestion.
        """
        self._suggestions += 1
        if self._suggestions > _SUGGESTIONS:
            return ""
        near = nearest(word, choices)
        return f"; did you mean {quoted(near)}?" if near is not None else ""

    def error(self) -> InvalidNetworkError:
        """Return one exception with all faults, in the order of their paths."""
        ordered = sorted(self._faults, key=_order)
        count = len(self)
        if count > MAX_FAULTS:
            ordered = [
                *ordered[:MAX_FAULTS],
                Fault(path="spec", message=f"{count - MAX_FAULTS} more faults are not listed"),
            ]
        return InvalidNetworkError(
            f"the network's spec is not valid: {count} {'fault' if count == 1 else 'faults'}",
            faults=ordered,
            faultCount=count,
        )

    def check(self) -> None:
        """Raise `InvalidNetworkError` if there is a fault."""
        if self._faults:
            raise self.error()


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """Return the choice nearest to a mistyped word, or None where none is near."""
    few = list(itertools.islice(choices, _CHOICES))
    close = difflib.get_close_matches(word[:_SHOWN], few, n=1, cutoff=0.6)
    if close:
        return close[0]
    folded = word[:_SHOWN].casefold()
    return next((choice for choice in few if choice.casefold() == folded), None)


def join(path: str, *parts: str | int) -> str:
    """Append keys and indices to a path: `join("spec", "layers", 1)` is `spec.layers[1]`."""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        elif _PLAIN_KEY.fullmatch(part):
            path += f".{part}"
        else:
            path += f"[{quoted(part)}]"
    return path


def resolve(document: object, location: Iterable[str | int]) -> str:
    """Return the path of a location in a normalized document, as it is in the original document.

    A location may be finer than what was written: `activation.name` where the document has
    `"activation": "rleu"`. Steps that the original does not have are left out.
    """
    path = "spec"
    current: object = document
    for part in location:
        if isinstance(current, Mapping):
            path = join(path, part)
            current = current.get(part)
        elif isinstance(current, list | tuple | np.ndarray):
            if isinstance(part, str):
                continue
            path = join(path, part)
            current = current[part] if part < len(current) else None
        else:
            break
    return path


def quoted(text: str) -> str:
    """Return a text in double quotes: at most 60 characters, invisible ones escaped."""
    shown = "".join(map(_visible, text[:_SHOWN]))
    return f'"{shown}"' if len(text) <= _SHOWN else f'"{shown}..." ({len(text)} characters)'


def listed(words: Collection[str]) -> str:
    """Return words in double quotes, with commas between them."""
    return ", ".join(map(quoted, words))


def found(value: object) -> str:
    """Return a short description of any value: `true`, `"abc"`, `a list of 3`."""
    if value is None or isinstance(value, bool | np.bool_):
        return "null" if value is None else str(bool(value)).lower()
    if isinstance(value, int | float | np.number):
        return _found_number(value)
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}" if value else "an empty list"
    if isinstance(value, Mapping):
        return "an object"
    return f"a Python {quoted(type(value).__name__)[1:-1]}"


def _found_number(value: object) -> str:
    if isinstance(value, int):
        # Python refuses to print very long integers.
        return str(value) if value.bit_length() < 256 else f"an integer of {value.bit_length()} bits"
    if isinstance(value, float | np.floating) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"
    return f"{value}"


def _visible(character: str) -> str:
    if character in {'"', "\\"}:
        return f"\\{character}"
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _order(fault: Fault) -> tuple[tuple[tuple[int, int, str], ...], str]:
    parts = re.split(r"(\d+)", fault.path)
    return tuple((0, int(p), "") if p.isdecimal() and len(p) < 20 else (1, 0, p) for p in parts), fault.message
