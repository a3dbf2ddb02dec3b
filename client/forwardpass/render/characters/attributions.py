"""Draws attributions with characters: a line for each input."""

from collections.abc import Iterator, Sequence

from forwardpass.render.characters.traces import ASCII, UNICODE, cut
from forwardpass.render.graphs.attributions import Waterfall
from forwardpass.render.numerals import number, signed


def attributions_text(title: str, found: Sequence[Waterfall], *, width: int, ascii_only: bool) -> str:
    """Draw waterfalls as lists.

    Args:
        title: The first line.
        found: The waterfalls.
        width: The largest number of characters in a line.
        ascii_only: Whether to use only ASCII.
    """
    ink = ASCII if ascii_only else UNICODE
    lines = [title]
    for each in found:
        lines += ["", *_lines(each)]
    text = "\n".join(cut(line, width, ink) for line in lines)
    return text.replace("\u2212", "-").encode("ascii", "backslashreplace").decode() if ascii_only else text


def _lines(each: Waterfall) -> Iterator[str]:
    labels = [f"{bar.name} = {bar.value}" if bar.value else bar.name for bar in each.bars]
    wide = max(map(len, [*labels, "baseline", each.output]))
    if each.baseline is not None:
        yield f"{'baseline'.ljust(wide)}  {number(each.baseline)}"
    for label, bar in zip(labels, each.bars, strict=True):
        error = "" if bar.error is None else f" +- {number(bar.error)}"
        yield f"{label.ljust(wide)}  {signed(bar.share)}{error}"
    yield f"{each.output.ljust(wide)}  {number(each.value)}"
