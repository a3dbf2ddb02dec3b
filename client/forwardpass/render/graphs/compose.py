"""From a source to the content of its picture: which nodes, which texts, which edges."""

from collections.abc import Iterator, Sequence

from forwardpass.render.graphs import words
from forwardpass.render.graphs.bundles import bundles_of, strongest
from forwardpass.render.graphs.choice import Choice
from forwardpass.render.graphs.nodes import nodes_of
from forwardpass.render.graphs.sources import Source
from forwardpass.render.graphs.stages import Stage
from forwardpass.render.graphs.summaries import (
    facts_of_values,
    facts_of_weights,
    heat_of_values,
    heat_of_weights,
    rest_of_names,
    rest_of_values,
)
from forwardpass.render.graphs.values import Block, Bundle, Graph, Heat
from forwardpass.render.numerals import count, percent


def compose(source: Source, choice: Choice) -> Graph:
    """Return the content of a picture.

    Args:
        source: The network, and a row's values.
        choice: Which nodes are shown.
    """
    bundles, dropped = strongest(tuple(bundles_of(source, choice)))
    return Graph(
        title=source.title,
        facts=_outcome(source),
        blocks=tuple(_block(source, stage, choice) for stage in source.stages),
        bundles=bundles,
        notes=tuple(_notes(source, choice, bundles, dropped)),
        measure=_measure(source, bundles),
    )


def _block(source: Source, stage: Stage, choice: Choice) -> Block:
    width, shown = len(stage.names), choice.shown[stage.key]
    is_cut = not choice.by_layer and len(shown) < width
    nodes = () if choice.by_layer else tuple(nodes_of(source, stage, choice))
    rest = None
    if is_cut:
        rest = rest_of_names(width, shown) if stage.after is None else rest_of_values(stage.after, shown)
    noun = {"inputs": "input", "outputs": "output"}.get(stage.kind, "node")
    return Block(
        key=stage.key,
        kind=stage.kind,
        title=stage.title,
        subtitle=" · ".join(part for part in (stage.what, count(width, noun) if width else "") if part),
        nodes=nodes,
        rest=rest,
        heat=_heat(stage, is_strip=choice.by_layer) if is_cut or (choice.by_layer and width > 1) else None,
        facts=_facts(source, stage),
    )


def _heat(stage: Stage, *, is_strip: bool) -> Heat | None:
    if stage.after is not None:
        return heat_of_values(stage.after, is_strip=is_strip)
    if not is_strip and stage.layer is not None and "weights" in stage.layer.arrays:
        return heat_of_weights(stage.layer.weights)
    return None


def _facts(source: Source, stage: Stage) -> str:
    if stage.kind == "missing":
        return ""
    return facts_of_weights(stage) if stage.after is None or not source.has_row else facts_of_values(stage.after)


def _outcome(source: Source) -> str:
    if source.label:
        return f"{source.label}, {percent(source.probability)}"
    outputs = [stage for stage in source.stages if stage.kind == "outputs" and stage.after is not None]
    if not outputs or len(outputs[-1].names) > 4:
        return ""
    last = outputs[-1]
    assert last.after is not None  # noqa: S101 - just seen
    shown = []
    for index, (name, value) in enumerate(zip(last.names, last.after.tolist(), strict=True)):
        metadata = source.output_metadata[index] if index < len(source.output_metadata) else None
        shown.append(f"{name} = {words.output_value(value, metadata, is_probability=False)}")
    return ", ".join(shown)


def _notes(source: Source, choice: Choice, bundles: Sequence[Bundle], dropped: int) -> Iterator[str]:
    bands = not choice.by_layer and any(not bundle.edges for bundle in bundles)
    if choice.by_layer and (source.has_row or source.has_weights):
        yield "The network is too deep to draw its nodes; each cell is a node."
    elif bands and not source.has_weights:
        yield "Bands: the weights were not read." + (" A trace with contributions has them." if source.has_row else "")
    elif bands:
        yield "Bands: the edges of these layers were not read."
    if dropped:
        yield f"{count(dropped, 'weaker edge')} not drawn."
    if source.is_standardized:
        yield "Inputs are shown after standardization, where the network has one."


def _measure(source: Source, bundles: Sequence[Bundle]) -> str:
    if not any(edge.strength is not None for bundle in bundles for edge in bundle.edges):
        return ""
    return "width: |weight × value|" if source.has_row else "width: |weight|"
