"""Attributions by one gradient, at the row itself.

`gradient` is the slope of an output by each input (Simonyan et al., 2013, who take its absolute value and call it a
saliency map). `input_x_gradient` is that times the input (Shrikumar et al., 2016), which is its share where the network
is linear.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np

from forwardpass_server.core.arrays import Array
from forwardpass_server.core.attribution.encodings import find_encodings
from forwardpass_server.core.attribution.targets import explained_outputs, gradients_of_targets
from forwardpass_server.core.attribution.values import AttributionOptions, Attributions, Indices
from forwardpass_server.core.batch_invariant import pad
from forwardpass_server.core.forward import standardize
from forwardpass_server.core.gradient import ForwardPass, forward_pass, gradient_row_multiple, walk_rows
from forwardpass_server.core.graph import INPUTS
from forwardpass_server.core.operations import Places
from forwardpass_server.core.plan import Plan


def gradient_steps(
    plan: Plan, inputs: Array, options: AttributionOptions, result: Attributions, step_flops: int
) -> Iterator[None]:
    """Compute the gradients of some rows, `(rows, inputs)`; yield after each step."""
    return _steps(plan, inputs, options, result, step_flops, _gradients)


def input_x_gradient_steps(
    plan: Plan, inputs: Array, options: AttributionOptions, result: Attributions, step_flops: int
) -> Iterator[None]:
    """Compute input times gradient of some rows, `(rows, inputs)`, encodings in place of inputs; yield after steps."""
    encodings = {name: Places(columns) for name, columns in find_encodings(plan, logits=options.logits).items()}
    return _steps(plan, inputs, options, result, step_flops, partial(_products, encodings))


def _steps(
    plan: Plan,
    inputs: Array,
    options: AttributionOptions,
    result: Attributions,
    step_flops: int,
    compute: Callable[[Plan, Array, ForwardPass, Indices, bool], Array],
) -> Iterator[None]:
    step, multiple = walk_rows(plan, step_flops), gradient_row_multiple(plan)
    features = Places(options.feature_of(plan.inputs))
    for start in range(0, len(inputs), step):
        rows = slice(start, start + step)
        targets = options.targets[rows]
        passed = forward_pass(plan, pad(standardize(plan, inputs[rows]), multiple))
        outputs = explained_outputs(plan, passed, logits=options.logits)
        result.outputs[rows] = np.take_along_axis(outputs[: len(targets)], targets, axis=1)
        for place in range(targets.shape[1]):
            shares = compute(plan, inputs[rows], passed, targets[:, place], options.logits)
            result.values[rows, place] = features.add_up(shares, result.values.shape[2])
            yield


@np.errstate(all="ignore")
def _gradients(plan: Plan, inputs: Array, passed: ForwardPass, targets: Indices, logits: bool) -> Array:  # noqa: FBT001
    gradients = gradients_of_targets(plan, passed, targets, logits=logits)
    slopes = gradients.get(INPUTS, np.zeros_like(passed.activations[INPUTS]))[: len(inputs)]
    return slopes if plan.scale is None else slopes / plan.scale


@np.errstate(all="ignore")
def _products(
    encodings: Mapping[str, Places],
    plan: Plan,
    inputs: Array,
    passed: ForwardPass,
    targets: Indices,
    logits: bool,  # noqa: FBT001
) -> Array:
    encoded = {name: passed.activations[name] for name in encodings}
    split = forward_pass(plan, passed.activations[INPUTS], encoded)
    gradients = gradients_of_targets(plan, split, targets, logits=logits)
    shares = np.zeros((len(inputs), plan.inputs), plan.dtype)
    if INPUTS in gradients:
        slopes = gradients[INPUTS][: len(inputs)]
        values = inputs if plan.scale is None else inputs / plan.scale
        shares += np.where(slopes == 0, 0, slopes * values)
    for name, columns in encodings.items():
        if name in gradients:
            shares += columns.add_up((gradients[name] * encoded[name])[: len(inputs)], plan.inputs)
    return shares
