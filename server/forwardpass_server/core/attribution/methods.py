"""The methods of attribution by name: how each computes, which results it has, and what it costs."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from forwardpass_server.core.arrays import Array
from forwardpass_server.core.attribution.local import gradient_steps, input_x_gradient_steps
from forwardpass_server.core.attribution.path import path_steps
from forwardpass_server.core.attribution.perturbation import (
    MAX_EXACT_FEATURES,
    feature_ablation_steps,
    shapley_values_steps,
)
from forwardpass_server.core.attribution.quadrature import PLACES, POINTS
from forwardpass_server.core.attribution.values import AttributionOptions, Attributions, LayerAttributions
from forwardpass_server.core.gradient import walk_bytes, walk_flops, walk_rows
from forwardpass_server.core.plan import Plan

_STEP_FLOPS: Final = 20_000_000
_FIXED_BYTES: Final = 2**18
"""What small arrays and Python's objects take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """A method of attribution.

    Attributes:
        steps: Fills the attributions of some rows, and yields after each step.
        flops: The most floating-point operations of a row.
        uses_baselines: Whether it compares with baselines.
        is_complete: Whether the shares sum to the output minus the baseline output.
        chooses_steps: Whether it computes gradients until the completeness error is within a tolerance.
        is_sampled: Whether it draws samples of that many features, and has their standard error.
        has_layers: Whether nodes of layers get shares.
    """

    steps: Callable[[Plan, Array, AttributionOptions, Attributions, int], Iterator[None]]
    flops: Callable[[Plan, AttributionOptions], int]
    uses_baselines: bool = False
    is_complete: bool = False
    chooses_steps: bool = False
    is_sampled: Callable[[int], bool] = lambda features: False
    has_layers: bool = False


def _local_flops(plan: Plan, options: AttributionOptions) -> int:
    return 2 * _targets(options) * walk_flops(plan)


def _path_flops(plan: Plan, options: AttributionOptions) -> int:
    walks = -(-options.max_steps // POINTS) * len(PLACES) + 2
    return _targets(options) * options.baseline_count * walks * walk_flops(plan)


def _ablation_flops(plan: Plan, options: AttributionOptions) -> int:
    return options.baseline_count * (options.feature_count(plan.inputs) + 2) * plan.flops_per_row


def _shapley_flops(plan: Plan, options: AttributionOptions) -> int:
    features = options.feature_count(plan.inputs)
    coalitions = 2 * options.samples * (features + 1) if _samples(features) else 2**features
    return options.baseline_count * coalitions * plan.flops_per_row


def _targets(options: AttributionOptions) -> int:
    return int(options.targets.shape[1])


def _samples(features: int) -> bool:
    return features > MAX_EXACT_FEATURES


METHODS: Final[Mapping[str, Method]] = MappingProxyType(
    {
        "gradient": Method(steps=gradient_steps, flops=_local_flops),
        "input_x_gradient": Method(steps=input_x_gradient_steps, flops=_local_flops),
        "integrated_gradients": Method(
            steps=path_steps, flops=_path_flops, uses_baselines=True, is_complete=True, chooses_steps=True
        ),
        "layer_conductance": Method(
            steps=path_steps,
            flops=_path_flops,
            uses_baselines=True,
            is_complete=True,
            chooses_steps=True,
            has_layers=True,
        ),
        "feature_ablation": Method(steps=feature_ablation_steps, flops=_ablation_flops, uses_baselines=True),
        "shapley_values": Method(
            steps=shapley_values_steps,
            flops=_shapley_flops,
            uses_baselines=True,
            is_complete=True,
            is_sampled=_samples,
        ),
    }
)
"""Each method by its name, which is Captum's."""


def attribute(plan: Plan, inputs: Array, options: AttributionOptions) -> Attributions:
    """Compute the shares of every feature in the targets of rows `(rows, inputs)`, before standardization."""
    result = empty_attributions(plan, len(inputs), options)
    for _ in attribution_steps(plan, inputs, options, result, _STEP_FLOPS):
        pass
    return result


def attribution_steps(
    plan: Plan, inputs: Array, options: AttributionOptions, result: Attributions, step_flops: int
) -> Iterator[None]:
    """Compute what `attribute` does, and yield after each step; no bit depends on the size of the steps.

    Args:
        plan: The network.
        inputs: Before standardization, `(rows, inputs)`.
        options: What to explain, and how.
        result: Where to write all results, from `empty_attributions` for these rows.
        step_flops: About how many floating-point operations to do in a step.
    """
    return METHODS[options.method].steps(plan, inputs, options, result, step_flops)


def empty_attributions(plan: Plan, rows: int, options: AttributionOptions) -> Attributions:
    """Return the attributions of some rows for `attribution_steps` to fill."""
    method = METHODS[options.method]
    targets, features = _targets(options), options.feature_count(plan.inputs)

    def empty(*shape: int) -> Array:
        return np.empty((rows, targets, *shape), plan.dtype)

    layers = [layer for layer in plan.layers if method.has_layers and layer.name in (options.layers or _names(plan))]
    return Attributions(
        values=empty(features),
        outputs=empty(),
        baseline_outputs=empty() if method.uses_baselines else None,
        completeness_error=empty() if method.is_complete else None,
        steps=np.zeros((rows, targets), np.intp) if method.chooses_steps else None,
        is_converged=np.zeros((rows, targets), bool) if method.chooses_steps else None,
        standard_error=empty(features) if method.is_sampled(features) else None,
        layers=tuple(LayerAttributions(name=layer.name, values=empty(layer.outputs)) for layer in layers),
    )


def attribution_flops(plan: Plan, rows: int, options: AttributionOptions) -> int:
    """Return the most floating-point operations that rows take. Methods along a path often take far fewer."""
    return rows * METHODS[options.method].flops(plan, options)


def attribution_bytes(plan: Plan, rows: int, options: AttributionOptions) -> int:
    """Return about the most bytes that are held at once: the results, and the values of a step."""
    method = METHODS[options.method]
    targets, features = _targets(options), options.feature_count(plan.inputs)
    nodes = 0
    if method.has_layers:
        nodes = sum(layer.outputs for layer in plan.layers if layer.name in (options.layers or _names(plan)))
    results = rows * targets * (2 * features + nodes + 6) * plan.dtype.itemsize
    step = walk_rows(plan, _STEP_FLOPS)
    shares = 8 * (plan.inputs + nodes)
    held = step * (walk_bytes(plan) + 4 * shares)
    if method.chooses_steps:
        held += max(step // len(PLACES), 1) * (options.max_steps // POINTS) * shares
    return results + held + _FIXED_BYTES


def _names(plan: Plan) -> tuple[str, ...]:
    return tuple(layer.name for layer in plan.layers)
