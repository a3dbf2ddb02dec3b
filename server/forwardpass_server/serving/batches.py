"""Calls whose rows are computed as one matrix."""

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Final, TypeAlias, TypeVar

import numpy as np
from forwardpass.tensors import Array

from forwardpass_server.core import empty_trace, forward, forward_steps, trace, trace_steps
from forwardpass_server.registry import Served
from forwardpass_server.serving.calls import Call
from forwardpass_server.serving.replies import predict_replies, trace_replies

STEP: Final = 20_000_000
"""The most floating-point operations that are done at one go: about a millisecond on one core of 2020."""

_FLOPS_PER_BYTE: Final = 8
"""What a byte of an answer costs to write, in floating-point operations."""

Result = TypeVar("Result")
Steps: TypeAlias = Generator[None, None, Result]
"""Work that yields before each part that is long, so that other work may come between; then it returns."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TraceChoice:
    """What a trace shows: which layers (empty means all), and whether contributions."""

    layers: frozenset[str] = frozenset()
    contributions: bool = False


def answer_bytes(served: Served, choice: TraceChoice | None) -> int:
    """Return the size of a row's numbers in an answer."""
    plan = served.plan
    numbers = plan.outputs
    if choice is not None:
        numbers += plan.inputs
        for layer in plan.layers:
            if not choice.layers or layer.name in choice.layers:
                nodes, reads = layer.weights.shape
                numbers += 2 * nodes + (nodes * reads if choice.contributions else 0)
    return numbers * plan.dtype.itemsize


def work_of_row(served: Served, choice: TraceChoice | None) -> int:
    """Return what it takes to compute and answer a row, in floating-point operations."""
    return served.plan.flops_per_row + _FLOPS_PER_BYTE * answer_bytes(served, choice)


@dataclass(kw_only=True, slots=True)
class Batch:
    """Calls whose rows are computed as one matrix.

    Attributes:
        served: The version.
        choice: What a trace shows, or None for a prediction.
        work: What it takes, in floating-point operations.
        calls: The calls.
        counts: For each call, how many rows it has.
        inputs: The rows, in parts of shape `(rows, inputs)`, in the order of the calls.
    """

    served: Served
    choice: TraceChoice | None
    work: int = 0
    calls: list[Call] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    inputs: list[Array] = field(default_factory=list)

    def steps(self) -> Steps[list[bytes]]:
        """Compute the batch; return a reply for each call."""
        matrix = self.inputs[0] if len(self.inputs) == 1 else np.concatenate(self.inputs)
        plan = self.served.plan
        if self.work > STEP:
            yield
        rows = max(STEP * len(matrix) // self.work, 1)
        if self.choice is None:
            if self.work <= STEP:
                return predict_replies(self.served, forward(plan, matrix), self.counts)
            outputs = np.empty((len(matrix), plan.outputs), dtype=plan.dtype)
            yield from forward_steps(plan, matrix, outputs, rows)
            return predict_replies(self.served, outputs, self.counts)
        shown, contributions = self.choice.layers or None, self.choice.contributions
        if self.work <= STEP:
            traced = trace(plan, matrix, layers=shown, contributions=contributions)
        else:
            traced = empty_trace(plan, len(matrix), layers=shown, contributions=contributions)
            yield from trace_steps(plan, matrix, traced, rows)
        return trace_replies(self.served, traced, self.counts)
