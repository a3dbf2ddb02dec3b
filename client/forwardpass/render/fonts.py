"""Widths of texts, without a font at hand: an upper bound for every font that a picture names.

The pictures name the fonts of the systems and DejaVu Sans, the widest of them, whose widths are in `font_widths`. So a
text that fits by these widths fits in the font that a browser picks.
"""

import unicodedata
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final

from forwardpass.render.font_widths import BOLD, RANGES, REGULAR

FAMILY: Final = (
    "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, "
    "'DejaVu Sans', 'Liberation Sans', sans-serif"
)
ASCENT: Final = 0.93
"""Height of a line above its baseline, as a share of the font size."""
DESCENT: Final = 0.24
"""Depth of a line below its baseline, as a share of the font size."""
ELLIPSIS: Final = "…"

_ROUNDING: Final = 1e-6
_OTHER: Final = 1.1
_EMOJI: Final = 1.4


def _table(rows: tuple[str, ...]) -> Iterator[tuple[str, float]]:
    for (first, end), row in zip(RANGES, rows, strict=True):
        for place, number in enumerate(range(first, end)):
            yield chr(number), int(row[2 * place : 2 * place + 2], 16) / 100


_WIDTHS: Final[Mapping[bool, Mapping[str, float]]] = {False: dict(_table(REGULAR)), True: dict(_table(BOLD))}


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Return the largest width of a line of text, in the unit of the font size."""
    widths = _WIDTHS[bold]
    return size * sum(widths.get(character) or _other(character) for character in text)


def fit(text: str, size: float, width: float, *, bold: bool = False) -> str:
    """Return a text if it fits into a width, else its beginning and an ellipsis; empty if not even that fits."""
    if text_width(text, size, bold=bold) <= width + _ROUNDING:
        return text
    left = width - text_width(ELLIPSIS, size, bold=bold)
    if left < 0:
        return ""
    kept = 0
    for character in text:
        left -= text_width(character, size, bold=bold)
        if left < 0:
            break
        kept += 1
    while kept and unicodedata.combining(text[kept]):
        kept -= 1  # A letter goes with its accents.
    return text[:kept].rstrip() + ELLIPSIS


@lru_cache(maxsize=1024)
def _other(character: str) -> float:
    if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0.0
    return _EMOJI if ord(character) >= 0x1F000 else _OTHER
