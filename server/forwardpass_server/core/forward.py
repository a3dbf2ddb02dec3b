"""Forward propagation.

Every node's value is the sum of its inputs times its weights, plus its bias, passed through its layer's
activation; layers that are not dense have another formula in place of the sum (`operations.py`). A layer reads
the one before it, or what its edges say (`graph.py`). `forward`
keeps the outputs, `trace` all values; both call the same functions in the same order, so they agree bit for bit.

Both go in steps of some rows, between which whoever drives them may do other work. Unless the
plan is fast, no bit depends on how large the steps are.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from forwardpass_server.core.arrays import Array
from forwardpass_server.core.batch_invariant import pad
from forwardpass_server.core.graph import INPUTS
from forwardpass_server.core.layers import Dense
from forwardpass_server.core.plan import Plan


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LayerTrace:
    """What one layer computed.

    Attributes:
        name: The layer's.
        pre_activation: `(rows, nodes)`, weights x input + bias, or what else the layer's kind computes.
        activation: `(rows, nodes)`, the activation function of that.
        merged: `(rows, inputs)`, what the layer reads where it merges several, else None.
        contributions: `(rows, nodes, inputs)`, weight x value of a dense layer, or None when not asked for.
        bias: `(nodes,)` beside contributions, or None.
    """

    name: str
    pre_activation: Array
    activation: Array
    merged: Array | None = None
    contributions: Array | None = None
    bias: Array | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Trace:
    """Every value of a forward pass.

    Attributes:
        inputs: `(rows, inputs)`, after standardization.
        layers: The layers asked for, in the network's order.
        outputs: `(rows, outputs)`, the same bits as `forward` gives.
    """

    inputs: Array
    layers: tuple[LayerTrace, ...]
    outputs: Array


def forward(plan: Plan, inputs: Array) -> Array:
    """Compute the outputs, shape `(rows, outputs)`, for inputs of shape `(rows, inputs)`."""
    if len(inputs) <= plan.part:
        return _outputs(plan, inputs)[: len(inputs)]
    outputs = np.empty((len(inputs), plan.outputs), dtype=plan.dtype)
    for _ in forward_steps(plan, inputs, outputs, plan.part):
        pass
    return outputs


def forward_steps(plan: Plan, inputs: Array, outputs: Array, rows: int) -> Iterator[None]:
    """Compute as `forward` does, with a yield after every step.

    Args:
        plan: The network.
        inputs: Before standardization, shape `(rows, inputs)`.
        outputs: Where the outputs are written, shape `(rows, outputs)` in the plan's dtype.
        rows: About how many rows to compute in a step; `plan.part` is the most.
    """
    step = _step(plan, rows)
    for start in range(0, len(inputs), step):
        part = inputs[start : start + step]
        outputs[start : start + step] = _outputs(plan, part)[: len(part)]
        yield


def trace(plan: Plan, inputs: Array, *, layers: Collection[str] | None = None, contributions: bool = False) -> Trace:
    """Compute the outputs for inputs of shape `(rows, inputs)`, keeping what is on the way.

    Args:
        plan: The network.
        inputs: Before standardization.
        layers: The names of the layers to keep; None means all.
        contributions: Whether to keep each weight x value too.
    """
    shown = [layer.name for layer in plan.layers] if layers is None else layers
    if len(inputs) <= plan.part:
        return _trace(plan, inputs, shown, contributions=contributions)
    traced = empty_trace(plan, len(inputs), layers=shown, contributions=contributions)
    for _ in trace_steps(plan, inputs, traced, plan.part):
        pass
    return traced


def empty_trace(plan: Plan, rows: int, *, layers: Collection[str] | None = None, contributions: bool = False) -> Trace:
    """Make a trace of so many rows that `trace_steps` has yet to fill; takes what `trace` does."""

    def empty(*shape: int) -> Array:
        return np.empty((rows, *shape), dtype=plan.dtype)

    return Trace(
        inputs=empty(plan.inputs),
        layers=tuple(
            LayerTrace(
                name=layer.name,
                pre_activation=empty(layer.outputs),
                activation=empty(layer.outputs),
                merged=empty(layer.inputs) if layer.merge else None,
                contributions=empty(*layer.weights.shape) if contributions and isinstance(layer, Dense) else None,
                bias=layer.bias if contributions and isinstance(layer, Dense) else None,
            )
            for layer in plan.layers
            if layers is None or layer.name in layers
        ),
        outputs=empty(plan.outputs),
    )


def trace_steps(plan: Plan, inputs: Array, traced: Trace, rows: int) -> Iterator[None]:
    """Compute as `trace` does, with a yield after every step.

    Args:
        plan: The network.
        inputs: Before standardization, shape `(rows, inputs)`.
        traced: Where everything is written, from `empty_trace` for these rows.
        rows: About how many rows to compute in a step; `plan.part` is the most.
    """
    step = _step(plan, rows)
    contributions = any(layer.contributions is not None for layer in traced.layers)
    for start in range(0, len(inputs), step):
        part, place = inputs[start : start + step], rows_of(traced, slice(start, start + step))
        # What needs no padding is computed where it is kept; the rest is copied there.
        padded = len(part) % plan.block != 0
        shown = [layer.name for layer in place.layers]
        done = _trace(plan, part, shown, contributions=contributions, place=None if padded else place)
        for kept, found in zip(_arrays(place), _arrays(done), strict=True):
            if not np.may_share_memory(kept, found):
                kept[...] = found
        yield


def standardize(plan: Plan, inputs: Array) -> Array:
    """Return `(inputs - mean) / scale` in the plan's dtype."""
    values = np.asarray(inputs, dtype=plan.dtype)
    if plan.mean is not None:
        values = values - plan.mean
    if plan.scale is not None:
        values = values / plan.scale
    return values


