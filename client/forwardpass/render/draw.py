"""The pictures: of a row's way through a network, of a network."""

from forwardpass.predictions import TraceValues
from forwardpass.profiles.percentiles import marks_of
from forwardpass.render.characters import network_text, trace_text
from forwardpass.render.graphs.choice import choose
from forwardpass.render.graphs.compose import Marks, compose
from forwardpass.render.graphs.sources import Described, Source, of_network, of_trace
from forwardpass.render.picture import Picture
from forwardpass.render.scene.diagram import draw_graph
from forwardpass.render.scene.frame import frame, legend_of
from forwardpass.render.scene.shapes import Scene

MAX_NODES = 12


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
    source = of_trace(trace, row, network)
    return Picture(
        lambda: _scene(source, marks_of(trace, row) if marks is None else marks, max_nodes),
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
        lambda: _scene(source, None, max_nodes),
        lambda width, ascii_only: network_text(source, width=width, ascii_only=ascii_only),
    )


def _check_nodes(max_nodes: int) -> None:
    if max_nodes < 1:
        raise ValueError(f"max_nodes is {max_nodes}; must be at least 1")


def _scene(source: Source, marks: Marks | None, max_nodes: int) -> Scene:
    graph = compose(source, choose(source, max_nodes), marks)
    return frame(graph.title, graph.facts, [("", draw_graph(graph))], legend_of(graph), graph.notes)
