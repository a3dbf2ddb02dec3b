"""The texts of nodes: names, values, sums spelled out, and what a reader gets who points at one."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from forwardpass.render.graphs import words
from forwardpass.render.graphs.choice import Choice
from forwardpass.render.graphs.connections import Full
from forwardpass.render.graphs.sources import Source
from forwardpass.render.graphs.stages import Read, Stage
from forwardpass.render.graphs.summaries import tones
from forwardpass.render.graphs.values import Node
from forwardpass.render.numerals import MINUS, short
from forwardpass.tensors import Array

if TYPE_CHECKING:
    from forwardpass.render.graphs.sources import AnyFeature

_MAX_TERMS = 6
_MAX_NOTE_TERMS = 3


def nodes_of(source: Source, stage: Stage, choice: Choice) -> Iterator[Node]:
    """Yield the shown nodes of a stage."""
    stages = {each.key: each for each in source.stages}
    shown = choice.shown[stage.key]
    if stage.after is None:
        yield from (_plain(source, stage, index) for index in shown)
        return
    colours = tones(stage.after)
    states = words.states(stage.function, stage.before, stage.after)
    for index in shown:
        after = float(stage.after[index])
        yield Node(
            name=_name(source, stage, index),
            value=_value(source, stage, index, after),
            note=_note(stage, index, stages) if choice.is_tiny else "",
            detail="\n".join(_detail(source, stage, index, after, stages)),
            tone=0.0 if stage.kind == "inputs" else float(colours[index]),
            state=states[index],
            mark=_mark(source, stage, index),
            chosen=_is_chosen(source, stage, index),
        )


def _plain(source: Source, stage: Stage, index: int) -> Node:
    """Return a node without a value."""
    bias = 0.0 if stage.bias is None else float(stage.bias[index])
    value = f"bias {short(bias, 3)}" if bias else ""
    detail = f"{words.clip(stage.title)}: {words.clip(stage.names[index])}" + (f"\nbias: {short(bias)}" if bias else "")
    return Node(name=_name(source, stage, index), value=value, detail=detail)


def _name(source: Source, stage: Stage, index: int) -> str:
    """Return the name of a node: of a class its label; none of a merged value, whose name is that of all it merges."""
    if stage.kind == "outputs" and len(source.classes) == len(stage.names):
        return source.classes[index]
    return "" if stage.kind == "merge" and stage.after is not None else stage.names[index]


def _mark(source: Source, stage: Stage, index: int) -> str:
    """Return why a node is marked, empty where it is not."""
    group = stage.kind if stage.kind in {"inputs", "outputs"} else stage.title
    return source.marks.get(group, {}).get(stage.names[index], "")


def _is_chosen(source: Source, stage: Stage, index: int) -> bool:
    if stage.kind != "outputs" or not source.label or len(source.classes) != len(stage.names):
        return False
    return source.classes[index] == source.label


def _value(source: Source, stage: Stage, index: int, after: float) -> str:
    before = None if stage.before is None else float(stage.before[index])
    if stage.kind == "inputs":
        return words.input_value(after, feature_of(source, stage, index))
    if stage.kind != "outputs":
        return words.node_value(before, after)
    metadata = source.output_metadata[index] if index < len(source.output_metadata) else None
    is_probability = bool(source.label) and words.gives_probabilities(stage.function)
    text = words.output_value(after, metadata, is_probability=is_probability)
    return text if before is None or short(before) == short(after) else f"{short(before, 3)} → {text}"


def feature_of(source: Source, stage: Stage, index: int) -> "AnyFeature | None":
    """Return the feature of an input, or None where the inputs have none."""
    if not source.features:
        return None
    before = source.stages[: source.stages.index(stage)]
    return source.features[sum(len(other.names) for other in before if other.kind == "inputs") + index]


def _detail(source: Source, stage: Stage, index: int, after: float, stages: Mapping[str, Stage]) -> Iterator[str]:
    """Yield the sum of a node spelled out, line by line."""
    yield f"{words.clip(stage.title)}: {words.clip(stage.names[index])}"
    yield from filter(None, [_mark(source, stage, index)])
    if stage.kind == "inputs":
        yield words.input_value(after, feature_of(source, stage, index))
        if source.features:
            yield f"standardized: {short(after)}"
        return
    for read in stage.reads:
        if isinstance(read.connections, Full):
            yield from words.terms(stages[read.source].names, _finite(read.connections.numbers[index]), _MAX_TERMS)
    if stage.bias is not None and stage.bias[index]:
        yield f"bias: {short(float(stage.bias[index]))}"
    if stage.before is None:
        yield short(after)
        return
    yield f"sum: {short(float(stage.before[index]))}"
    yield f"{stage.function} → {short(after)}"


def _finite(numbers: Array) -> Array:
    finite: Array = np.nan_to_num(numbers.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    return finite


def _note(stage: Stage, index: int, stages: Mapping[str, Stage]) -> str:
    """Return the sum of a node of a tiny network on one line, for example `2 x 1 + 3 x 1`."""
    reads = [read for read in stage.reads if isinstance(read.connections, Full)]
    terms = [term for read in reads for term in _terms(read, index, stages[read.source].after)]
    if stage.before is None or len(reads) < len(stage.reads) or not 1 < len(terms) <= _MAX_NOTE_TERMS:
        return ""
    if stage.bias is not None and stage.bias[index]:
        terms.append(_factor(short(float(stage.bias[index]), 3)))
    return " + ".join(terms)


def _terms(read: Read, index: int, values: Array | None) -> Sequence[str]:
    assert isinstance(read.connections, Full)  # noqa: S101 - the caller looks
    if isinstance(read.weights, Full) and values is not None:
        pairs = zip(read.weights.numbers[index].tolist(), values.tolist(), strict=True)
        return [f"{_factor(short(weight, 3))}×{_factor(short(value, 3))}" for weight, value in pairs]
    return [_factor(short(number, 3)) for number in read.connections.numbers[index].tolist()]


def _factor(text: str) -> str:
    return f"({text})" if text.startswith(MINUS) else text