def rescale(plan: Plan, outputs: Array) -> Array:
    """Return `outputs * scale + shift`, where the plan has them; the layer that computed the outputs keeps its own."""
    if plan.output_scale is not None:
        outputs = outputs * plan.output_scale
    if plan.output_shift is not None:
        outputs = outputs + plan.output_shift
    return outputs


def _step(plan: Plan, rows: int) -> int:
    """Round up to a number of rows that needs no padding within a step."""
    return min(-(-max(rows, 1) // plan.block) * plan.block, plan.part)


@np.errstate(all="ignore")
def _outputs(plan: Plan, inputs: Array) -> Array:
    """Return the outputs of some rows, and below them those of what was padded."""
    values = pad(standardize(plan, inputs), plan.block)
    waiting = {INPUTS: values} if plan.keeps_inputs else {}
    for layer, edges in plan.steps:
        if edges is not None:
            values = edges.read(waiting, values)
        sums = layer.pre_activation(values)
        values = layer.function(sums, out=sums)
        if edges is not None:
            edges.note(waiting, values)
    return rescale(plan, _side_by_side(plan, waiting) if waiting else values)


def _side_by_side(plan: Plan, waiting: Mapping[str, Array]) -> Array:
    """Return the outputs of several layers, which have waited for the end."""
    return np.concatenate([waiting[name] for name in plan.output_layers], axis=1)


@np.errstate(all="ignore")
def _trace(
    plan: Plan, inputs: Array, shown: Collection[str], *, contributions: bool, place: Trace | None = None
) -> Trace:
    """Trace some rows, computing layers where `place` keeps them; without it, in new arrays."""
    count = len(inputs)
    places = {layer.name: layer for layer in place.layers} if place else {}
    layers = []
    first = standardize(plan, inputs)
    values = pad(first, plan.block)
    waiting = {INPUTS: values} if plan.keeps_inputs else {}
    for layer, edges in plan.steps:
        here = places.get(layer.name)
        before = values if edges is None else edges.read(waiting, values)
        sums = layer.pre_activation(before, here.pre_activation if here else None)
        values = layer.function(sums, out=here.activation if here else None)
        if edges is not None:
            edges.note(waiting, values)
        if layer.name in shown:
            products = None
            if contributions and isinstance(layer, Dense):
                products = np.multiply(
                    before[:count, np.newaxis, :], layer.weights, out=here.contributions if here else None
                )
            layers.append(
                LayerTrace(
                    name=layer.name,
                    pre_activation=sums[:count],
                    activation=values[:count],
                    merged=before[:count] if layer.merge else None,
                    contributions=products,
                    bias=layer.bias if contributions and isinstance(layer, Dense) else None,
                )
            )
    outputs = rescale(plan, _side_by_side(plan, waiting) if waiting else values)
    return Trace(inputs=first, layers=tuple(layers), outputs=outputs[:count])


def rows_of(traced: Trace, rows: slice) -> Trace:
    """Return the part of a trace that is about some rows."""
    return Trace(
        inputs=traced.inputs[rows],
        layers=tuple(
            replace(
                layer,
                pre_activation=layer.pre_activation[rows],
                activation=layer.activation[rows],
                merged=None if layer.merged is None else layer.merged[rows],
                contributions=None if layer.contributions is None else layer.contributions[rows],
            )
            for layer in traced.layers
        ),
        outputs=traced.outputs[rows],
    )


def _arrays(traced: Trace) -> Iterator[Array]:
    """Return every array of a trace that has a row for each of its rows."""
    yield traced.inputs
    for layer in traced.layers:
        yield layer.pre_activation
        yield layer.activation
        if layer.merged is not None:
            yield layer.merged
        if layer.contributions is not None:
            yield layer.contributions
    yield traced.outputs
