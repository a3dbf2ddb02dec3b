"""Pictures of networks, traces and attributions, as SVG, PNG and text.

`graphs` says what a picture shows, `layout` where its blocks stand, `scene` where everything stands, and `ink` writes
it to a file; `characters` draws with characters.
"""

from forwardpass.render.draw import draw_attributions, draw_difference, draw_network, draw_trace
from forwardpass.render.ink.png import MissingFontError
from forwardpass.render.palette import PALETTE, Theme
from forwardpass.render.picture import Picture

__all__ = [
    "PALETTE",
    "MissingFontError",
    "Picture",
    "Theme",
    "draw_attributions",
    "draw_difference",
    "draw_network",
    "draw_trace",
]
