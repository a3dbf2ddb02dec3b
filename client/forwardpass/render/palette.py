"""The colours of pictures, in light and dark.

Blue for positive and orange for negative are those of Okabe and Ito (Color Universal Design, 2008), a little darker on
white, so that people with any kind of colour vision tell them apart; purple marks nodes. Colour is never the only sign:
numbers have theirs, dead nodes have a dashed border and saturated ones a double one.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

Theme: TypeAlias = Literal["auto", "light", "dark"]
"""`auto` follows the reader's setting (CSS `prefers-color-scheme`)."""

Role: TypeAlias = Literal[
    "background", "card", "panel", "line", "text", "muted", "positive", "negative", "neutral", "mark"
]

PALETTE: Final[Mapping[str, Mapping[Role, str]]] = MappingProxyType(
    {
        "light": {
            "background": "#ffffff",
            "card": "#ffffff",
            "panel": "#f4f6f9",
            "line": "#c3cad5",
            "text": "#1b2430",
            "muted": "#5b6675",
            "positive": "#0a6ebd",
            "negative": "#c4570c",
            "neutral": "#a9b2bf",
            "mark": "#8b3f8f",
        },
        "dark": {
            "background": "#14181f",
            "card": "#1d232d",
            "panel": "#191f28",
            "line": "#414c5c",
            "text": "#e6eaf0",
            "muted": "#9aa6b5",
            "positive": "#4ea8ea",
            "negative": "#f08b45",
            "neutral": "#55606f",
            "mark": "#cf8fd3",
        },
    }
)
"""The colour of each role in each theme; docs/how-to/pictures.md has the same table."""
