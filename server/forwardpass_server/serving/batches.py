"""Calls whose rows are computed as one matrix."""

from collections.abc import Generator
from dataclasses import dataclass, field
from time import monotonic
from typing import Final, TypeAlias, TypeVar

import numpy as np
from forwardpass.tensors import Array

from forwardpass_server.core import Dense, Trace, empty_trace, forward, forward_steps, rows_of, trace, trace_steps
from forwardpass_server.registry import LoadedVersion, Shadowing, Statistics
from forwardpass_server.serving.calls import Computed, OutputOptions, RawRequest, ResponseEncoder, TraceOptions
from forwardpass_server.serving.shadows import Answered
from forwardpass_server.serving.workers import Pause

STEP: Final = 20_000_000
"""The most floating-point operations that are done at one go: about a millisecond on one core of 2020."""

_FLOPS_PER_BYTE: Final = 8
"""What a byte of an answer costs to write, in floating-point operations."""

Result = TypeVar("Result")
Steps: TypeAlias = Generator[Pause | None, None, Result]
"""Work that yields before each part that is long, so that other work may come between; then it returns."""


def answer_bytes(loaded: LoadedVersion, choice: TraceOptions | None) -> int:
    """Return the size of a row's numbers in an answer."""
    plan = loaded.plan
    numbers = plan.outputs
    if choice is not None:
        numbers += plan.inputs
        for layer in plan.layers:
            if not choice.layers or layer.name in choice.layers:
                numbers += 2 * layer.outputs + (layer.inputs if layer.merge else 0)
                numbers += layer.weights.size if choice.contributions and isinstance(layer, Dense) else 0
    return numbers * plan.dtype.itemsize


def work_of_row(loaded: LoadedVersion, wanted: OutputOptions) -> int:
    """Return what it takes to compute and answer a row, in floating-point operations."""
    size = answer_bytes(loaded, wanted.choice) + wanted.row_bytes
    return loaded.plan.flops_per_row + _FLOPS_PER_BYTE * size


@dataclass(slots=True)
class Part:
    """Calls of a batch whose answers are written together, in the order of their rows.

    Attributes:
        write: What writes their answers.
        calls: The calls.
        counts: For each call, how many rows it has.
    """

    write: ResponseEncoder
    calls: list[RawRequest]
    counts: list[int]


@dataclass(kw_only=True, slots=True)
class Batch:
    """Calls whose rows are computed as one matrix.

    Attributes:
        loaded: The version.
        choice: What a trace shows, or None for a prediction.
        work: What it takes, in floating-point operations.
        statistics: What counts it.
        revision: The registry's revision at which its version was found.
        read: Seconds that reading its calls took.
        parts: The calls.
        inputs: The rows, as arrays of shape `(rows, inputs)`, in the order of the calls.
        shadowings: What is computed beside it, once it is answered.
    """

    loaded: LoadedVersion
    choice: TraceOptions | None
    statistics: Statistics
    revision: int = 0
    work: int = 0
    read: float = 0.0
    infer: float = field(default=0.0, init=False)
    parts: list[Part] = field(default_factory=list)
    inputs: list[Array] = field(default_factory=list)
    shadowings: tuple[Shadowing, ...] = ()

    @property
    def calls(self) -> list[RawRequest]:
        """The calls in the order of their rows."""
        return self.parts[0].calls if len(self.parts) == 1 else [call for part in self.parts for call in part.calls]

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return sum(map(len, self.inputs))

    def add(self, write: ResponseEncoder, calls: list[RawRequest], rows: int, inputs: Array, work: int) -> None:
        """Put in calls of so many rows and so much work each, `inputs` having the rows of them all."""
        self.work += work * len(calls)
        self.inputs.append(inputs)
        if not self.parts or self.parts[-1].write != write:
            self.parts.append(Part(write, [], []))
        self.parts[-1].calls += calls
        self.parts[-1].counts += [rows] * len(calls)

    def steps(self, answered: list[Answered] | None = None) -> Steps[list[bytes]]:
        """Compute the batch; return a reply for each call.

        Args:
            answered: Gets what is to be computed beside it, if anything is.
        """
        if self.work > STEP:
            yield None
        begun = monotonic()
        matrix = self.inputs[0] if len(self.inputs) == 1 else np.concatenate(self.inputs)
        if self.work > STEP:
            computed = yield from self._computed_in_steps(matrix)
        else:
            computed = self._computed(matrix)
            self.infer = monotonic() - begun
        ready = monotonic()
        replies = self._replies(computed)
        self.statistics.computed(
            len(matrix),
            [call.arrived for call in self.calls],
            begun=begun,
            read=self.read,
            infer=self.infer,
            output=monotonic() - ready,
        )
        if answered is not None and self.shadowings and not isinstance(computed, Trace):
            shown = Answered(loaded=self.loaded, shadowings=self.shadowings, inputs=matrix, outputs=computed)
            answered.append(shown)
        return replies

    def _computed(self, matrix: Array) -> Computed:
        if self.choice is None:
            return forward(self.loaded.plan, matrix)
        shown, contributions = self.choice.layers or None, self.choice.contributions
        return trace(self.loaded.plan, matrix, layers=shown, contributions=contributions)

    def _computed_in_steps(self, matrix: Array) -> Steps[Computed]:
        plan = self.loaded.plan
        rows = max(STEP * len(matrix) // self.work, 1)
        computed: Computed
        if self.choice is None:
            computed = np.empty((len(matrix), plan.outputs), dtype=plan.dtype)
            steps = forward_steps(plan, matrix, computed, rows)
        else:
            shown, contributions = self.choice.layers or None, self.choice.contributions
            computed = empty_trace(plan, len(matrix), layers=shown, contributions=contributions)
            steps = trace_steps(plan, matrix, computed, rows)
        begun = monotonic()
        for _ in steps:
            self.infer += monotonic() - begun
            yield None
            begun = monotonic()
        return computed

    def _replies(self, computed: Computed) -> list[bytes]:
        """Let each part write its own."""
        if len(self.parts) == 1:
            (part,) = self.parts
            return part.write(self.loaded, computed, part.calls, part.counts, self.revision)
        replies, start = [], 0
        for part in self.parts:
            rows = slice(start, start + sum(part.counts))
            own = rows_of(computed, rows) if isinstance(computed, Trace) else computed[rows]
            replies += part.write(self.loaded, own, part.calls, part.counts, self.revision)
            start = rows.stop
        return replies
