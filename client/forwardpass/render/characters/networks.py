"""Draws networks without a row with characters: a list of layers, and for each its sources and its statistics."""

from collections.abc import Iterator

from forwardpass.merges import reading
from forwardpass.render.characters.traces import ASCII, UNICODE, Ink, cut
from forwardpass.render.graphs.sources import Source
from forwardpass.render.graphs.stages import Stage
from forwardpass.render.graphs.summaries import facts_of_weights


def network_text(source: Source, *, width: int, ascii_only: bool) -> str:
    """Draw the stages of a network as a list.

    Args:
        source: The network.
        width: The largest number of characters in a line.
        ascii_only: Whether to use only ASCII.
    """
    ink = ASCII if ascii_only else UNICODE
    titles = {stage.key: stage.title for stage in source.stages}
    lines = [source.title, ""]
    for stage in source.stages:
        lines += _stage(stage, titles, ink)
    text = "\n".join(cut(line, width, ink) for line in lines)
    return _in_ascii(text) if ascii_only else text


def _in_ascii(text: str) -> str:
    for sign, plain in (("\u2212", "-"), ("±", "+-"), ("×", "x")):
        text = text.replace(sign, plain)
    return text.encode("ascii", "backslashreplace").decode()


def _stage(stage: Stage, titles: dict[str, str], ink: Ink) -> Iterator[str]:
    sources = reading([titles[one.source] for one in stage.reads], None)
    function = f": {stage.what}" if stage.what else ""
    yield f"{stage.title}{function} ({len(stage.names)})" + (f" {ink.back} {sources}" if sources else "")
    facts = facts_of_weights(stage)
    if facts:
        yield f"  {facts}"
