"""The stage `execute`: computes a batch, at once or in steps between which other work is done."""

from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from forwardpass_server.core import empty_trace, forward, forward_steps, trace, trace_steps
from forwardpass_server.serving.explanations import ExplainOptions, empty_explanation, explain, explain_steps
from forwardpass_server.serving.tasks import next_turn

if TYPE_CHECKING:
    from forwardpass.tensors import Array

    from forwardpass_server.serving.batch import Batch
    from forwardpass_server.serving.batching_policy import BatchingPolicy
    from forwardpass_server.serving.requests import Computed


class ExecutedBatch(NamedTuple):
    """A batch that was computed.

    Attributes:
        matrix: Its rows, shape `(rows, inputs)`.
        computed: The outputs, shape `(rows, outputs)`, or a trace or an explanation.
        begun: When it was begun, in seconds of `time.monotonic()`.
        seconds: How long computing it took.
    """

    matrix: "Array"
    computed: "Computed"
    begun: float
    seconds: float


def execute(batch: "Batch") -> ExecutedBatch:
    """Compute a batch at once."""
    begun = monotonic()
    matrix, plan, options = batch.matrix(), batch.loaded.plan, batch.computation
    computed: Computed
    if options is None:
        computed = forward(plan, matrix)
    elif isinstance(options, ExplainOptions):
        computed = explain(plan, matrix, options)
    else:
        computed = trace(plan, matrix, layers=options.layers or None, contributions=options.contributions)
    return ExecutedBatch(matrix, computed, begun, monotonic() - begun)


async def execute_in_steps(batch: "Batch", policy: "BatchingPolicy") -> ExecutedBatch:
    """Compute a batch in steps of `policy.step_flops`; no bit depends on them."""
    await next_turn()  # not in the thread that took the requests
    begun = monotonic()
    matrix, plan, options = batch.matrix(), batch.loaded.plan, batch.computation
    rows = max(policy.step_flops * len(matrix) // batch.flops, 1)
    computed: Computed
    if options is None:
        computed = np.empty((len(matrix), plan.outputs), dtype=plan.dtype)
        steps = forward_steps(plan, matrix, computed, rows)
    elif isinstance(options, ExplainOptions):
        computed = empty_explanation(plan, matrix, options)
        steps = explain_steps(plan, computed, options, policy.step_flops)
    else:
        computed = empty_trace(plan, len(matrix), layers=options.layers or None, contributions=options.contributions)
        steps = trace_steps(plan, matrix, computed, rows)
    seconds, since = 0.0, monotonic()
    for _ in steps:
        seconds += monotonic() - since
        await next_turn()
        since = monotonic()
    return ExecutedBatch(matrix, computed, begun, seconds)
