"""The backward walk: the gradient of an output, by the chain rule from the last layer to the inputs.

    for layer in reversed(plan.layers):
        gradient = layer.activation_gradient(gradient, z)
        gradient = layer.pre_activation_gradient(gradient, read)

Each step is a vector-Jacobian product: reverse-mode differentiation (Linnainmaa, 1976; Rumelhart et al., 1986; Griewank
& Walther, Evaluating Derivatives, 2008). The derivatives stand beside the functions: `GRADIENTS` of `activations.py`
and `operations.py`, `DERIVATIVES` of `elementwise.py`, and `merge_gradients` of `graph.py`. At kinks and ties they take
PyTorch's choice, and say which.

As in the forward pass, no bit of a row's gradient depends on the other rows, unless the plan is fast.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import reduce

import numpy as np

from forwardpass_server.core.arrays import Array
from forwardpass_server.core.graph import INPUTS, merge_gradients
from forwardpass_server.core.plan import STEP_BYTES, Plan

_NONE: Mapping[str, Array] = {}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ForwardPass:
    """A forward pass with the values that the way back needs, by layer.

    Attributes:
        reads: What each layer reads, `(rows, inputs)`.
        pre_activations: `(rows, nodes)`.
        activations: `(rows, nodes)`; the standardized inputs too, as `INPUTS`.
        given: The layers whose activations were given instead of computed.
    """

    reads: dict[str, Array] = field(default_factory=dict)
    pre_activations: dict[str, Array] = field(default_factory=dict)
    activations: dict[str, Array]
    given: Collection[str] = ()


@np.errstate(all="ignore")
def forward_pass(plan: Plan, inputs: Array, given: Mapping[str, Array] = _NONE) -> ForwardPass:
    """Compute all values of rows; the same bits as those of `forward` and `trace`.

    Args:
        plan: The network.
        inputs: `(rows, inputs)`, standardized, and padded to a multiple of `gradient_row_multiple`.
        given: The activations of layers that are not to be computed, `(rows, nodes)`.
    """
    passed = ForwardPass(activations={INPUTS: inputs}, given=given.keys())
    values = inputs
    for layer, edges in zip(plan.layers, plan.edges, strict=True):
        if layer.name in given:
            values = given[layer.name]
        else:
            read = values if edges is None else edges.read(passed.activations, values)
            z = layer.pre_activation(read)
            values = layer.function(z)
            passed.reads[layer.name], passed.pre_activations[layer.name] = read, z
        passed.activations[layer.name] = values
    return passed


@np.errstate(all="ignore")
def backward_pass(
    plan: Plan,
    passed: ForwardPass,
    at_activations: Mapping[str, Array] = _NONE,
    at_pre_activations: Mapping[str, Array] = _NONE,
    *,
    keep: Collection[str] = (),
) -> dict[str, Array]:
    """Return the gradients at the inputs (`INPUTS`, standardized), at the given layers, and at the layers to keep.

    A layer that nothing reads that the gradient reaches is missing; its gradient is 0.

    Args:
        plan: The network.
        passed: The forward pass of the rows.
        at_activations: The gradient to start with, at the activations of layers, `(rows, nodes)` each.
        at_pre_activations: The same, at the pre-activations.
        keep: Further layers at whose activations the gradient is returned.
    """
    gradients = dict(at_activations)
    before = (INPUTS, *(layer.name for layer in plan.layers[:-1]))
    for layer, edges, previous in zip(reversed(plan.layers), reversed(plan.edges), reversed(before), strict=True):
        name = layer.name
        if name in passed.given or (name not in gradients and name not in at_pre_activations):
            continue
        terms = [at_pre_activations[name]] if name in at_pre_activations else []
        if name in gradients:
            gradient = gradients[name] if name in keep else gradients.pop(name)
            terms.append(layer.activation_gradient(gradient, passed.pre_activations[name]))
        toward_read = layer.pre_activation_gradient(reduce(np.add, terms), passed.reads[name])
        sources = edges.sources if edges is not None and edges.sources else ((previous, None),)
        parts = [toward_read]
        if layer.merge is not None:
            merged = [passed.activations[source][:, _columns(columns)] for source, columns in sources]
            parts = [*merge_gradients(toward_read, merged, layer.merge)]
        for (source, columns), part in zip(sources, parts, strict=True):
            _add(gradients, source, columns, part, like=passed.activations[source])
    return gradients


def _columns(columns: slice | None) -> slice:
    return slice(None) if columns is None else columns


def _add(gradients: dict[str, Array], name: str, columns: slice | None, part: Array, *, like: Array) -> None:
    """Add a part of the gradient at a layer's activations, or at some columns of the inputs."""
    if columns is not None:
        whole = gradients.get(name)
        gradients[name] = np.zeros_like(like) if whole is None else whole.copy()
        gradients[name][:, columns] += part
    elif name in gradients:
        gradients[name] = gradients[name] + part
    else:
        gradients[name] = part


def gradient_row_multiple(plan: Plan) -> int:
    """Return the number to whose multiples rows are padded for both ways."""
    if plan.fast:
        return 1
    return max(plan.row_multiple, *(layer.gradient_blocking.heights[0] for layer in plan.dense), 1)


def walk_bytes(plan: Plan) -> int:
    """Return about how many bytes both ways hold for a row: all values, and the gradients at the widest layers."""
    values = sum(2 * layer.outputs + (layer.inputs if layer.merge else 0) for layer in plan.layers)
    widest = max(max(layer.inputs, layer.outputs) for layer in plan.layers)
    return (values + 4 * widest + 2 * plan.inputs) * plan.dtype.itemsize


def walk_flops(plan: Plan) -> int:
    """Return the floating-point operations of both ways for a row: the products of the way back are as many."""
    return 2 * plan.flops_per_row + 8 * sum(layer.outputs for layer in plan.layers)


def walk_rows(plan: Plan, step_flops: int) -> int:
    """Return how many rows to walk at once: about `step_flops` of work, and values for a core's cache."""
    multiple = gradient_row_multiple(plan)
    rows = min(step_flops // max(walk_flops(plan), 1), 4 * STEP_BYTES // walk_bytes(plan), plan.max_step_rows)
    return max(rows // multiple * multiple, multiple)
