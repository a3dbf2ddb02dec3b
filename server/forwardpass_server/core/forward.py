"""Forward propagation.

Every node's value is the sum of its inputs times its weights, plus its bias, passed through
its layer's activation. `forward` keeps the last layer's values, `trace` all of them; both
call the same functions in the same order, so they agree bit for bit.

Both go in steps of some rows, between which whoever drives them may do other work. Unless the
plan is fast, no bit depends on how large the steps are.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np

from forwardpass_server.core import exact
from forwardpass_server.core.arrays import Array
from forwardpass_server.core.plan import Dense, Plan


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LayerTrace:
    """What one layer computed.

    Attributes:
        name: The layer's.
        pre_activation: `(rows, nodes)`, weights x input + bias.
        activation: `(rows, nodes)`, the activation function of that.
        contributions: `(rows, nodes, inputs)`, weight x value, or None when not asked for.
        bias: `(nodes,)` beside contributions, or None.
    """

    name: str
    pre_activation: Array
    activation: Array
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
    traced = empty_trace(plan, len(inputs), layers=layers, contributions=contributions)
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
                pre_activation=empty(len(layer.bias)),
                activation=empty(len(layer.bias)),
                contributions=empty(*layer.weights.shape) if contributions else None,
                bias=layer.bias if contributions else None,
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
    for start in range(0, len(inputs), step):
        _trace(plan, inputs[start : start + step], traced, slice(start, min(start + step, len(inputs))))
        yield


def standardize(plan: Plan, inputs: Array) -> Array:
    """Return `(inputs - mean) / scale` in the plan's dtype."""
    values = np.asarray(inputs, dtype=plan.dtype)
    if plan.mean is not None:
        values = values - plan.mean
    if plan.scale is not None:
        values = values / plan.scale
    return values


def pre_activation(layer: Dense, values: Array, out: Array | None = None) -> Array:
    """Return `weights x value + bias` for rows of values, shape `(rows, inputs)`, padded as the layer's blocks need."""
    sums = exact.matmul(values, layer.columns, layer.blocks, out)
    sums += layer.bias
    return sums


def _step(plan: Plan, rows: int) -> int:
    """Round up to a number of rows that needs no padding within a step."""
    return min(-(-max(rows, 1) // plan.block) * plan.block, plan.part)


@np.errstate(all="ignore")
def _outputs(plan: Plan, inputs: Array) -> Array:
    """Return the outputs of some rows, and below them those of what was padded."""
    values = exact.pad(standardize(plan, inputs), plan.block)
    for layer in plan.layers:
        sums = pre_activation(layer, values)
        values = layer.function(sums, out=sums)
    return values


@np.errstate(all="ignore")
def _trace(plan: Plan, inputs: Array, traced: Trace, rows: slice) -> None:
    """Compute some rows, and write everything where it is kept."""
    kept = {layer.name: layer for layer in traced.layers}
    count = len(inputs)
    first = standardize(plan, inputs)
    traced.inputs[rows] = first
    values = exact.pad(first, plan.block)
    # What needs no padding is computed where it is kept; the rest is copied there.
    whole = len(values) == count
    for layer in plan.layers:
        here = kept.get(layer.name)
        before = values
        sums = pre_activation(layer, before, here.pre_activation[rows] if here and whole else None)
        values = layer.function(sums, out=here.activation[rows] if here and whole else None)
        if here is None:
            continue
        if not whole:
            here.pre_activation[rows] = sums[:count]
            here.activation[rows] = values[:count]
        if here.contributions is not None:
            np.multiply(before[:count, np.newaxis, :], layer.weights, out=here.contributions[rows])
    traced.outputs[rows] = values[:count]
