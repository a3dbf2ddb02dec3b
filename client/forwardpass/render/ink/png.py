"""SVG as PNG, by resvg (extra `png`)."""

import math
from typing import Final

from forwardpass.extras import load

MAX_PIXELS: Final = 12_000_000
"""Pixels of a picture; a larger one is scaled down."""
MAX_BYTES: Final = 2_000_000
"""Bytes of a picture; a larger one is scaled down."""
_SMALLER: Final = 0.75


def to_png(svg: str, width: float, height: float, scale: float) -> bytes:
    """Return an SVG document of one theme as PNG.

    Args:
        svg: The document.
        width: Its width in CSS pixels.
        height: Its height.
        scale: Pixels for each CSS pixel; fewer where the picture would exceed `MAX_PIXELS` or `MAX_BYTES`.

    Raises:
        MissingExtraError: The extra `png` is not installed.
        ValueError: `scale` is no number greater than 0.
    """
    if not (math.isfinite(scale) and scale > 0):
        raise ValueError(f"scale is {scale}; must be a number greater than 0")
    resvg = load("resvg_py", needed_by="a picture as PNG")
    zoom = min(scale, math.sqrt(MAX_PIXELS / (width * height)))
    drawn = bytes(resvg.svg_to_bytes(svg_string=svg, zoom=zoom))
    while len(drawn) > MAX_BYTES:
        zoom *= _SMALLER
        drawn = bytes(resvg.svg_to_bytes(svg_string=svg, zoom=zoom))
    return drawn
