"""Reads raw calls into batches that are ready to compute.

Whatever waits at the same moment is one batch. Calls for the same version and kind are
computed as one matrix; the core's exact blocks make sure that nobody can tell from the
bits of an answer. A call that fails fails alone.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Final, NamedTuple

import numpy as np
from forwardpass.errors import DeadlineExceededError, ForwardpassError, NotFoundError, QuotaExceededError
from forwardpass.tensors import Array

from forwardpass_server.core import validate_and_fill
from forwardpass_server.registry import (
    LoadedVersion,
    Registry,
    Shadowing,
    Snapshot,
    Statistics,
    VersionState,
    revision_ahead,
)
from forwardpass_server.serving.batches import STEP, Batch, Steps, answer_bytes, work_of_row
from forwardpass_server.serving.calls import (
    Appended,
    InferenceRequest,
    Method,
    OutputOptions,
    RawRequest,
    RawResponse,
    TraceOptions,
)
from forwardpass_server.serving.inputs import overflows
from forwardpass_server.serving.many import join, split
from forwardpass_server.serving.prepared_requests import PreparedRequest, PreparedRequestCache
from forwardpass_server.serving.questions import PREDICT, PREDICT_MANY
from forwardpass_server.serving.shadows import Answered

LONG: Final = 128
"""So many rows are computed as quickly alone as together with others."""

HEAVY_BYTES: Final = 256 * 1024
"""A request whose parsing is worth a thread."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkLimits:
    """What one call may ask for, judged before it is computed.

    Attributes:
        max_rows: Rows.
        max_gflop_per_call: Arithmetic: rows times twice the network's weights, in 1e9.
        max_response_bytes: Size of the numbers in the answer.
        max_requests: Requests of one PredictMany.
    """

    max_rows: int = 1_000_000
    max_gflop_per_call: float = 1_000.0
    max_response_bytes: int = 64 * 2**20
    max_requests: int = 10_000


class Cold(NamedTuple):
    """A call whose version is not in memory, and the registry's revision at which that was found."""

    call: RawRequest
    version: VersionState
    revision: int


class Sorted:
    """Calls that were read.

    Attributes:
        batches: What is ready to compute.
        refused: Calls that are answered already, each with its error.
        cold: Calls whose version is not in memory.
        behind: Calls that must wait until the registry has looked for changes that others made.
        revision: The registry's revision at which the versions are found that are put in now.
        label_bytes: How many bytes the batches' answers have besides numbers, at most.
    """

    def __init__(self) -> None:
        self._shadowed: Mapping[tuple[str, int], tuple[Shadowing, ...]] = {}
        self.batches: list[Batch] = []
        self.refused: list[tuple[RawRequest, Exception]] = []
        self.cold: list[Cold] = []
        self.behind: list[RawRequest] = []
        self.revision = 0
        self.label_bytes = 0
        self._shared: dict[tuple[LoadedVersion, TraceOptions | None, int], Batch] = {}

    def at(self, snapshot: Snapshot) -> None:
        """Go on with calls whose versions are found in this snapshot."""
        self.revision, self._shadowed = snapshot.revision, snapshot.shadowed

    def add(
        self,
        calls: list[RawRequest],
        rows: int,
        inputs: Array,
        loaded: LoadedVersion,
        wanted: OutputOptions,
        work: int,
        statistics: Statistics,
    ) -> None:
        """Put in calls of so many rows and so much work each, `inputs` having the rows of them all."""
        self.label_bytes += len(inputs) * wanted.row_bytes
        if rows >= LONG or work > STEP:  # nobody waits for the long work of another, nor copies what gains nothing
            for place, call in enumerate(calls):
                batch = self._batch(loaded, wanted.choice, statistics)
                batch.add(wanted.write, [call], rows, inputs[place * rows : (place + 1) * rows], work)
                self.batches.append(batch)
            return
        key = (loaded, wanted.choice, self.revision)
        shared = self._shared.get(key)
        if shared is None:
            shared = self._batch(loaded, wanted.choice, statistics)
            self._shared[key] = shared
            self.batches.append(shared)
        shared.add(wanted.write, calls, rows, inputs, work)

    def _batch(self, loaded: LoadedVersion, choice: TraceOptions | None, statistics: Statistics) -> Batch:
        batch = Batch(loaded=loaded, choice=choice, statistics=statistics, revision=self.revision)
        if self._shadowed:
            batch.shadowings = self._shadowed.get((loaded.name, loaded.version), ())
        return batch

    def took(self, seconds: float, calls: int) -> None:
        """Note how long reading so many calls took."""
        for batch in self.batches:
            batch.read = seconds * len(batch.calls) / calls


