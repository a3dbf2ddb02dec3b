"""The forward pass with all of its values: what each layer reads, its pre-activations, activations and contributions.

The layers compute the same values in the same order as in `forward.py`, so both agree bit for bit.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

import numpy as np

from forwardpass_server.core.arrays import Array
from forwardpass_server.core.batch_invariant import pad
from forwardpass_server.core.forward import pad_all, rescale, select_outputs, standardize, step_rows
from forwardpass_server.core.graph import INPUTS
from forwardpass_server.core.layers import Dense
from forwardpass_server.core.plan import Plan


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LayerTrace:
    """The values of one layer.

    Attributes:
        name: The name of the layer.
        pre_activation: `(rows, nodes)`, weights x input + bias, or the formula of another kind of layer.
        activation: `(rows, nodes)`, the activation function of that.
        merged: `(rows, inputs)`, what the layer reads where it merges several sources, else None.
        contributions: `(rows, nodes, inputs)`, weight x input of a dense layer, or None if they were not requested.
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
    """All values of a forward pass.

    Attributes:
        inputs: `(rows, inputs)`, after standardization.
        layers: The selected layers, in the network's order.
        outputs: `(rows, outputs)`, the same bits as those of `forward`.
    """

    inputs: Array
    layers: tuple[LayerTrace, ...]
    outputs: Array


def trace(plan: Plan, inputs: Array, *, layers: Collection[str] | None = None, contributions: bool = False) -> Trace:
    """Compute the outputs of inputs `(rows, inputs)`, and keep the values on the way.

    Args:
        plan: The network.
        inputs: Before standardization.
        layers: The names of the layers to keep; None for all.
        contributions: Whether to keep each weight x input too.
    """
    selected = [layer.name for layer in plan.layers] if layers is None else layers
    if len(inputs) <= plan.max_step_rows:
        return _compute(plan, inputs, selected, contributions=contributions)
    traced = empty_trace(plan, len(inputs), layers=selected, contributions=contributions)
    for _ in trace_steps(plan, inputs, traced, plan.max_step_rows):
        pass
    return traced


def empty_trace(plan: Plan, rows: int, *, layers: Collection[str] | None = None, contributions: bool = False) -> Trace:
    """Return a trace of some rows for `trace_steps` to fill; the other arguments are those of `trace`."""

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
    """Compute what `trace` does, and yield after each step.

    Args:
        plan: The network.
        inputs: Before standardization, `(rows, inputs)`.
        traced: Where to write all values, from `empty_trace` for these rows.
        rows: About how many rows to compute in a step, `plan.max_step_rows` at most.
    """
    step = step_rows(plan, rows)
    contributions = any(layer.contributions is not None for layer in traced.layers)
    for start in range(0, len(inputs), step):
        part, target = inputs[start : start + step], rows_of(traced, slice(start, start + step))
        # Rows that need no padding are computed where they are kept; others are copied there.
        is_padded = len(part) % plan.row_multiple != 0
        selected = [layer.name for layer in target.layers]
        done = _compute(plan, part, selected, contributions=contributions, target=None if is_padded else target)
        for array, computed in zip(_arrays(target), _arrays(done), strict=True):
            if not np.may_share_memory(array, computed):
                array[...] = computed
        yield


@np.errstate(all="ignore")
def _compute(
    plan: Plan, inputs: Array, selected: Collection[str], *, contributions: bool, target: Trace | None = None
) -> Trace:
    """Trace some rows, in the arrays of `target`, or in new ones without it."""
    count = len(inputs)
    targets = {layer.name: layer for layer in target.layers} if target else {}
    layers = []
    standardized = standardize(plan, inputs)
    values = pad(standardized, 1 if plan.leading else plan.row_multiple)
    kept = {INPUTS: values} if plan.keeps_inputs else {}
    for index, (layer, edges) in enumerate(zip(plan.layers, plan.edges, strict=True)):
        if index == plan.leading > 0:
            values, kept = pad_all(plan, values, kept)
        out = targets.get(layer.name)
        read = values if edges is None else edges.read(kept, values)
        z = layer.pre_activation(read, out.pre_activation if out else None)
        values = layer.function(z, out=out.activation if out else None)
        if edges is not None:
            edges.keep(kept, values)
        if layer.name in selected:
            products = None
            if contributions and isinstance(layer, Dense):
                products = np.multiply(
                    read[:count, np.newaxis, :], layer.weights, out=out.contributions if out else None
                )
            layers.append(
                LayerTrace(
                    name=layer.name,
                    pre_activation=z[:count],
                    activation=values[:count],
                    merged=read[:count] if layer.merge else None,
                    contributions=products,
                    bias=layer.bias if contributions and isinstance(layer, Dense) else None,
                )
            )
    outputs = rescale(plan, select_outputs(plan, kept, values))
    return Trace(inputs=standardized, layers=tuple(layers), outputs=outputs[:count])


def rows_of(traced: Trace, rows: slice) -> Trace:
    """Return the part of a trace that belongs to some rows."""
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
    """Yield every array of a trace that has a row for each of its rows."""
    yield traced.inputs
    for layer in traced.layers:
        yield layer.pre_activation
        yield layer.activation
        if layer.merged is not None:
            yield layer.merged
        if layer.contributions is not None:
            yield layer.contributions
    yield traced.outputs
