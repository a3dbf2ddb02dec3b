"""Two sources with the same nodes shown and their differences marked."""

from dataclasses import replace

import numpy as np

from forwardpass.render.graphs.choice import Choice, choose
from forwardpass.render.graphs.compose import compose
from forwardpass.render.graphs.sources import Source
from forwardpass.render.graphs.stages import Stage
from forwardpass.render.graphs.values import Block, Graph, Node
from forwardpass.render.numerals import count, short, short_signed
from forwardpass.tensors import Array

_SAME = 1e-6
"""Values differ where they are farther apart than this times the largest of their layer."""


def compose_both(first: Source, second: Source, max_nodes: int) -> tuple[Graph, Graph]:
    """Return the contents of both pictures.

    Layers are the same if they have the same name and nodes. Their nodes are chosen together, those that differ before
    others. Nodes whose activations differ are marked in both, with the difference in the second.
    """
    changes = {
        stage.key: found for stage in first.stages if (found := _change(stage, _same(stage, second))) is not None
    }
    more = {
        key: 2 * np.abs(found) / max(float(np.abs(found).max(initial=0.0)), 1e-300) for key, found in changes.items()
    }
    choice = choose(first, max_nodes, more)
    own = choose(second, max_nodes)
    alike = Choice(
        shown={
            stage.key: choice.shown[stage.key] if stage.key in changes else own.shown[stage.key]
            for stage in second.stages
        },
        by_layer=choice.by_layer or own.by_layer,
        is_tiny=choice.is_tiny and own.is_tiny,
    )
    if alike.by_layer:
        choice = Choice(shown={stage.key: () for stage in first.stages}, by_layer=True)
        alike = Choice(shown={stage.key: () for stage in second.stages}, by_layer=True)
    graphs = compose(first, choice), compose(second, alike)
    return _marked(graphs[0], first, choice, changes, says=False), _marked(graphs[1], first, choice, changes, says=True)


def _same(stage: Stage, source: Source) -> Stage | None:
    other = next((each for each in source.stages if each.key == stage.key), None)
    return other if other is not None and other.names == stage.names else None


def _change(stage: Stage, other: Stage | None) -> Array | None:
    """Return the differences of the activations, `(nodes,)`, 0 where they are as good as equal; or None."""
    if other is None or stage.after is None or other.after is None:
        return None
    one, two = (np.nan_to_num(each.after.astype(np.float64)) for each in (stage, other) if each.after is not None)
    largest = float(max(np.abs(one).max(initial=0.0), np.abs(two).max(initial=0.0)))
    return np.where(np.abs(two - one) > _SAME * largest, two - one, 0.0)


def _marked(graph: Graph, first: Source, choice: Choice, changes: dict[str, Array], *, says: bool) -> Graph:
    keys = {stage.key for stage in first.stages}
    blocks = []
    for block in graph.blocks:
        if block.key in changes:
            # Inputs with units have no common scale for their difference; both pictures show their values.
            has_number = says and not (block.kind == "inputs" and first.features)
            blocks.append(_marked_block(block, choice, changes[block.key], says=has_number))
        elif block.key in keys or not says:
            blocks.append(block)
        else:
            blocks.append(replace(block, subtitle=f"{block.subtitle} · only here"))
    return replace(graph, blocks=tuple(blocks))


def _marked_block(block: Block, choice: Choice, change: Array, *, says: bool) -> Block:
    nodes = tuple(
        _marked_node(node, float(change[index]), says=says)
        for node, index in zip(block.nodes, choice.shown[block.key], strict=True)
    )
    differing = int(np.count_nonzero(change))
    facts = block.facts
    if says and differing:
        facts = f"{count(differing, 'node')} differ, by up to {short(float(np.abs(change).max()))}"
    return replace(block, nodes=nodes, facts=facts)


def _marked_node(node: Node, change: float, *, says: bool) -> Node:
    if not change:
        return replace(node, note="")
    said = f"difference: {short_signed(change)}"
    note = f"Δ {short_signed(change)}" if says else ""
    return replace(node, mark=said, note=note, detail=f"{node.detail}\n{said}")
