"""The columns of one row's trace in characters: named values, one column for each layer.

This module has names and numbers only; `traces` draws them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forwardpass.merges import reading
from forwardpass.predictions import LayerTrace, TraceValues
from forwardpass.spec.network import DENSE

MAX_CONTRIBUTIONS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Contribution:
    """The contribution of one input to a node: weight x value."""

    name: str
    amount: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One node.

    Attributes:
        name: The node's name.
        before: The pre-activation, or None for an input.
        value: The activation, or the input.
        contributions: The largest ones, largest first; empty when the trace has none.
        bias: The node's bias beside contributions, or None.
    """

    name: str
    before: float | None
    value: float
    contributions: tuple[Contribution, ...] = ()
    bias: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """The inputs or one layer.

    Attributes:
        title: The layer's name.
        reads: The sources of the layer, such as `hidden, inputs (sum)`; empty if it reads the column before.
        function: Its activation, preceded by its kind unless it is dense; empty for the inputs.
        cells: The shown nodes in the order of the network.
        hidden: The number of nodes that are not shown.
    """

    title: str
    reads: str
    function: str
    cells: tuple[Cell, ...]
    hidden: int


def columns(trace: TraceValues, row: int, most: int | None) -> tuple[Column, ...]:
    """Lay out one row of a trace.

    Args:
        trace: The trace.
        row: The index of the row.
        most: The number of nodes of a layer to show, those of the largest size; None shows all.
    """
    inputs = [
        Cell(name=name, before=None, value=float(value))
        for name, value in zip(trace.input_names, trace.inputs[row], strict=True)
    ]
    shown = [_column("inputs", "", "", inputs, most)]
    for layer in trace.layers:
        reads = "" if layer.from_ in {(), (shown[-1].title,)} else reading(layer.from_, layer.merge)
        function = layer.function if layer.kind == DENSE else f"{layer.kind}, {layer.function}"
        shown.append(_column(layer.name, reads, function, _cells(layer, row), most))
    return tuple(shown)


def _cells(layer: LayerTrace, row: int) -> list[Cell]:
    return [
        Cell(
            name=name,
            before=float(layer.pre_activation[row, node]),
            value=float(layer.activation[row, node]),
            contributions=_largest(layer, row, node),
            bias=None if layer.bias is None else float(layer.bias[node]),
        )
        for node, name in enumerate(layer.nodes)
    ]


def _largest(layer: LayerTrace, row: int, node: int) -> tuple[Contribution, ...]:
    if layer.contributions is None:
        return ()
    amounts = layer.contributions[row, node]
    order = np.argsort(-np.abs(amounts), kind="stable")[:MAX_CONTRIBUTIONS].tolist()
    return tuple(Contribution(name=layer.inputs[index], amount=float(amounts[index])) for index in order)


def _column(title: str, reads: str, function: str, cells: Sequence[Cell], most: int | None) -> Column:
    by_size = sorted(range(len(cells)), key=lambda index: -abs(cells[index].value))
    shown = sorted(by_size[:most])
    return Column(
        title=title,
        reads=reads,
        function=function,
        cells=tuple(cells[index] for index in shown),
        hidden=len(cells) - len(shown),
    )
