"""Texts that differ from a name only in their Unicode normal form. Names in a spec are in normal form C (NFC)."""

import unicodedata
from collections.abc import Container


def normal_form_hint(text: str, known: Container[str]) -> str:
    """Say that a text is known in normal form C; return "" if it is not."""
    composed = unicodedata.normalize("NFC", text) if len(text) <= 512 else text  # longer texts are no names
    if composed == text or composed not in known:
        return ""
    return f"; {composed!r} looks the same and is in Unicode's normal form C: pass unicodedata.normalize('NFC', text)"
