"""Explanations: what a request wants explained, and the outputs of some rows with the shares of every input in them.

`core.attribution` computes the shares. This module chooses the outputs that are explained, which of a classifier are
known only after the forward pass, and judges the work before it begins.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from forwardpass_server.core import forward_steps
from forwardpass_server.core.attribution import (
    METHODS,
    AttributionOptions,
    Attributions,
    attribution_flops,
    attribution_steps,
    baseline_rows,
    empty_attributions,
)

if TYPE_CHECKING:
    from forwardpass.tensors import Array

    from forwardpass_server.core import Plan

PASS_FLOPS: Final = 500_000
"""Floating-point operations that take as long as numpy needs to begin the forward pass of a few rows."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ExplainOptions:
    """What is explained, and how.

    Attributes:
        method: A name in `core.attribution.METHODS`.
        outputs: The indices of the outputs that are explained; empty for the chosen class of each row.
        logits: Whether the logits of these outputs are explained in their place.
        baseline: A name in `core.attribution.BASELINES`, or `(baselines, inputs)` before standardization; None for a
            method without baselines.
        layers: The layers whose nodes get shares, in the network's order.
        tolerance: The largest completeness error, relative to the difference that is explained.
        max_steps: The most gradients of one row, output and baseline.
        samples: Pairs of permutations of sampled Shapley values.
        seed: Seed of these permutations.
    """

    method: str
    outputs: tuple[int, ...]
    logits: bool
    baseline: "Array | str | None"
    layers: tuple[str, ...]
    tolerance: float
    max_steps: int
    samples: int
    seed: int

    def flops(self, plan: "Plan", rows: int) -> int:
        """Return the most floating-point operations that some rows take."""
        any_targets = np.broadcast_to(np.intp(0), (rows, self.explained))
        options = self.attribution_options(plan, any_targets)
        # Each baseline and each order of the inputs is a pass of its own, however small the network is.
        passes = options.baseline_count * (2 * self.samples if METHODS[self.method].is_sampled(plan.inputs) else 1)
        return rows * plan.flops_per_row + attribution_flops(plan, rows, options) + (passes - 1) * PASS_FLOPS

    def numbers_per_row(self, plan: "Plan") -> int:
        """Return how many numbers a response has of each row besides the outputs."""
        sampled = METHODS[self.method].is_sampled(plan.inputs)
        nodes = sum(layer.outputs for layer in plan.layers if layer.name in self.layers)
        return plan.inputs + self.explained * (plan.inputs * (1 + sampled) + nodes + 5)

    @property
    def explained(self) -> int:
        """How many outputs of each row are explained."""
        return len(self.outputs) or 1

    def choose_targets(self, outputs: "Array") -> npt.NDArray[np.intp]:
        """Return the indices of the explained outputs, `(rows, explained)`, given all outputs, `(rows, outputs)`."""
        if self.outputs:
            return np.broadcast_to(np.array(self.outputs, np.intp), (len(outputs), len(self.outputs)))
        chosen: npt.NDArray[np.intp] = outputs.argmax(axis=1)[:, np.newaxis]
        return chosen

    def attribution_options(self, plan: "Plan", targets: npt.NDArray[np.intp]) -> AttributionOptions:
        """Return what the core needs to explain rows whose explained outputs are known."""
        baseline = self.baseline
        return AttributionOptions(
            method=self.method,
            targets=targets,
            logits=self.logits,
            baselines=baseline_rows(plan, baseline) if isinstance(baseline, str) else baseline,
            layers=self.layers,
            tolerance=self.tolerance,
            max_steps=self.max_steps,
            samples=self.samples,
            seed=self.seed,
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Explanation:
    """The outputs of some rows, and the shares of their inputs.

    Attributes:
        inputs: `(rows, inputs)`, before standardization.
        outputs: `(rows, outputs)`, the same bits as those of `core.forward`.
        targets: `(rows, explained)`: the indices of the outputs that are explained.
        attributions: The shares.
    """

    inputs: "Array"
    outputs: "Array"
    targets: npt.NDArray[np.intp]
    attributions: Attributions

    def __getitem__(self, rows: slice) -> "Explanation":
        """Return the part of the explanation that belongs to some rows."""
        found = self.attributions
        of_rows = {name: array[rows] for name in _ARRAYS if (array := getattr(found, name)) is not None}
        layers = tuple(replace(layer, values=layer.values[rows]) for layer in found.layers)
        return Explanation(
            inputs=self.inputs[rows],
            outputs=self.outputs[rows],
            targets=self.targets[rows],
            attributions=replace(found, **of_rows, layers=layers),
        )


_ARRAYS: Final = tuple(field.name for field in fields(Attributions) if field.name != "layers")


def empty_explanation(plan: "Plan", inputs: "Array", options: ExplainOptions) -> Explanation:
    """Return an explanation of inputs, `(rows, inputs)`, for `explain_steps` to fill."""
    outputs = np.empty((len(inputs), plan.outputs), dtype=plan.dtype)
    targets = np.zeros((len(inputs), options.explained), np.intp)
    attributions = empty_attributions(plan, len(inputs), options.attribution_options(plan, targets))
    return Explanation(inputs=inputs, outputs=outputs, targets=targets, attributions=attributions)


def explain(plan: "Plan", inputs: "Array", options: ExplainOptions) -> Explanation:
    """Compute the outputs of inputs, `(rows, inputs)`, and the shares of the inputs in them."""
    explanation = empty_explanation(plan, inputs, options)
    for _ in explain_steps(plan, explanation, options, options.flops(plan, len(inputs))):
        pass
    return explanation


def explain_steps(plan: "Plan", explanation: Explanation, options: ExplainOptions, step_flops: int) -> Iterator[None]:
    """Compute what `explain` does, and yield after each step.

    Args:
        plan: The network.
        explanation: Where to write everything, from `empty_explanation`.
        options: What is explained.
        step_flops: About how many floating-point operations a step takes.
    """
    inputs, outputs = explanation.inputs, explanation.outputs
    yield from forward_steps(plan, inputs, outputs, step_flops // max(plan.flops_per_row, 1))
    explanation.targets[...] = options.choose_targets(outputs)
    with_targets = options.attribution_options(plan, explanation.targets)
    yield from attribution_steps(plan, inputs, with_targets, explanation.attributions, step_flops)
