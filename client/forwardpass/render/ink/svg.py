"""Scenes as SVG 1.1 with a style sheet for light and dark, without scripts and without anything from elsewhere."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from forwardpass.printable import printable
from forwardpass.render.fonts import FAMILY
from forwardpass.render.palette import PALETTE, Theme
from forwardpass.render.scene.shapes import Group, Path, Rect, Scene, Shape, Text, number_text

_NOT_XML: Final = re.compile("[\ufffe\uffff]")
_ENTITIES: Final[Mapping[str, str]] = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}


def to_svg(scene: Scene, theme: Theme) -> str:
    """Return a scene as an SVG document.

    Args:
        scene: The scene.
        theme: `auto` has both themes, and the reader's setting chooses.
    """
    width, height = number_text(scene.width), number_text(scene.height)
    title = escape(scene.title)
    lines = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
            f'class="fp-{theme}" role="img" aria-label="{title}">'
        ),
        f"<title>{title}</title>",
        f"<style>{_style(theme)}</style>",
        *(line for item in scene.items for line in _SHAPES[type(item)](item)),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def escape(text: str, *, lines: bool = False) -> str:
    """Return a text for XML: entities, and escapes for what XML or a reader's eye does not take.

    Control characters, marks that turn the direction of a text, and what is no character are shown as escapes.
    """
    safe = _NOT_XML.sub(lambda found: f"\\u{ord(found[0]):04x}", printable(text, lines=lines))
    return "".join(_ENTITIES.get(character, character) for character in safe)


def _style(theme: Theme) -> str:
    root = f".fp-{theme}"
    text = f"{root} text{{font-family:{FAMILY}}}"
    colours = _colours(root, "light" if theme == "auto" else theme)
    dark = f"@media (prefers-color-scheme:dark){{{_colours(root, 'dark')}}}" if theme == "auto" else ""
    return text + colours + dark


def _colours(root: str, theme: str) -> str:
    rules = [
        f"{root} .f-{role}{{fill:{colour}}}{root} .s-{role}{{stroke:{colour}}}"
        for role, colour in PALETTE[theme].items()
    ]
    return "".join(rules)


def _attributes(**values: object) -> str:
    return "".join(f' {name.replace("_", "-")}="{value}"' for name, value in values.items() if value is not None)


def _classes(*names: str | None) -> str:
    return " ".join(name for name in names if name)


def _number(value: float, unless: float | None = None) -> str | None:
    return None if value == unless else number_text(value)


def _rect(shape: Rect) -> Iterator[str]:
    named = _attributes(
        x=number_text(shape.x),
        y=number_text(shape.y),
        width=number_text(shape.width),
        height=number_text(shape.height),
        rx=_number(shape.radius, 0.0),
        **_paint(shape, shape.stroke_width),
    )
    yield f"<rect{named}/>"


def _path(shape: Path) -> Iterator[str]:
    named = _attributes(
        d=shape.data,
        **_paint(shape, shape.width),
    )
    yield f"<path{named}/>"


def _paint(shape: Rect | Path, width: float) -> dict[str, str | None]:
    # Opacity of fill and stroke, not of the element, for which renderers would need a layer.
    opacity = _number(shape.opacity, 1.0)
    return {
        "class": _classes(shape.fill and f"f-{shape.fill}", shape.stroke and f"s-{shape.stroke}"),
        "fill": None if shape.fill else "none",
        "fill_opacity": opacity if shape.fill else None,
        "stroke_width": _number(width, 1.0) if shape.stroke else None,
        "stroke_opacity": opacity if shape.stroke else None,
        "stroke_dasharray": "4 3" if shape.is_dashed else None,
    }


def _text(shape: Text) -> Iterator[str]:
    if not shape.text:
        return
    named = _attributes(
        **{"class": f"f-{shape.fill}"},
        x=number_text(shape.x),
        y=number_text(shape.y),
        font_size=number_text(shape.size),
        font_weight="bold" if shape.is_bold else None,
        text_anchor=None if shape.anchor == "start" else shape.anchor,
    )
    yield f"<text{named}>{escape(shape.text)}</text>"


def _group(shape: Group) -> Iterator[str]:
    moves = shape.x or shape.y
    named = _attributes(transform=f"translate({number_text(shape.x)} {number_text(shape.y)})" if moves else None)
    yield f"<g{named}>"
    if shape.detail:
        yield f"<title>{escape(shape.detail, lines=True)}</title>"
    for item in shape.items:
        yield from _SHAPES[type(item)](item)
    yield "</g>"


_SHAPES: Final[Mapping[type[Shape], Callable[[Any], Iterator[str]]]] = {
    Rect: _rect,
    Path: _path,
    Text: _text,
    Group: _group,
}
