"""Attributions as drawings: bars from the baseline to the output, one below the other."""

from collections.abc import Sequence
from typing import Final

from forwardpass.render.fonts import fit, text_width
from forwardpass.render.graphs.attributions import Bar, Waterfall
from forwardpass.render.numerals import short, short_signed
from forwardpass.render.palette import Role
from forwardpass.render.scene.shapes import Box, Drawing, Group, Path, Rect, Shape, Text, label_boxes

_ROW: Final = 26.0
_BAR: Final = 16.0
_CHART: Final = 300.0
_MAX_NAME: Final = 240.0
_SIZE: Final = 11.5


def draw_waterfalls(found: Sequence[Waterfall]) -> Drawing:
    """Draw waterfalls one below the other, with their bars in line."""
    labels = [_label(bar) for each in found for bar in each.bars] + ["baseline", *(each.output for each in found)]
    names = min(_MAX_NAME, max(text_width(label, _SIZE) for label in labels)) + 12
    numbers = [_number(bar) for each in found for bar in each.bars]
    numbers += [short(value) for each in found for value in (each.baseline or 0.0, each.value)]
    room = max(text_width(number, _SIZE, bold=True) for number in numbers) + 12
    items: list[Shape] = []
    boxes: list[Box] = []
    y = 0.0
    for index, each in enumerate(found):
        drawing = _draw(each, names, room, str(index))
        group, inside = drawing.at(0, y)
        items.append(group)
        boxes += inside
        y += drawing.height + 22
    width = names + _CHART + 2 * room
    return Drawing(width=width, height=max(0.0, y - 22), items=tuple(items), boxes=tuple(boxes))


def _draw(each: Waterfall, names: float, room: float, key: str) -> Drawing:
    starts, ends = _spans(each)
    low, high = min(*starts, *ends), max(*starts, *ends)
    if each.baseline is None:
        low, high = min(low, 0.0), max(high, 0.0)
    left = names + room
    scale = _CHART / (high - low) if high > low else 0.0

    def at(value: float) -> float:
        return left + (value - low) * scale

    width = left + _CHART + room
    texts: list[Text] = []
    items: list[Shape] = []
    boxes: list[Box] = []
    y = 0.0
    if each.baseline is not None:
        _row(texts, y, names, "baseline", short(each.baseline), at(each.baseline), fill="muted")
        items.append(_line(at(each.baseline), y + 4, y + _ROW + 4))
        y += _ROW
    for place, bar in enumerate(each.bars):
        role: Role = "muted" if bar.is_rest else "positive" if bar.share >= 0 else "negative"
        begin, end = at(starts[place]), at(ends[place])
        rect = Rect(
            x=min(begin, end),
            y=y + (_ROW - _BAR) / 2,
            width=max(1.0, abs(end - begin)),
            height=_BAR,
            radius=2.5,
            fill=role,
            opacity=0.55 if bar.is_rest else 0.85,
        )
        detail = f"{_label(bar)}\n{short_signed(bar.share)}"
        items.append(Group(items=(rect,), detail=detail))
        boxes.append(
            Box(kind="node", x=rect.x, y=rect.y, width=rect.width, height=rect.height, name=f"waterfall/{key}/{place}")
        )
        _row(texts, y, names, _label(bar), _number(bar), end, fill=role, goes_left=bar.share < 0)
        if each.baseline is not None:
            items.append(_line(end, y + _ROW - (_ROW - _BAR) / 2, y + _ROW + (_ROW - _BAR) / 2))
        y += _ROW
    if each.baseline is None:
        items.insert(0, _line(at(0.0), 0, y))
    end = at(each.value if each.baseline is not None else 0.0)
    _row(texts, y, names, each.output, short(each.value), end, bold=True)
    if each.baseline is not None:
        items.append(_line(at(each.value), y - 4, y + _ROW - 4))
    y += _ROW
    return Drawing(width=width, height=y, items=(*items, *texts), boxes=(*boxes, *label_boxes(texts)))


def _spans(each: Waterfall) -> tuple[list[float], list[float]]:
    """Return where each bar begins and ends: one after the other, or all at 0 where shares do not add up."""
    starts, ends = [], []
    at = each.baseline or 0.0
    for bar in each.bars:
        starts.append(at)
        ends.append(at + bar.share)
        at = ends[-1] if each.baseline is not None else 0.0
    if each.baseline is not None:
        starts.append(each.baseline)
        ends.append(each.value)
    return starts or [0.0], ends or [0.0]


def _row(
    texts: list[Text],
    y: float,
    names: float,
    label: str,
    number: str,
    x: float,
    *,
    fill: Role = "text",
    bold: bool = False,
    goes_left: bool = False,
) -> None:
    base = y + _ROW / 2 + 4
    shown = fit(label, _SIZE, names - 12, bold=bold)
    texts.append(Text(x=names - 8, y=base, text=shown, size=_SIZE, is_bold=bold, anchor="end"))
    if goes_left:
        texts.append(Text(x=x - 6, y=base, text=number, size=_SIZE, is_bold=True, fill=fill, anchor="end"))
    else:
        texts.append(Text(x=x + 6, y=base, text=number, size=_SIZE, is_bold=True, fill=fill))


def _number(bar: Bar) -> str:
    return short_signed(bar.share) + ("" if bar.error is None else f" ± {short(bar.error, 3)}")


def _label(bar: Bar) -> str:
    return f"{bar.name} = {bar.value}" if bar.value else bar.name


def _line(x: float, top: float, bottom: float) -> Path:
    return Path(data=f"M{x:.2f} {top:.2f}V{bottom:.2f}", stroke="neutral", width=1.0)
