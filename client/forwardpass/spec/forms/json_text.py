"""A strict reader of JSON: no repeated keys, bounded nesting and sizes."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from forwardpass.spec.faults import Faults, join, quoted
from forwardpass.spec.limits import Limits

_LONGEST_INTEGER: Final = 400
_MAX_REPEATED: Final = 1_000
_BRACKETS_OF_TEXTS: Final = 3
"""Above this many times the limit, brackets within texts count too."""
_TEXT: Final = re.compile(r'"(?:[^"\\]|\\.)*+"')


class _Repeated(dict[str, Any]):
    """An object with repeated keys: the last value of each, and the names of those keys."""

    names: tuple[str, ...] = ()


def read_json(text: str | bytes, *, limits: Limits, faults: Faults, path: str = "spec") -> Any:
    """Read a JSON text, and add what is wrong with its form to the faults.

    NaN and Infinity, which are not JSON, are read as floats: the check of the number reports them with their place.

    Returns:
        The value, or None where the text cannot be read, which a fault reports.
    """
    size = len(text)
    if size > limits.max_network_bytes:
        faults.add(path, f"has {size} bytes; at most {limits.max_network_bytes} are allowed")
        return None
    decoded = _decode(text, faults, path)
    if decoded is None:
        return None
    fault = _size_fault(decoded, limits)
    if fault is not None:
        faults.add(path, fault)
        return None
    repeated: list[_Repeated] = []
    try:
        value = _load(decoded, repeated)
    except json.JSONDecodeError as error:
        what = error.msg[:1].lower() + error.msg[1:]
        faults.add(path, f"is not JSON: {what} at line {error.lineno}, column {error.colno}")
        return None
    except RecursionError:
        faults.add(path, "is nested too deeply; a spec needs five levels")
        return None
    if repeated:
        for place, name in _places(value, path):
            faults.add(place, f"the key {quoted(name)} is repeated; keep one")
    return value


def _size_fault(text: str, limits: Limits) -> str | None:
    """Return which containers a text has too many of, counted before it is parsed, or None."""
    containers, objects = text.count("[") + text.count("{"), text.count("{")
    if containers <= limits.max_containers and objects <= limits.max_objects:
        return None
    if containers <= _BRACKETS_OF_TEXTS * limits.max_containers:  # some may be within texts
        bare = _TEXT.sub("", text)
        containers, objects = bare.count("[") + bare.count("{"), bare.count("{")
    if containers > limits.max_containers:
        return (
            f"has {containers} lists and objects; at most {limits.max_containers} are allowed. "
            "A safetensors file is the better form for a network of this size"
        )
    if objects > limits.max_objects:
        return f"has {objects} objects; a network within the limits has at most {limits.max_objects}"
    return None


def _decode(text: str | bytes, faults: Faults, path: str) -> str | None:
    if isinstance(text, str):
        return text.removeprefix("\ufeff")
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        faults.add(path, f"is not UTF-8: byte {error.start} is 0x{text[error.start]:02x}")
        return None


def _load(text: str, repeated: list[_Repeated]) -> Any:
    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        entries = dict(pairs)
        if len(entries) == len(pairs):
            return entries
        counts = Counter(key for key, _ in pairs)
        marked = _Repeated(entries)
        marked.names = tuple(key for key, count in counts.items() if count > 1)
        repeated.append(marked)
        return marked

    try:
        return json.loads(text, object_pairs_hook=collect)
    except json.JSONDecodeError:
        raise
    except ValueError:
        # Python refuses to read integers of thousands of digits; no float64 is that large.
        repeated.clear()
        return json.loads(text, object_pairs_hook=collect, parse_int=_integer)


def _integer(digits: str) -> int | float:
    if len(digits) <= _LONGEST_INTEGER:
        return int(digits)
    return -math.inf if digits.startswith("-") else math.inf


def _places(value: object, path: str) -> Iterator[tuple[str, str]]:
    """Yield the path and name of each repeated key, without recursion."""
    left: list[tuple[str, object]] = [(path, value)]
    reported = 0
    while left and reported < _MAX_REPEATED:
        place, current = left.pop()
        if isinstance(current, _Repeated):
            for name in current.names[: _MAX_REPEATED - reported]:
                reported += 1
                yield join(place, name), name
        if isinstance(current, dict):
            left += [(join(place, key), part) for key, part in current.items() if isinstance(part, dict | list)]
        elif isinstance(current, list):
            left += [(join(place, i), part) for i, part in enumerate(current) if isinstance(part, dict | list)]
