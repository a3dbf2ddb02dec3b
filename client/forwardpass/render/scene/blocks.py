"""Blocks as drawings: a header, and a panel with the cells, cards and histogram of a layer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Final

from forwardpass.render.fonts import fit, text_width
from forwardpass.render.graphs.values import REST, Block, Heat, Node, Rest
from forwardpass.render.scene.shapes import Box, Drawing, Group, Path, Rect, Shape, Text, label_boxes, number_text

if TYPE_CHECKING:
    from forwardpass.render.palette import Role

PAD: Final = 10.0
CARD_GAP: Final = 10.0
_NAME: Final = 11.0
_VALUE: Final = 13.0
_NOTE: Final = 10.5
_MAX_TEXT: Final = 176.0
_MIN_CARD: Final = 64.0
_HEAT: Final = 112.0
_BARS_HEIGHT: Final = 26.0
_TINT: Final = 0.3


@dataclass(frozen=True, kw_only=True, slots=True)
class PlacedBlock:
    """A block as a drawing, with the heights at which edges join it.

    Attributes:
        panel: What lies under the edges.
        drawing: The shapes above them.
        ports: The middle of each shown node, and of `REST`, from the top of the block.
        panel_top: The top of the part that bands join.
    """

    panel: tuple[Shape, ...]
    drawing: Drawing
    ports: Mapping[int, float]
    panel_top: float


def draw_block(block: Block) -> PlacedBlock:
    """Draw a block with its nodes."""
    cards = _card_width(block.nodes)
    cell = _cell_size(block.heat)
    heat_width = 0.0 if block.heat is None else cell * block.heat.columns
    inner = max(cards, heat_width, _rest_width(block.rest), _MIN_CARD)
    lines = [(block.title, 12.5, True), (block.subtitle, _NAME, False)]
    if block.rest is not None and block.facts:
        lines.append((block.facts, _NAME, False))
    inner = max(inner, min(_MAX_TEXT, max(text_width(text, size, bold=bold) for text, size, bold in lines) - 2 * PAD))
    width = inner + 2 * PAD
    header: list[Text] = []
    y = 0.0
    for index, (text, size, bold) in enumerate(lines):
        y += 15.0
        said = fit(text, size, width, bold=bold)
        header.append(Text(x=0, y=y, text=said, size=size, is_bold=bold, fill="muted" if index else "text"))
    y += 8.0
    top = y
    y += PAD
    items: list[Shape] = []
    boxes: list[Box] = label_boxes(header)
    ports: dict[int, float] = {}
    if block.heat is not None:
        drawing = _draw_heat(block.heat, cell)
        group, inside = drawing.at(PAD + (inner - drawing.width) / 2, y)
        items.append(Group(items=(group,), detail=block.heat.detail))
        boxes += inside
        y += drawing.height + CARD_GAP
    for index, node in enumerate(block.nodes):
        drawing = draw_card(node, inner, f"{block.key}/{index}")
        group, inside = drawing.at(PAD, y)
        items.append(Group(items=(group,), detail=node.detail))
        boxes += inside
        ports[index] = y + drawing.height / 2
        y += drawing.height + CARD_GAP
    if block.rest is not None:
        drawing = _draw_rest(block.rest, inner, f"{block.key}/rest")
        group, inside = drawing.at(PAD, y)
        items.append(Group(items=(group,), detail=block.rest.detail))
        boxes += inside
        ports[REST] = y + drawing.height / 2
        y += drawing.height + CARD_GAP
    if not block.nodes and block.rest is None and block.heat is None:
        y += 24.0
    height = y - CARD_GAP + PAD
    panel = Rect(
        x=0,
        y=top,
        width=width,
        height=height - top,
        radius=10,
        fill="panel",
        is_dashed=block.kind == "missing",
        stroke="line" if block.kind == "missing" else None,
    )
    title = Group(items=tuple(header), detail=f"{block.title}\n{block.subtitle}\n{block.facts}".strip())
    return PlacedBlock(
        panel=(panel,),
        drawing=Drawing(width=width, height=height, items=(title, *items), boxes=tuple(boxes)),
        ports=ports,
        panel_top=top,
    )


def draw_summary(block: Block) -> PlacedBlock:
    """Draw a block as one card, without its nodes."""
    lines = [(block.title, 12.5, True), (block.subtitle, _NAME, False), (block.facts, _NAME, False)]
    lines = [line for line in lines if line[0]]
    inner = min(200.0, max(144.0, *(text_width(text, size, bold=bold) for text, size, bold in lines)))
    width = inner + 2 * PAD
    y = 6.0
    texts: list[Text] = []
    for index, (text, size, bold) in enumerate(lines):
        y += 15.0
        said = fit(text, size, inner, bold=bold)
        texts.append(Text(x=PAD, y=y, text=said, size=size, is_bold=bold, fill="muted" if index else "text"))
    items: list[Shape] = list(texts)
    y += 8.0
    if block.heat is not None:
        cell = inner / block.heat.columns
        drawing = _draw_heat(block.heat, min(cell, 12.0), 9.0)
        group, _ = drawing.at(PAD, y)
        items.append(Group(items=(group,), detail=block.heat.detail))
        y += drawing.height + 8.0
    card = Rect(
        x=0, y=0, width=width, height=y, radius=8, fill="card", stroke="line", is_dashed=block.kind == "missing"
    )
    name = block.key
    outer = Box(kind="node", x=0, y=0, width=width, height=y, name=name)
    detail = f"{block.title}\n{block.subtitle}\n{block.facts}".strip()
    return PlacedBlock(
        panel=(),
        drawing=Drawing(
            width=width,
            height=y,
            items=(Group(items=(card, *items), detail=detail),),
            boxes=(outer, *label_boxes(texts, name)),
        ),
        ports={},
        panel_top=0.0,
    )


def draw_card(node: Node, width: float, name: str) -> Drawing:
    """Draw a node: its name, its value, and in tiny networks its sum."""
    inner = width - 2 * PAD
    is_dead = node.state == "dead"
    lines: list[tuple[str, float, bool, Role]] = []
    if node.name:
        shown = f"✓ {node.name}" if node.chosen else node.name
        lines.append((shown, _NAME, node.chosen, "text" if node.chosen else "muted"))
    if node.value:
        lines.append((node.value, _VALUE, True, "muted" if is_dead else "text"))
    if node.note:
        lines.append((node.note, _NOTE, False, "mark" if node.mark else "muted"))
    y = 4.0
    texts: list[Text] = []
    for text, size, bold, fill in lines:
        y += size + 3.5
        said = fit(text, size, inner, bold=bold)
        texts.append(Text(x=width / 2, y=y, text=said, size=size, is_bold=bold, fill=fill, anchor="middle"))
    height = y + 8.0
    border: Role = "mark" if node.mark else "text" if node.chosen else "line"
    thick = 2.0 if node.mark else 1.5 if node.chosen else 1.0
    frame = Rect(x=0, y=0, width=width, height=height, radius=8)
    items: list[Shape] = [replace(frame, fill="card")]
    if node.tone and not is_dead:
        items.append(replace(frame, fill="positive" if node.tone > 0 else "negative", opacity=_TINT * abs(node.tone)))
    items.append(replace(frame, stroke=border, stroke_width=thick, is_dashed=is_dead))
    if node.state == "saturated":
        items.append(Rect(x=3, y=3, width=width - 6, height=height - 6, radius=5.5, stroke="text", stroke_width=0.75))
    box = Box(kind="node", x=0, y=0, width=width, height=height, name=name)
    return Drawing(width=width, height=height, items=(*items, *texts), boxes=(box, *label_boxes(texts, name)))


def _card_width(nodes: Sequence[Node]) -> float:
    widest = 0.0
    for node in nodes:
        widest = max(
            widest,
            text_width(f"✓ {node.name}" if node.chosen else node.name, _NAME, bold=node.chosen),
            text_width(node.value, _VALUE, bold=True),
            text_width(node.note, _NOTE),
        )
    return min(widest, _MAX_TEXT) + 2 * PAD if nodes else 0.0


def _cell_size(heat: Heat | None) -> float:
    return 0.0 if heat is None else max(3.0, min(9.0, _HEAT / heat.columns))


def _draw_heat(heat: Heat, cell: float, height: float | None = None) -> Drawing:
    """Draw cells; those of one colour and strength are one path."""
    tall = height or cell
    rows = -(-len(heat.tones) // heat.columns)
    whole = Rect(x=0, y=0, width=cell * heat.columns, height=tall * rows, fill="card", stroke="line", stroke_width=0.5)
    strengths = [round(tone * 12) for tone in heat.tones]
    items: list[Shape] = [whole]
    step, down = number_text(cell), number_text(tall)
    for strength, cells in groupby(sorted(range(len(strengths)), key=strengths.__getitem__), key=strengths.__getitem__):
        if not strength:
            continue
        data = "".join(
            f"M{number_text(column * cell)} {number_text(row * tall)}h{step}v{down}h-{step}z"
            for row, column in (divmod(index, heat.columns) for index in cells)
        )
        role: Role = "positive" if strength > 0 else "negative"
        items.append(Path(data=data, fill=role, opacity=round(abs(strength) / 12, 2)))
    box = Box(kind="node", x=0, y=0, width=whole.width, height=whole.height, name="heat")
    return Drawing(width=whole.width, height=whole.height, items=tuple(items), boxes=(box,))


def _rest_width(rest: Rest | None) -> float:
    if rest is None:
        return 0.0
    ends = text_width(rest.low, _NOTE) + text_width(rest.high, _NOTE) + 14
    return max(110.0, text_width(rest.label, _NAME) + 2 * PAD, ends + 2 * PAD)


def _draw_rest(rest: Rest, width: float, name: str) -> Drawing:
    """Draw the nodes that have no card: how many, and a histogram."""
    texts = [Text(x=width / 2, y=17, text=rest.label, size=_NAME, fill="muted", anchor="middle")]
    items: list[Shape] = []
    y = 24.0
    if rest.bars:
        step = (width - 2 * PAD) / len(rest.bars)
        top = max(rest.bars)
        bars = ""
        for index, bar in enumerate(rest.bars):
            tall = _BARS_HEIGHT * bar / top
            if bar:
                tall = max(tall, 1.0)
                left, up = number_text(PAD + index * step + 0.5), number_text(y + _BARS_HEIGHT - tall)
                bars += f"M{left} {up}h{number_text(step - 1)}v{number_text(tall)}h-{number_text(step - 1)}z"
        items.append(Path(data=bars, fill="muted", opacity=0.75))
        y += _BARS_HEIGHT + 13
        texts.append(Text(x=PAD, y=y, text=rest.low, size=_NOTE, fill="muted"))
        texts.append(Text(x=width - PAD, y=y, text=rest.high, size=_NOTE, fill="muted", anchor="end"))
        y += 7
    frame = Rect(x=0, y=0, width=width, height=y, radius=8, fill="card", stroke="line", is_dashed=not rest.bars)
    box = Box(kind="node", x=0, y=0, width=width, height=y, name=name)
    return Drawing(width=width, height=y, items=(frame, *items, *texts), boxes=(box, *label_boxes(texts, name)))
