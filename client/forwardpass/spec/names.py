"""The form of names, labels and texts.

Layers and nodes have names that never need quoting, in a path, a URL or a file: `[A-Za-z0-9_][A-Za-z0-9_.-]*`.
Features, outputs, classes, tags, units and metadata keys are labels that people read: printable Unicode in normal
form C, without space at either end. Descriptions and metadata values may have line breaks and tabs too. None of
them may have control characters, invisible ones, or those that change the direction of writing.
"""

import re
import unicodedata
from typing import Final

from forwardpass.errors import Fault, InvalidFieldError
from forwardpass.spec.faults import found, quoted

NAME: Final = "[a-z]([a-z0-9._-]{0,61}[a-z0-9])?"
"""The form of the name of a network or alias."""

IDENTIFIER: Final = "[A-Za-z0-9_][A-Za-z0-9_.-]*"
"""The form of the name of a layer or node."""

_NAME: Final = re.compile(NAME)
_IDENTIFIER: Final = re.compile(IDENTIFIER)


def check_name(name: str, what: str = "network") -> None:
    """Check the name of a network or alias.

    Args:
        name: The name.
        what: `network` or `alias`, for the message and the path of the fault.

    Raises:
        InvalidFieldError: The name does not have the form `[a-z]([a-z0-9._-]{0,61}[a-z0-9])?`.
    """
    if isinstance(name, str) and _NAME.fullmatch(name):  # type: ignore[redundant-expr] # callers may be untyped
        return
    message = (
        f"is {found(name)}; must be 1 to 63 of a-z, 0-9, dot, underscore and hyphen, "
        f"the first a letter, the last a letter or digit{_suggestion(name)}"
    )
    raise InvalidFieldError(f"{what} {message}", faults=[Fault(path=what, message=message)], field=what)


def _suggestion(name: object) -> str:
    """Return a hint at the nearest name that is allowed, or nothing."""
    if not isinstance(name, str) or not name.isascii():
        return ""
    lower = name.lower()
    nearest = re.sub(r"[^a-z0-9._-]+", "-", lower).strip("._-")
    if not _NAME.fullmatch(nearest):
        return ""
    why = "; there are no capitals, so that no two names differ by them alone" if lower != name else ""
    return f"{why}; use {quoted(nearest)}"


def identifier_fault(value: object, limit: int) -> str | None:
    """Return what is wrong with the name of a layer or node, or None."""
    if not isinstance(value, str):
        return f"is {found(value)}; must be a name in quotes"
    if len(value) > limit:
        return f"has {len(value)} characters; a name has at most {limit}"
    if not _IDENTIFIER.fullmatch(value):
        return (
            f"is {quoted(value)}; a name of a layer or node has only letters A-Z and a-z, digits, underscore, "
            "dot and hyphen, and begins with a letter, digit or underscore"
        )
    return None


def label_fault(value: object, limit: int) -> str | None:
    """Return what is wrong with a label (of a feature, output, class, tag ...), or None."""
    if not isinstance(value, str):
        return f"is {found(value)}; must be a text in quotes"
    if not value:
        return "is empty; must be a text of at least one character"
    if len(value) > limit:
        return f"has {len(value)} characters; at most {limit} are allowed here"
    if value != value.strip():
        return f"is {quoted(value)}; must not begin or end with a space"
    return _unreadable(value)


def category_fault(value: object, limit: int) -> str | None:
    """Return what is wrong with the text of a category, or None. Spaces at either end belong to the text."""
    if not isinstance(value, str) or not value.strip() or len(value) > limit:
        return label_fault(value.strip() if isinstance(value, str) and len(value) <= limit else value, limit)
    return _unreadable(value)


def unit_fault(value: object, limit: int) -> str | None:
    """Return what is wrong with a unit of measurement, which is a label or empty, or None."""
    return None if isinstance(value, str) and not value else label_fault(value, limit)


def text_fault(value: object, limit: int) -> str | None:
    """Return what is wrong with a description or metadata value, or None."""
    if not isinstance(value, str):
        return f"is {found(value)}; must be a text in quotes"
    if len(value) > limit:
        return f"has {len(value)} characters; at most {limit} are allowed here"
    return _unreadable(value, besides="\n\t")


def _unreadable(value: str, besides: str = "") -> str | None:
    odd = next((c for c in value if not c.isprintable() and c not in besides), None)
    if odd is not None:
        return f"has the character U+{ord(odd):04X}, which is not printable; leave it out"
    if not unicodedata.is_normalized("NFC", value):
        return f"is {quoted(value)}, which is not in Unicode's normal form C (NFC); normalize it"
    return None
