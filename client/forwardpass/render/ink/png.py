"""SVG as PNG, by resvg (extra `png`)."""

import math
from collections.abc import Callable
from functools import cache
from typing import Final

from forwardpass.errors import ForwardpassError
from forwardpass.extras import load
from forwardpass.render.fonts import FAMILY

MAX_PIXELS: Final = 12_000_000
"""Pixels of a picture; a larger one is scaled down."""
MAX_BYTES: Final = 2_000_000
"""Bytes of a picture; a larger one is scaled down."""
_SMALLER: Final = 0.75
_PROBE: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20"><text x="0" y="16" font-size="16" '
    f'font-family="{FAMILY}">{{text}}</text></svg>'
)


class MissingFontError(ForwardpassError, RuntimeError):
    """The machine has no font, so that a picture as PNG would have no letters."""


def to_png(svg: str, width: float, height: float, scale: float) -> bytes:
    """Return an SVG document of one theme as PNG.

    Args:
        svg: The document.
        width: Its width in CSS pixels.
        height: Its height.
        scale: Pixels for each CSS pixel; fewer where the picture would exceed `MAX_PIXELS` or `MAX_BYTES`.

    Raises:
        MissingExtraError: The extra `png` is not installed.
        MissingFontError: The machine has no font, so that the picture would have no letters.
        ValueError: `scale` is no number greater than 0.
    """
    if not (math.isfinite(scale) and scale > 0):
        raise ValueError(f"scale is {scale}; must be a number greater than 0")
    resvg = load("resvg_py", needed_by="a picture as PNG")
    if not _has_font(resvg.svg_to_bytes):
        raise MissingFontError(
            "a PNG needs a font, and this machine has none; install one, for example the package fonts-dejavu-core of "
            "Debian, or draw an SVG"
        )
    zoom = min(scale, math.sqrt(MAX_PIXELS / (width * height)))
    drawn = bytes(resvg.svg_to_bytes(svg_string=svg, zoom=zoom))
    while len(drawn) > MAX_BYTES:
        zoom *= _SMALLER
        drawn = bytes(resvg.svg_to_bytes(svg_string=svg, zoom=zoom))
    return drawn


@cache
def _has_font(draw: Callable[..., bytes]) -> bool:
    """Return whether a letter looks different from nothing; resvg leaves out texts for which it finds no font."""
    return bytes(draw(svg_string=_PROBE.format(text="H"))) != bytes(draw(svg_string=_PROBE.format(text="")))
