"""Forward propagation.

Every node's value is the sum of its inputs times its weights, plus its bias, passed through
its layer's activation. `forward` keeps the last layer's values, `trace` all of them; both
call the same functions in the same order, so they agree bit for bit.
"""

from collections.abc import Collection, Sequence
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
    with np.errstate(all="ignore"):
        for start in range(0, len(inputs), plan.part):
            rows = standardize(plan, inputs[start : start + plan.part])
            values = exact.pad(rows, plan.block)
            for layer in plan.layers:
                values = layer.function(pre_activation(layer, values, fast=plan.fast))
            outputs[start : start + len(rows)] = values[: len(rows)]
    return outputs


def trace(plan: Plan, inputs: Array, *, layers: Collection[str] | None = None, contributions: bool = False) -> Trace:
    """Compute the outputs for inputs of shape `(rows, inputs)`, keeping what is on the way.

    Args:
        plan: The network.
        inputs: Before standardization.
        layers: The names of the layers to keep; None means all.
        contributions: Whether to keep each weight x value too.
    """
    shown = [layer.name for layer in plan.layers] if layers is None else layers
    with np.errstate(all="ignore"):
        parts = [
            _trace(plan, inputs[start : start + plan.part], shown, contributions=contributions)
            for start in range(0, max(len(inputs), 1), plan.part)
        ]
    return parts[0] if len(parts) == 1 else _joined(parts)


def _trace(plan: Plan, inputs: Array, layers: Collection[str], *, contributions: bool) -> Trace:
    rows = len(inputs)
    kept = []
    first = standardize(plan, inputs)
    values = exact.pad(first, plan.block)
    for layer in plan.layers:
        before, sums = values, pre_activation(layer, values, fast=plan.fast)
        values = layer.function(sums)
        if layer.name in layers:
            kept.append(
                LayerTrace(
                    name=layer.name,
                    pre_activation=sums[:rows],
                    activation=values[:rows],
                    contributions=before[:rows, np.newaxis, :] * layer.weights if contributions else None,
                    bias=layer.bias if contributions else None,
                )
            )
    return Trace(inputs=first, layers=tuple(kept), outputs=values[:rows])


def _joined(parts: Sequence[Trace]) -> Trace:
    """Put the rows of parts below each other."""
    return Trace(
        inputs=np.concatenate([part.inputs for part in parts]),
        layers=tuple(
            LayerTrace(
                name=layers[0].name,
                pre_activation=np.concatenate([layer.pre_activation for layer in layers]),
                activation=np.concatenate([layer.activation for layer in layers]),
                contributions=_joined_contributions(layers),
                bias=layers[0].bias,
            )
            for layers in zip(*(part.layers for part in parts), strict=True)
        ),
        outputs=np.concatenate([part.outputs for part in parts]),
    )


def _joined_contributions(layers: Sequence[LayerTrace]) -> Array | None:
    found = [layer.contributions for layer in layers if layer.contributions is not None]
    return np.concatenate(found) if found else None


def standardize(plan: Plan, inputs: Array) -> Array:
    """Return `(inputs - mean) / scale` in the plan's dtype."""
    values = np.asarray(inputs, dtype=plan.dtype)
    if plan.mean is not None:
        values = values - plan.mean
    if plan.scale is not None:
        values = values / plan.scale
    return values


def pre_activation(layer: Dense, values: Array, *, fast: bool) -> Array:
    """Return `weights x value + bias` for rows of values, shape `(rows, inputs)`, padded unless fast."""
    sums = values @ layer.columns if fast else exact.matmul(values, layer.columns, layer.blocks)
    sums += layer.bias
    return sums
