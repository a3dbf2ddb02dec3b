"""Forward propagation.

Every node's value is the sum of its inputs times its weights, plus its bias, passed through
its layer's activation. `forward` keeps the last layer's values, `trace` all of them; both
call the same functions in the same order, so they agree bit for bit.
"""

from collections.abc import Collection
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
    with np.errstate(all="ignore"):
        values = exact.pad(standardize(plan, inputs), plan.block)
        for layer in plan.layers:
            values = layer.function(pre_activation(layer, values))
    return values[: len(inputs)]


def trace(plan: Plan, inputs: Array, *, layers: Collection[str] | None = None, contributions: bool = False) -> Trace:
    """Compute the outputs for inputs of shape `(rows, inputs)`, keeping what is on the way.

    Args:
        plan: The network.
        inputs: Before standardization.
        layers: The names of the layers to keep; None means all.
        contributions: Whether to keep each weight x value too.
    """
    rows = len(inputs)
    kept = []
    with np.errstate(all="ignore"):
        first = standardize(plan, inputs)
        values = exact.pad(first, plan.block)
        for layer in plan.layers:
            before, sums = values, pre_activation(layer, values)
            values = layer.function(sums)
            if layers is None or layer.name in layers:
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


def standardize(plan: Plan, inputs: Array) -> Array:
    """Return `(inputs - mean) / scale` in the plan's dtype."""
    values = np.asarray(inputs, dtype=plan.dtype)
    if plan.mean is not None:
        values = values - plan.mean
    if plan.scale is not None:
        values = values / plan.scale
    return values


def pre_activation(layer: Dense, values: Array) -> Array:
    """Return `weights x value + bias` for padded rows of values, shape `(rows, inputs)`."""
    sums = exact.matmul(values, layer.columns, layer.heights)
    sums += layer.bias
    return sums
