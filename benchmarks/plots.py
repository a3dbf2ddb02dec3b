"""Plots of lines and of bars as SVG, in colours that are readable on white and on black."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 640
HEIGHT: Final = 400
LEFT, RIGHT, TOP, BOTTOM = 78, 150, 48, 52
BAR, GAP = 22, 12
INK: Final = "#808080"
COLOURS: Final = ("#2f81f7", "#e0702d", "#3fa34d", "#a371f7", "#d64a8b", "#1aa3a3")

MAX_TICKS: Final = 12
"""From this number of different x on, the x axis has round numbers instead."""

Point = tuple[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plot:
    """A plot of lines.

    Attributes:
        title: The heading.
        x: The label of the x axis, with its unit.
        y: The label of the y axis, with its unit.
        lines: The points of each line by its name, x ascending.
        log_y: Whether the y axis is logarithmic; the x axis always is.
    """

    title: str
    x: str
    y: str
    lines: Mapping[str, Sequence[Point]]
    log_y: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Bars:
    """A plot of horizontal bars from zero.

    Attributes:
        title: The heading.
        values: The length of each bar by its name, from top to bottom.
    """

    title: str
    values: Mapping[str, float]


def bars(plot: Bars) -> str:
    """Draw bars, each with its name and its number."""
    left, right = 210, WIDTH - 70
    height = TOP + (BAR + GAP) * len(plot.values)
    scale = (right - left) / max(plot.values.values())
    parts = _opening(plot.title, height, left=16)
    for index, (name, value) in enumerate(plot.values.items()):
        top, length = TOP + (BAR + GAP) * index, max(value * scale, 1)
        middle = top + BAR / 2 + 4
        parts.append(_text(left - 10, middle, name, "end"))
        parts.append(f'<rect x="{left}" y="{top}" width="{length:.1f}" height="{BAR}" fill="{COLOURS[0]}"/>')
        parts.append(_text(left + length + 8, middle, f"{value:,.0f}", "start"))
    return "\n".join([*parts, "</g>", "</svg>", ""])


def svg(plot: Plot) -> str:
    """Draw a plot."""
    points = [point for line in plot.lines.values() for point in line]
    x_ticks = sorted({x for x, _ in points})
    if len(x_ticks) > MAX_TICKS:
        x_ticks = _ticks(x_ticks, log=True)
    y_ticks = _ticks([y for _, y in points], log=plot.log_y)
    right = _scale(x_ticks, LEFT, WIDTH - RIGHT, log=True)
    up = _scale(y_ticks, HEIGHT - BOTTOM, TOP, log=plot.log_y)
    parts = _opening(plot.title, HEIGHT, left=LEFT)
    for x in x_ticks:
        parts.append(_line(right(x), TOP, right(x), HEIGHT - BOTTOM))
        parts.append(_text(right(x), HEIGHT - BOTTOM + 18, _number(x), "middle"))
    for y in y_ticks:
        parts.append(_line(LEFT, up(y), WIDTH - RIGHT, up(y)))
        parts.append(_text(LEFT - 8, up(y) + 4, _number(y), "end"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, plot.x, "middle"))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(f'<text transform="translate(18 {middle:g}) rotate(-90)" text-anchor="middle">{escape(plot.y)}</text>')
    ends = _apart([up(line[-1][1]) for line in plot.lines.values()])
    for (name, line), colour, end in zip(plot.lines.items(), COLOURS, ends, strict=False):
        path = " ".join(f"{right(x):.1f},{up(y):.1f}" for x, y in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{right(x):.1f}" cy="{up(y):.1f}" r="3" fill="{colour}"/>' for x, y in line]
        place = f'x="{WIDTH - RIGHT + 10}" y="{end + 4:.1f}"'
        parts.append(f'<text {place} fill="{colour}" font-weight="bold">{escape(name)}</text>')
    return "\n".join([*parts, "</g>", "</svg>", ""])


def _opening(title: str, height: int, *, left: int) -> list[str]:
    """Begin a picture and write its heading."""
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">',
        f'<g font-family="sans-serif" font-size="12" fill="{INK}">',
        f"<title>{escape(title)}</title>",
        f'<text x="{left}" y="24" font-size="15" font-weight="bold">{escape(title)}</text>',
    ]


def _ticks(values: Sequence[float], *, log: bool) -> list[float]:
    """Choose round numbers that enclose all values; a log axis needs values above zero."""
    if log:
        low, high = (math.log10(value) for value in (min(values), max(values)))
        steps = (1.0,) if high - low > 2 else (1.0, 2.0, 5.0)
        ticks = [step * 10.0**power for power in range(math.floor(low), math.ceil(high) + 1) for step in steps]
        first = max(index for index, tick in enumerate(ticks) if tick <= min(values) * 1.0001)
        last = next((index for index, tick in enumerate(ticks) if tick >= max(values) * 0.9999), len(ticks) - 1)
        return ticks[first : max(last, first + 1) + 1]
    rough = max(values) / 5 or 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    return [step * index for index in range(math.ceil(max(values) / step - 1e-9) + 1)]


def _scale(ticks: Sequence[float], start: float, end: float, *, log: bool) -> Callable[[float], float]:
    """Return the function that maps the axis, from its first tick to its last, to pixels."""
    measure: Callable[[float], float] = math.log if log else float
    low, high = measure(ticks[0]), measure(ticks[-1])
    return lambda value: start + (measure(value) - low) / (high - low) * (end - start)


def _apart(places: Sequence[float], gap: float = 15.0) -> list[float]:
    """Move labels down until none covers another."""
    moved = list(places)
    order = sorted(range(len(moved)), key=lambda index: moved[index])
    for above, below in itertools.pairwise(order):
        moved[below] = max(moved[below], moved[above] + gap)
    return moved


def _number(value: float) -> str:
    """Write a tick: 0.001, 20, 5,000, 10k, 1M."""
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= max(limit, 10_000):
            return f"{value / limit:g}{letter}"
    return f"{value:,.6g}"


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="{INK}" stroke-opacity="0.25"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
