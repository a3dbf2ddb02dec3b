r"""Text from files and servers, made safe for a terminal.

A name or a description may have control characters in it, by which a terminal moves its cursor, changes its title or
types for the user (CWE-150). They are shown as escapes: `\x1b` for the character of that number.
"""

import re
from typing import Final

_UNSAFE: Final = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # control characters, C0 and C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # change the direction of what follows
    "\u2028\u2029"  # end a line or paragraph
    "\ud800-\udfff"  # halves of a character, which UTF-8 does not have
    "]"
)
_NAMED: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(text: str, *, lines: bool = False) -> str:
    """Return a text with each character that a terminal obeys as an escape.

    Args:
        text: Any text.
        lines: Whether the text is of several lines, whose ends stay.
    """
    if lines:
        return "\n".join(map(printable, text.split("\n")))
    return _UNSAFE.sub(lambda found: _NAMED.get(found[0]) or _escape(found[0]), text)


def printable_json(text: str) -> str:
    """Return a JSON document with each such character in the form that JSON has for it; its value is the same."""
    return "\n".join(_UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", line) for line in text.split("\n"))


def _escape(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"
