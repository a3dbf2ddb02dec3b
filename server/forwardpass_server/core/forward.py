"""The forward pass.

    values = inputs
    for layer in plan.layers:
        values = layer(values)

A dense layer computes `activation(weights x values + bias)`; other kinds have another formula in place of the sum
(`operations.py`). In a graph, a layer reads what its edges say instead of the layer before (`graph.py`). `tracing.py`
computes the same values in the same order and keeps all of them.

Rows are computed in steps, between which the caller may do other work. Unless the plan is fast, no bit of a result
depends on the size of the steps or on the other rows (`batch_invariant.py`).
"""

from collections.abc import Iterator, Mapping

import numpy as np

from forwardpass_server.core.arrays import Array
from forwardpass_server.core.batch_invariant import pad
from forwardpass_server.core.graph import INPUTS
from forwardpass_server.core.plan import Plan


def forward(plan: Plan, inputs: Array) -> Array:
    """Compute the outputs, `(rows, outputs)`, of inputs `(rows, inputs)`."""
    if len(inputs) <= plan.max_step_rows:
        return _compute(plan, inputs)[: len(inputs)]
    outputs = np.empty((len(inputs), plan.outputs), dtype=plan.dtype)
    for _ in forward_steps(plan, inputs, outputs, plan.max_step_rows):
        pass
    return outputs


def forward_steps(plan: Plan, inputs: Array, outputs: Array, rows: int) -> Iterator[None]:
    """Compute what `forward` does, and yield after each step.

    Args:
        plan: The network.
        inputs: Before standardization, `(rows, inputs)`.
        outputs: Where to write the outputs, `(rows, outputs)` in the plan's dtype.
        rows: About how many rows to compute in a step, `plan.max_step_rows` at most.
    """
    step = step_rows(plan, rows)
    for start in range(0, len(inputs), step):
        part = inputs[start : start + step]
        outputs[start : start + step] = _compute(plan, part)[: len(part)]
        yield


def step_rows(plan: Plan, rows: int) -> int:
    """Round a number of rows up to one that needs no padding between steps."""
    return min(-(-max(rows, 1) // plan.row_multiple) * plan.row_multiple, plan.max_step_rows)


@np.errstate(all="ignore")
def _compute(plan: Plan, inputs: Array) -> Array:
    """Return the outputs of some rows, followed by those of the padding."""
    values, layers = standardize(plan, inputs), plan.layers
    if plan.leading_steps:
        values, layers = _compute_leading(plan, values), layers[plan.leading :]
    if not plan.is_chain:
        return rescale(plan, _compute_graph(plan, values))
    values = pad(values, plan.row_multiple)
    for layer in layers:
        values = layer(values)
    return rescale(plan, values)


def _compute_leading(plan: Plan, values: Array) -> Array:
    """Return the activations of the last leading layer of a chain, computed some rows at a time."""
    values, step = np.ascontiguousarray(values), plan.leading_rows
    if len(values) <= step:
        for compute in plan.leading_steps:
            values = compute(values)
        return values
    result = np.empty((len(values), plan.layers[plan.leading - 1].outputs), values.dtype)
    for start in range(0, len(values), step):
        part = values[start : start + step]
        for compute in plan.leading_steps:
            part = compute(part)
        result[start : start + step] = part
    return result


def _compute_graph(plan: Plan, values: Array) -> Array:
    if plan.graph_steps is None:
        values = pad(values, plan.row_multiple)
        kept = {INPUTS: values} if plan.keeps_inputs else {}
    else:
        values, kept = plan.graph_steps.compute(np.ascontiguousarray(values))
        if plan.trailing and plan.row_multiple > 1:
            values, kept = pad_all(plan, values, kept)
    for layer, one in plan.trailing:
        if one is not None:
            values = one.read(kept, values)
        values = layer(values)
        if one is not None:
            one.keep(kept, values)
    return select_outputs(plan, kept, values)


def pad_all(plan: Plan, values: Array, kept: Mapping[str, Array]) -> tuple[Array, dict[str, Array]]:
    """Return the activations of the last leading layer, and the kept ones, with the padding of the other layers."""
    padded = {name: pad(array, plan.row_multiple) for name, array in kept.items()}
    return pad(values, plan.row_multiple), padded


def standardize(plan: Plan, inputs: Array) -> Array:
    """Return `(inputs - mean) / scale` in the plan's dtype."""
    values = np.asarray(inputs, dtype=plan.dtype)
    if plan.mean is not None:
        values = values - plan.mean
    if plan.scale is not None:
        values = values / plan.scale
    return values


def rescale(plan: Plan, outputs: Array) -> Array:
    """Return `outputs * scale + shift` in a new array where the plan has one of them."""
    if plan.output_scale is not None:
        outputs = outputs * plan.output_scale
    if plan.output_shift is not None:
        outputs = outputs + plan.output_shift
    return outputs


def select_outputs(plan: Plan, kept: Mapping[str, Array], last: Array) -> Array:
    """Return the activations of the output layers side by side, which are kept until the end, or those of the last."""
    return np.concatenate([kept[name] for name in plan.output_layers], axis=1) if kept else last