class _Known:
    """The heads that are known at one state of the registry; a change makes them all unknown."""

    def __init__(self, snapshot: Snapshot | None) -> None:
        self.snapshot = snapshot
        self.heads: defaultdict[Method, PreparedRequestCache] = defaultdict(PreparedRequestCache)


class Predictor:
    """Reads calls and answers them from the registry's compiled versions. May be used by several threads."""

    def __init__(self, registry: Registry, limits: WorkLimits) -> None:
        self._registry = registry
        self._limits = limits
        self._known = _Known(None)

    def steps(
        self, call: RawRequest, status: Callable[[Exception], bytes], answered: list[Answered]
    ) -> Steps[list[RawResponse]]:
        """RawResponse one call, whatever it takes.

        Args:
            call: Of any kind.
            status: Serializes the `google.rpc.Status` of an error of one of several requests.
            answered: Gets what is to be computed beside it, once it is answered.
        """
        if len(call.request) > HEAVY_BYTES:
            yield None
        if call.kind is not PREDICT_MANY:
            return (yield from self._answers([call], answered))
        if call.expires <= time.monotonic():
            return [expired()]
        try:
            requests = split(call.request)
            if len(requests) > self._limits.max_requests:
                raise _quota("requests", len(requests), self._limits.max_requests, "max_requests")
            calls = [
                RawRequest(PREDICT, request, call.expires, place, arrived=call.arrived)
                for place, request in enumerate(requests)
            ]
            answers = yield from self._answers(calls, answered)
        except ForwardpassError as error:
            return [error]
        return [join(answers, status)]

    def _answers(self, calls: Sequence[RawRequest], answered: list[Answered]) -> Steps[list[RawResponse]]:
        """RawResponse calls together; load what is not in memory."""
        found = self.sort(calls)
        if found.behind:
            yield from self._look(found)
        for cold in found.cold:
            yield None
            self._read_cold(cold, found)
        size = sum(batch.rows * answer_bytes(batch.loaded, batch.choice) for batch in found.batches)
        self._check_answer(size + found.label_bytes)
        answers: dict[int, RawResponse] = {id(call): error for call, error in found.refused}
        for batch in found.batches:
            replies = yield from batch.steps(answered)
            answers |= zip(map(id, batch.calls), replies, strict=True)
        return [answers[id(call)] for call in calls]

    def _look(self, found: Sorted) -> Steps[None]:
        """Let the registry look for changes that others made; sort the calls that need them."""
        behind, found.behind = found.behind, []
        looked: list[Exception | None] = []

        def pause(go_on: Callable[[], None]) -> None:
            def then(problem: Exception | None) -> None:
                looked.append(problem)
                go_on()

            self._registry.look(then)

        yield None  # the thread that took the calls has others to take
        while not looked:
            yield pause
        problem = looked[0]
        if problem is None:
            self.sort(behind, into=found, final=True)
        else:
            found.refused += [(call, problem) for call in behind]

    def sort(self, calls: Sequence[RawRequest], *, into: Sorted | None = None, final: bool = False) -> Sorted:
        """Read calls; every one of them is in the result once.

        Args:
            calls: The calls.
            into: The result of calls before, to go on with.
            final: Whether what is not there now is to be refused, though others may have made it.
        """
        snapshot = self._registry.snapshot
        found = into or Sorted()
        found.at(snapshot)
        known = self._known
        if known.snapshot is not snapshot:
            known = self._known = _Known(snapshot)
        alike: dict[PreparedRequest, list[RawRequest]] = {}
        now = time.monotonic()
        for call in calls:
            if call.expires <= now:
                found.refused.append((call, expired()))
                continue
            heads, plain = known.heads[call.kind], call.kind.plain
            request = plain(call.request) if plain else call.request
            head = heads.find(request)
            if head is None:
                self._read_new(call, request, snapshot, heads, found, final=final)
            elif head.rows >= LONG:
                self._read_alike(head, [call], found)
            elif head in alike:
                alike[head].append(call)
            else:
                alike[head] = [call]
        for head, same in alike.items():
            self._read_alike(head, same, found)
        if into is None:
            found.took(time.monotonic() - now, len(calls))
        return found

    def _read_cold(self, cold: Cold, into: Sorted) -> None:
        """Load a version, which may take long, and read a call for it."""
        call, version, into.revision = cold
        try:
            self._add(call, _read(call), version, self._registry.load(version), into)
        except ForwardpassError as error:
            into.refused.append((call, error))

    def _read_new(
        self,
        call: RawRequest,
        plain: bytes,
        snapshot: Snapshot,
        heads: PreparedRequestCache,
        found: Sorted,
        *,
        final: bool,
    ) -> None:
        """Read a call whose head is not known."""
        try:
            question = _read(call)
            if question.min_revision > snapshot.revision:
                if final:
                    raise revision_ahead(question.min_revision, snapshot.revision)
                found.behind.append(call)
                return
            try:
                version = question.find(snapshot)
            except NotFoundError:
                if final or not self._registry.shared:
                    raise
                found.behind.append(call)
                return
            loaded = self._registry.resident(version)
            if loaded is None:
                found.cold.append(Cold(call, version, snapshot.revision))
                return
            wanted, rows, work = self._add(call, question, version, loaded, found)
        except ForwardpassError as error:
            found.refused.append((call, error))
        else:
            heads.learn(plain, question, version, wanted, rows, work)

    def _add(
        self, call: RawRequest, question: InferenceRequest, version: VersionState, loaded: LoadedVersion, found: Sorted
    ) -> tuple[OutputOptions, int, int]:
        """Put a call into its batch; return what it wants, how many rows it has, and what it takes."""
        statistics = version.runtime.statistics
        try:
            read, wanted = question.inputs(loaded), question.wanted(loaded)
            inputs = read.numbers
            self._check_cost(loaded, wanted, len(inputs))
        except ForwardpassError:
            statistics.refused(call.arrived)
            raise
        work = len(inputs) * work_of_row(loaded, wanted)
        answered = wanted
        if read.warnings is not None:
            answered = wanted._replace(write=Appended(wanted.write, question.warned(read.warnings)))
        found.add([call], len(inputs), inputs, loaded, answered, work, statistics)
        return wanted, len(inputs), work

    def _read_alike(self, head: PreparedRequest, calls: list[RawRequest], found: Sorted) -> None:
        """Read the numbers of calls that have the same head."""
        loaded = self._registry.resident(head.version)
        if loaded is None:
            found.cold += [Cold(call, head.version, found.revision) for call in calls]
            return
        if len(calls) == 1:
            request, count = calls[0].request, head.size // head.dtype.itemsize
            numbers = np.frombuffer(request, head.dtype, count, len(request) - head.after - head.size)
        else:
            numbers = np.frombuffer(b"".join([head.numbers_of(call.request) for call in calls]), dtype=head.dtype)
        dtype, given = loaded.plan.dtype, numbers
        if head.dtype != dtype:
            with np.errstate(over="ignore", invalid="ignore"):
                numbers = numbers.astype(dtype)
        inputs: Array = numbers.reshape(len(calls) * head.rows, -1)
        violations = None
        if loaded.typed is not None:
            inputs, violations = validate_and_fill(loaded.typed.rules, inputs)
        if loaded.allow_non_finite:
            is_plain = numbers is given or not overflows(given, numbers)
        else:
            is_plain = loaded.typed is not None or _all_finite(numbers)
        if violations is not None or not is_plain:
            for call in calls:  # one by one, so that only those are refused, or warned, that have such numbers
                self._read_cold(Cold(call, head.version, found.revision), found)
            return
        found.add(calls, head.rows, inputs, loaded, head.wanted, head.work, head.version.runtime.statistics)

    def _check_cost(self, loaded: LoadedVersion, wanted: OutputOptions, rows: int) -> None:
        limits = self._limits
        if rows > limits.max_rows:
            raise _quota("rows", rows, limits.max_rows, "max_rows")
        gigaflops = rows * loaded.plan.flops_per_row / 1e9
        if gigaflops > limits.max_gflop_per_call:
            raise _quota(
                "billion floating-point operations", gigaflops, limits.max_gflop_per_call, "max_gflop_per_call"
            )
        self._check_answer(rows * (answer_bytes(loaded, wanted.choice) + wanted.row_bytes))

    def _check_answer(self, size: int) -> None:
        if size > self._limits.max_response_bytes:
            raise _quota("bytes in the answer", size, self._limits.max_response_bytes, "max_response_bytes")


def _all_finite(numbers: Array) -> bool:
    """Return whether there is neither NaN nor infinity among numbers, shape `(count,)`."""
    # A sum of squares has them if there are any; where it has overflowed, each number is looked at.
    return isfinite(np.vdot(numbers, numbers)) or bool(np.isfinite(numbers).all())


def expired() -> DeadlineExceededError:
    """Make the error of a call that nobody waits for any more."""
    return DeadlineExceededError("the deadline passed before the call was computed")


def _read(call: RawRequest) -> InferenceRequest:
    if call.kind.read is None:
        raise TypeError(f"a {call.kind.name} is several questions")
    return call.kind.read(call.request)


def _quota(what: str, value: float, limit: float, setting: str) -> QuotaExceededError:
    return QuotaExceededError(
        f"the call asks for {value:,} {what}; the server's limit is {limit:,} (setting `{setting}`); "
        "send fewer rows in each call",
        quotaValue=value,
        quotaLimit=limit,
        setting=setting,
        subject=what,
    )
