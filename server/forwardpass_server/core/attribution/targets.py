"""Targets: one output of each row, as a number to explain and as the gradient with which the way back starts."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from forwardpass_server.core.arrays import Array
from forwardpass_server.core.attribution.values import Indices
from forwardpass_server.core.forward import rescale
from forwardpass_server.core.gradient import ForwardPass, backward_pass
from forwardpass_server.core.layers import Layer
from forwardpass_server.core.plan import Plan

WITH_LOGITS: Final = frozenset({"softmax", "log_softmax", "sparsemax", "sigmoid", "log_sigmoid"})
"""The activation functions of output layers whose pre-activations are called logits."""


def has_logits(plan: Plan) -> bool:
    """Return whether the pre-activations of all output layers are logits, of probabilities or of their logarithms."""
    return all(layer.expression is None and layer.activation in WITH_LOGITS for layer in output_layers(plan))


def output_layers(plan: Plan) -> tuple[Layer, ...]:
    """Return the layers whose nodes are the outputs, in the outputs' order."""
    by_name = {layer.name: layer for layer in plan.layers}
    return tuple(by_name[name] for name in plan.output_layers) or plan.layers[-1:]


@np.errstate(all="ignore")
def explained_outputs(plan: Plan, passed: ForwardPass, *, logits: bool) -> Array:
    """Return all outputs, `(rows, outputs)`, or all logits."""
    values = passed.pre_activations if logits else passed.activations
    side_by_side = np.concatenate([values[layer.name] for layer in output_layers(plan)], axis=1)
    return side_by_side if logits else rescale(plan, side_by_side)


def gradients_of_targets(
    plan: Plan, passed: ForwardPass, targets: Indices, *, logits: bool, keep: tuple[str, ...] = ()
) -> dict[str, Array]:
    """Return the gradients of the target of each row: those of `backward_pass`, in the outputs' units.

    Args:
        plan: The network.
        passed: The forward pass of the rows and their padding.
        targets: `(rows,)`; the padding has none.
        logits: Whether they are logits in place of outputs.
        keep: The layers at whose activations the gradient is returned too.
    """
    rows = len(next(iter(passed.activations.values())))
    start = np.zeros((rows, plan.outputs), plan.dtype)
    start[np.arange(len(targets)), targets] = 1
    if not logits and plan.output_scale is not None:
        start *= plan.output_scale
    at_outputs = dict(_split(plan, start))
    if logits:
        return backward_pass(plan, passed, at_pre_activations=at_outputs, keep=keep)
    return backward_pass(plan, passed, at_outputs, keep=keep)


def nodes_of_targets(plan: Plan, targets: Indices) -> Iterator[tuple[str, Indices, Indices]]:
    """Yield each layer of outputs with the nodes that are targets, and which of the targets, `(rows,)`, these are."""
    start = 0
    for layer in output_layers(plan):
        some = np.flatnonzero((targets >= start) & (targets < start + layer.outputs))
        yield layer.name, targets[some] - start, some
        start += layer.outputs


def _split(plan: Plan, outputs: Array) -> Iterator[tuple[str, Array]]:
    start = 0
    for layer in output_layers(plan):
        yield layer.name, outputs[:, start : start + layer.outputs]
        start += layer.outputs
