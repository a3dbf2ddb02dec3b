"""The shapes of a scene, and the rectangles that they take up."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, Union

from forwardpass.render.fonts import ASCENT, DESCENT, text_width
from forwardpass.render.palette import Role


@dataclass(frozen=True, kw_only=True, slots=True)
class Rect:
    """A rectangle, perhaps with round corners."""

    x: float
    y: float
    width: float
    height: float
    radius: float = 0.0
    fill: Role | None = None
    opacity: float = 1.0
    stroke: Role | None = None
    stroke_width: float = 1.0
    is_dashed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Path:
    """Lines and curves, in the notation of SVG."""

    data: str
    stroke: Role | None = None
    width: float = 1.0
    fill: Role | None = None
    opacity: float = 1.0
    is_dashed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """A line of text, which fits its place by the widths of `fonts`.

    Attributes:
        x: Where it begins, has its middle or ends, as `anchor` says.
        y: Its baseline.
        text: The text.
        size: The font size.
        fill: The colour.
        is_bold: Whether it is bold.
        anchor: What `x` means.
    """

    x: float
    y: float
    text: str
    size: float
    fill: Role = "text"
    is_bold: bool = False
    anchor: Literal["start", "middle", "end"] = "start"

    @property
    def box(self) -> "Box":
        """The rectangle that it takes up at most."""
        width = text_width(self.text, self.size, bold=self.is_bold)
        left = {"start": 0.0, "middle": width / 2, "end": width}[self.anchor]
        return Box(
            kind="label",
            x=self.x - left,
            y=self.y - ASCENT * self.size,
            width=width,
            height=(ASCENT + DESCENT) * self.size,
            name=self.text,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Shapes that move together, or share the text that a reader gets who points at them."""

    items: "tuple[Shape, ...]"
    detail: str = ""
    x: float = 0.0
    y: float = 0.0


Shape: TypeAlias = Union[Rect, Path, Text, Group]  # noqa: UP007 - Group is not known yet


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """The rectangle of a node or a label, by which tests prove that nothing overlaps.

    Attributes:
        kind: `node` of what has labels in it, `label` of a line of text.
        x: Left.
        y: Top.
        width: To the right.
        height: Downwards.
        name: For messages.
        inside: The name of the node that a label stands in, or empty.
    """

    kind: Literal["node", "label"]
    x: float
    y: float
    width: float
    height: float
    name: str
    inside: str = ""

    def overlaps(self, other: "Box") -> bool:
        """Return whether two boxes have an area in common."""
        tolerance = 1e-6
        return (
            self.x + self.width > other.x + tolerance
            and other.x + other.width > self.x + tolerance
            and self.y + self.height > other.y + tolerance
            and other.y + other.height > self.y + tolerance
        )

    def contains(self, other: "Box") -> bool:
        """Return whether another box is inside this one."""
        tolerance = 1e-6
        return (
            other.x >= self.x - tolerance
            and other.y >= self.y - tolerance
            and other.x + other.width <= self.x + self.width + tolerance
            and other.y + other.height <= self.y + self.height + tolerance
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawing:
    """Shapes within `(0, 0)` and `(width, height)`, with the boxes of their nodes and labels."""

    width: float
    height: float
    items: tuple[Shape, ...]
    boxes: tuple[Box, ...]

    def at(self, x: float, y: float) -> tuple[Group, tuple[Box, ...]]:
        """Return the drawing moved to a place."""
        return Group(items=self.items, x=x, y=y), moved(self.boxes, x, y)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene(Drawing):
    """A whole picture.

    Attributes:
        title: What it shows, for readers who do not see it.
    """

    title: str = ""


def moved(boxes: Iterable[Box], x: float, y: float) -> tuple[Box, ...]:
    """Return boxes that are moved."""
    return tuple(replace(box, x=box.x + x, y=box.y + y) for box in boxes)


def label_boxes(texts: Sequence[Text], inside: str = "") -> list[Box]:
    """Return the boxes of texts."""
    return [replace(text.box, inside=inside) for text in texts if text.text]


def number_text(value: float) -> str:
    """Return a coordinate with at most two digits after the point."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
