"""What is computed of a row's elements together: over an axis or several, and in windows."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from forwardpass.importers.onnx.arrays import Array
from forwardpass.importers.onnx.draft import PASS
from forwardpass.importers.onnx.refusing import Refused
from forwardpass.importers.onnx.step import Step, not_rows
from forwardpass.importers.onnx.structure import joined
from forwardpass.importers.onnx.values import Flow

_MAX_GROUPS: Final = 64
"""How many layers one node may become."""


def grouped(step: Step, flow: Flow, axes: Sequence[int], activation: str = "identity", **document: Any) -> Flow:
    """Compute what needs all elements over some axes, and makes as many: by a layer for each group of elements.

    Args:
        step: The node.
        flow: The tensor.
        axes: The axes, counted from the front.
        activation: Of the layers.
        document: What else a spec says of each layer.
    """
    flow = flow if flow.function is None else step.draft.settle(flow, step.hint)
    moved, order = _moved(flow, axes)
    groups = moved.reshape(-1, math.prod(flow.shape[axis] for axis in axes))
    if len(groups) > _MAX_GROUPS:
        raise Refused(
            f"is computed for {len(groups):,} groups of elements in each row, a layer for each; at most "
            f"{_MAX_GROUPS} are read"
        )
    parts = []
    for columns in groups:
        part = replace(flow, index=columns.reshape(1, -1), rows=0)
        name = step.draft.layer(step.hint, [part], columns.size, **{**PASS, **document, "activation": activation})
        parts.append(step.draft.nodes(name, (1, columns.size), 0, flow.kind))
    whole = joined(step, parts, 1)
    index = whole.index.reshape(moved.shape).transpose(np.argsort(order))
    return replace(whole, index=index, rows=flow.rows)


def reduced(step: Step, flow: Flow, axes: Sequence[int], reduce: str, *, keep: bool = True) -> Flow:
    """Reduce some axes to one element by sum, mean, max or min."""
    moved, _ = _moved(flow, axes)
    windows = moved.reshape(-1, math.prod(flow.shape[axis] for axis in axes))
    shape = [1 if axis in axes else size for axis, size in enumerate(flow.shape)]
    rows = flow.rows
    if not keep:
        kept = [axis for axis in range(len(shape)) if axis not in axes]
        shape = [shape[axis] for axis in kept]
        rows = None if rows is None else kept.index(rows)
    return pooled(step, flow, windows, reduce, shape, rows)


def pooled(step: Step, flow: Flow, windows: Array, reduce: str, shape: Sequence[int], rows: int | None) -> Flow:
    """Reduce windows of elements to one each.

    Args:
        step: The node.
        flow: The tensor.
        windows: `(outputs, size)` places of elements among the tensor's sources.
        reduce: `sum`, `mean`, `max` or `min`.
        shape: Of the result.
        rows: Its axis of rows.
    """
    if windows.size == 0:
        raise Refused("reduces no elements")
    step.draft.claim_weights(*windows.shape, made=True)
    if flow.function is not None:
        places = np.zeros(int(flow.index.max()) + 1, np.intp)
        places[flow.columns] = np.arange(flow.index.size)
        flow, windows = step.draft.settle(flow, step.hint), places[windows]
    # What it reads is all of its sources, of which the windows choose.
    whole = step.draft.all_of(flow)
    name = step.draft.layer(step.hint, [whole], len(windows), kind="pool", windows=windows.tolist(), reduce=reduce)
    return step.draft.nodes(name, shape, rows, flow.kind)


def _moved(flow: Flow, axes: Sequence[int]) -> tuple[Array, list[int]]:
    """Return the places of elements with some axes last, and the order of axes."""
    last = [not_rows(flow, axis) for axis in axes]
    order = [axis for axis in range(len(flow.shape)) if axis not in last] + last
    return flow.index.transpose(order), order
