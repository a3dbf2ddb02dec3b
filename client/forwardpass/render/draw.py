"""The pictures: of a row's way through a network, of a network, of two rows, of attributions."""

from collections.abc import Sequence
from typing import Final

from forwardpass.predictions import ExplanationValues, TraceValues
from forwardpass.render.characters import attributions_text, network_text, trace_text
from forwardpass.render.graphs.attributions import waterfalls
from forwardpass.render.graphs.choice import choose
from forwardpass.render.graphs.compose import compose
from forwardpass.render.graphs.difference import compose_both
from forwardpass.render.graphs.sources import Described, Marks, Source, of_network, of_trace
from forwardpass.render.picture import Picture
from forwardpass.render.scene.diagram import draw_graph
from forwardpass.render.scene.frame import frame, legend_of
from forwardpass.render.scene.shapes import Scene
from forwardpass.render.scene.waterfall import draw_waterfalls

MAX_NODES: Final = 12
"""A layer of at most as many nodes shows all of them, unless a call says otherwise."""


def draw_trace(
    trace: TraceValues,
    *,
    row: int = 0,
    network: Described | None = None,
    marks: Marks | None = None,
    max_nodes: int = MAX_NODES,
) -> Picture:
    """Draw the way of one row through a network.

    A node has its weighted sum and its activation. An edge is blue where it adds and orange where it takes away, and as
    wide as |weight x value|, if the trace has contributions or `network` is a spec; else bands join the layers. A wide
    layer shows the nodes on the strongest paths, a cell for every node, and a histogram of the others.

    Args:
        trace: From `Client.trace`.
        row: The index of the row.
        network: The version's spec (`Client.spec`), for weights, units and categories; or its `VersionInfo`, without
            weights.
        marks: For nodes to mark, by layer and node, the reason; None marks the unusual values of a trace with
            percentiles.
        max_nodes: A layer of at most as many nodes shows all of them.

    Raises:
        IndexError: The trace has no such row.
        ValueError: `network` is not the version that the trace is of, or `max_nodes` is less than 1.
    """
    _check_nodes(max_nodes)
    source = of_trace(trace, row, network, marks)
    return Picture(
        lambda: _scene(source, max_nodes),
        lambda width, ascii_only: trace_text(trace, row=row, width=width, ascii_only=ascii_only),
    )


def draw_network(network: Described, *, title: str = "", max_nodes: int = MAX_NODES) -> Picture:
    """Draw a network without a row: its weights as edges, or of a `VersionInfo` its layers.

    Args:
        network: A spec, or a version without its weights.
        title: The first line, as a spec has no name.
        max_nodes: A layer of at most as many nodes shows all of them.

    Raises:
        ValueError: `max_nodes` is less than 1.
    """
    _check_nodes(max_nodes)
    source = of_network(network, title)
    return Picture(
        lambda: _scene(source, max_nodes),
        lambda width, ascii_only: network_text(source, width=width, ascii_only=ascii_only),
    )


def draw_difference(
    first: TraceValues,
    second: TraceValues,
    *,
    rows: tuple[int, int] = (0, 0),
    networks: tuple[Described | None, Described | None] = (None, None),
    max_nodes: int = MAX_NODES,
) -> Picture:
    """Draw two rows beside each other, of one version or of two, and mark the nodes that differ.

    Layers with the same name and nodes show the same nodes; the second picture has their differences.

    Args:
        first: A trace.
        second: Another one, or the same one for another row.
        rows: The index of the row in each.
        networks: The spec or version of each, as for `draw_trace`.
        max_nodes: A layer of at most as many nodes shows all of them.

    Raises:
        IndexError: A trace has no such row.
        ValueError: A network is not the version of its trace, or `max_nodes` is less than 1.
    """
    _check_nodes(max_nodes)
    sources = of_trace(first, rows[0], networks[0], {}), of_trace(second, rows[1], networks[1], {})

    def build() -> Scene:
        graphs = compose_both(*sources, max_nodes)
        lines = [(f"{graph.title}: {graph.facts}".removesuffix(": "), draw_graph(graph)) for graph in graphs]
        legend = list(dict.fromkeys(entry for graph in graphs for entry in legend_of(graph, "differs")))
        notes = list(dict.fromkeys(note for graph in graphs for note in graph.notes))
        title = f"{first.network} version {first.version}: two rows"
        return frame(title if first.digest == second.digest else "Two versions", "", lines, legend, notes)

    def write(width: int, ascii_only: bool) -> str:  # noqa: FBT001 - called by Picture alone
        texts = [
            trace_text(trace, row=row, width=width, ascii_only=ascii_only)
            for trace, row in zip((first, second), rows, strict=True)
        ]
        return "\n\n".join(texts)

    return Picture(build, write)


def draw_attributions(
    explanation: ExplanationValues,
    *,
    row: int = 0,
    outputs: Sequence[str] | None = None,
    network: Described | None = None,
) -> Picture:
    """Draw how the inputs share an output: bars from the output of the baseline to that of the row.

    Shares of a method without a baseline do not add up, and all begin at 0. The largest twelve have bars of their own.

    Args:
        explanation: From `Client.explain`.
        row: The index of the row.
        outputs: Explained outputs, by their names or classes; those with the largest shares if left out.
        network: The spec or version, for units.

    Raises:
        IndexError: The explanation has no such row.
        ValueError: An output is not among those that are explained, or a name stands for two of them.
    """
    found = waterfalls(explanation, row, outputs, network)
    title = f"{explanation.network} version {explanation.version}"
    if len(explanation.attributions) > 1:
        title += f", row {row} of {len(explanation.attributions)}"
    facts = explanation.method.replace("_", " ") + (", in logits" if explanation.scale == "logits" else "")
    return Picture(
        lambda: frame(title, facts, [("", draw_waterfalls(found))], [("positive", "adds"), ("negative", "takes away")]),
        lambda width, ascii_only: attributions_text(f"{title}: {facts}", found, width=width, ascii_only=ascii_only),
    )


def _check_nodes(max_nodes: int) -> None:
    if max_nodes < 1:
        raise ValueError(f"max_nodes is {max_nodes}; must be at least 1")


def _scene(source: Source, max_nodes: int) -> Scene:
    graph = compose(source, choose(source, max_nodes))
    legend = legend_of(graph, "unusual in its profile")
    return frame(graph.title, graph.facts, [("", draw_graph(graph))], legend, graph.notes)
