"""A batch of raw calls in, a batch of answers out.

Whatever waits at the same moment is one batch. Calls for the same version and kind are
computed as one matrix; the core's exact blocks make sure that nobody can tell from the
bits of an answer. A call that fails fails alone.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final

import numpy as np
from forwardpass.errors import (
    DeadlineExceededError,
    Fault,
    ForwardpassError,
    InvalidFieldError,
    LayerNotFoundError,
    MalformedRequestError,
    QuotaExceededError,
)
from forwardpass.tensors import Array
from forwardpass.v1.prediction_service_pb2 import PredictRequest, TraceRequest
from google.protobuf.message import DecodeError

from forwardpass_server.core import forward, trace
from forwardpass_server.registry import Registry, Served
from forwardpass_server.serving.calls import Answer, Call, Kind
from forwardpass_server.serving.inputs import read_inputs
from forwardpass_server.serving.replies import predict_reply, trace_reply

REQUESTS: Final[dict[Kind, type[PredictRequest | TraceRequest]]] = {
    Kind.PREDICT: PredictRequest,
    Kind.TRACE: TraceRequest,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkLimits:
    """What one call may ask for, judged before it is computed.

    Attributes:
        max_rows: Rows.
        max_gigaflops: Arithmetic: rows times twice the network's weights, in 1e9.
        max_answer_bytes: Size of the numbers in the answer.
    """

    max_rows: int = 1_000_000
    max_gigaflops: float = 1_000.0
    max_answer_bytes: int = 64 * 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class TraceChoice:
    """What a trace shows: which layers (empty means all), and whether contributions."""

    layers: frozenset[str] = frozenset()
    contributions: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Calls whose rows are computed as one matrix.

    Attributes:
        served: The version.
        choice: What a trace shows, or None for a prediction.
        positions: For each call, its place among all calls.
        inputs: For each call, its rows, shape `(rows, inputs)`.
    """

    served: Served
    choice: TraceChoice | None
    positions: list[int] = field(default_factory=list)
    inputs: list[Array] = field(default_factory=list)

    @property
    def flops(self) -> int:
        """The arithmetic of the batch."""
        return sum(map(len, self.inputs)) * self.served.plan.flops_per_row

    def run(self) -> list[bytes]:
        """Compute the batch; return a reply for each call."""
        matrix = self.inputs[0] if len(self.inputs) == 1 else np.concatenate(self.inputs)
        ends = np.cumsum([len(rows) for rows in self.inputs]).tolist()
        slices = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
        served = self.served
        if self.choice is None:
            outputs = forward(served.plan, matrix)
            return [predict_reply(served, outputs[rows]) for rows in slices]
        shown = self.choice.layers or None
        traced = trace(served.plan, matrix, layers=shown, contributions=self.choice.contributions)
        return [trace_reply(served, traced, rows) for rows in slices]


class Predictor:
    """Answers calls from the registry's compiled plans."""

    def __init__(self, registry: Registry, limits: WorkLimits) -> None:
        self._registry = registry
        self._limits = limits

    def answer(self, calls: Sequence[Call]) -> list[Answer]:
        """Answer every call, in order."""
        batches, answers = self.sort(calls)
        for batch in batches:
            for position, reply in zip(batch.positions, batch.run(), strict=True):
                answers[position] = reply
        return [answer for answer in answers if answer is not None]

    def sort(self, calls: Sequence[Call]) -> tuple[list[Batch], list[Answer | None]]:
        """Read calls into batches that are ready to run.

        Returns:
            The batches, and for each call the error that keeps it out of them, or None.
        """
        batches: dict[tuple[Served, TraceChoice | None], Batch] = {}
        answers: list[Answer | None] = [None] * len(calls)
        now = time.monotonic()
        for position, call in enumerate(calls):
            try:
                if call.expires <= now:
                    raise DeadlineExceededError("the deadline passed before the call was computed")
                served, choice, inputs = self._read(call)
            except ForwardpassError as error:
                answers[position] = error
                continue
            key = (served, choice)
            batch = batches.get(key)
            if batch is None:
                batch = batches[key] = Batch(served=served, choice=choice)
            batch.positions.append(position)
            batch.inputs.append(inputs)
        return list(batches.values()), answers

    def _read(self, call: Call) -> tuple[Served, TraceChoice | None, Array]:
        try:
            request = REQUESTS[call.kind].FromString(call.request)
        except DecodeError:
            raise MalformedRequestError(
                f"the request is not a valid {call.kind.value}Request", method=call.kind.value
            ) from None
        if not request.network:
            raise InvalidFieldError(
                "network: is empty; name a network",
                faults=[Fault(path="network", message="is empty; name a network")],
            )
        served = self._registry.served(request.network, request.version)
        inputs = read_inputs(request, served)
        choice = _choice(request, served) if isinstance(request, TraceRequest) else None
        self._check_cost(served, choice, len(inputs))
        return served, choice, inputs

    def _check_cost(self, served: Served, choice: TraceChoice | None, rows: int) -> None:
        limits = self._limits
        if rows > limits.max_rows:
            raise _quota("rows", rows, limits.max_rows, "max_rows")
        gigaflops = rows * served.plan.flops_per_row / 1e9
        if gigaflops > limits.max_gigaflops:
            raise _quota("billion floating-point operations", gigaflops, limits.max_gigaflops, "max_gigaflops")
        size = _answer_bytes(served, choice, rows)
        if size > limits.max_answer_bytes:
            raise _quota("bytes in the answer", size, limits.max_answer_bytes, "max_answer_bytes")


def _choice(request: TraceRequest, served: Served) -> TraceChoice:
    known = [layer.name for layer in served.plan.layers]
    for index, name in enumerate(request.layers):
        if name not in known:
            near = get_close_matches(name, known, n=1)
            raise LayerNotFoundError(
                f"{served.title} has no layer {name!r}"
                + (f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(known[:10])}"),
                resourceType="layer",
                resourceName=name,
                nearest=", ".join(near),
                path=f"layers[{index}]",
            )
    return TraceChoice(layers=frozenset(request.layers), contributions=request.contributions)


def _answer_bytes(served: Served, choice: TraceChoice | None, rows: int) -> int:
    plan = served.plan
    numbers = plan.outputs
    if choice is not None:
        numbers += plan.inputs
        for layer in plan.layers:
            if not choice.layers or layer.name in choice.layers:
                nodes, reads = layer.weights.shape
                numbers += 2 * nodes + (nodes * reads if choice.contributions else 0)
    return rows * numbers * plan.dtype.itemsize


def _quota(what: str, value: float, limit: float, setting: str) -> QuotaExceededError:
    return QuotaExceededError(
        f"the call asks for {value:,} {what}; the server's limit is {limit:,} (setting `{setting}`); "
        "send fewer rows in each call",
        quotaValue=value,
        quotaLimit=limit,
        setting=setting,
        subject=what,
    )
