"""Each stage by itself, with plain values: what goes in, what comes out."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from forwardpass.errors import (
    MissingValueError,
    NetworkNotFoundError,
    QuotaExceededError,
    RevisionAheadError,
    StoreUnavailableError,
)
from forwardpass.v1.prediction_service_pb2 import (
    ExplainRequest,
    PredictRequest,
    PredictResponse,
    TraceRequest,
    TraceResponse,
)
from forwardpass_server.core import forward
from forwardpass_server.registry import Registry, SqlStore
from forwardpass_server.serving import EXPLAIN, PREDICT, TRACE, BatchingPolicy, RawRequest, WorkLimits
from forwardpass_server.serving.batch import Batch, RequestRows, assemble_batches, read_prepared_rows, read_rows
from forwardpass_server.serving.decode import PreparedRequest, PreparedRequestCache
from forwardpass_server.serving.encode import encode_batch
from forwardpass_server.serving.execute import execute, execute_in_steps
from forwardpass_server.serving.requests import InferenceRequest
from forwardpass_server.serving.resolve import (
    RejectedRequest,
    ResolvedRequest,
    UnresolvedRequest,
    resolve,
    resolve_now,
)

from tests.support.sample_networks import chain, number_request
from tests.support.serving import LIMITS, POLICY, finish


class SharedRegistry(Registry):
    """A registry whose database others write: `catch_up` is what they wrote, done when the registry is refreshed."""

    catch_up: Callable[[], object] = staticmethod(lambda: None)
    error: Exception | None = None

    @property
    def shared(self) -> bool:
        return True

    def refresh(self, then: Callable[[Exception | None], None]) -> None:
        self.catch_up()
        then(self.error)


@pytest.fixture
def registry() -> Iterator[SharedRegistry]:
    with SqlStore("sqlite://") as store:
        opened = SharedRegistry.open(store)
        assert isinstance(opened, SharedRegistry)
        opened.register("net", chain([1, 3, 2]))
        opened.register("other", chain([1, 2], seed=5))
        yield opened


def raw(*numbers: float, network: str = "net", method: Any = PREDICT, **fields: Any) -> RawRequest:
    request = number_request(network, *numbers)
    other = {TRACE: TraceRequest, EXPLAIN: ExplainRequest}.get(method)
    if other is not None:
        return RawRequest(method, other(network=network, tensor=request.tensor, **fields).SerializeToString())
    for name, value in fields.items():
        setattr(request, name, value)
    return RawRequest(PREDICT, request.SerializeToString())


def decode(request: RawRequest) -> InferenceRequest:
    assert request.method.decode is not None
    return request.method.decode(request.data)


def resolved(registry: Registry, request: RawRequest) -> ResolvedRequest:
    found = resolve_now(request, decode(request), registry, registry.snapshot)
    assert isinstance(found, ResolvedRequest)
    return found


def rows_of(registry: Registry, request: RawRequest, policy: BatchingPolicy = POLICY) -> RequestRows:
    return read_rows(resolved(registry, request), LIMITS, policy)


def prepared(registry: Registry, request: RawRequest) -> PreparedRequest:
    cache, found, rows = PreparedRequestCache(POLICY), resolved(registry, request), rows_of(registry, request)
    cache.add(request.data, found.inference, found.version, rows.options, rows.rows, rows.flops)
    again = cache.find(request.data)
    assert again is not None
    return again


class TestResolve:
    def test_a_loaded_version_is_found_at_once(self, registry: SharedRegistry) -> None:
        found = resolved(registry, raw(1.0))
        assert (found.version.network, found.version.number, found.loaded.digest) == ("net", 1, found.version.digest)

    @pytest.mark.parametrize("fields", [{"network": "missing"}, {"min_revision": 10**6}], ids=["name", "revision"])
    def test_what_others_may_have_written_is_waited_for(self, registry: SharedRegistry, fields: Any) -> None:
        request = raw(1.0, **fields)
        found = resolve_now(request, decode(request), registry, registry.snapshot)
        assert isinstance(found, UnresolvedRequest)
        assert found.version is None
        (rejected,) = finish(resolve([found], registry))
        assert isinstance(rejected, RejectedRequest)
        assert isinstance(rejected.error, NetworkNotFoundError if "network" in fields else RevisionAheadError)

    def test_it_is_found_in_the_snapshot_after_the_refresh(self, registry: SharedRegistry) -> None:
        request = raw(1.0, network="new")
        found = resolve_now(request, decode(request), registry, registry.snapshot)
        assert isinstance(found, UnresolvedRequest)
        registry.catch_up = lambda: registry.register("new", chain([1, 1]))
        (again,) = finish(resolve([found], registry))
        assert isinstance(again, ResolvedRequest)
        assert again.version.network == "new"
        assert again.snapshot is registry.snapshot is not found.snapshot

    def test_an_error_of_the_database_rejects_only_who_waits_for_it(self, registry: SharedRegistry) -> None:
        registry.error = StoreUnavailableError("the database is away")
        waits, loads = raw(1.0, network="missing"), raw(1.0)
        missing = resolve_now(waits, decode(waits), registry, registry.snapshot)
        assert isinstance(missing, UnresolvedRequest)
        unloaded = UnresolvedRequest(loads, decode(loads), registry.version("net", ""), registry.snapshot)
        rejected, found = finish(resolve([missing, unloaded], registry))
        assert isinstance(rejected, RejectedRequest)
        assert rejected.error is registry.error
        assert isinstance(found, ResolvedRequest)


class TestBatch:
    def test_rows_are_those_of_the_request(self, registry: Registry) -> None:
        read = rows_of(registry, raw(1.0, 2.0, 3.0))
        assert read.matrix.tolist() == [[1.0], [2.0], [3.0]]
        assert (read.rows, read.warnings, read.options.computation) == (3, b"", None)
        assert read.response_bytes == 3 * 2 * 8

    def test_prepared_rows_are_those_of_each_request_in_order(self, registry: Registry) -> None:
        requests = [raw(1.0, 2.0), raw(3.0, 4.0), raw(5.0, 6.0)]
        known, loaded = prepared(registry, requests[0]), registry.load_reference("net", "")
        for some in (requests, requests[1:2]):
            read = read_prepared_rows(known, some, loaded, registry.snapshot)
            assert read is not None
            assert read.matrix.tolist() == [row for each in some for row in rows_of(registry, each).matrix.tolist()]
            assert (read.requests, read.rows) == (some, 2)

    def test_prepared_rows_with_a_number_that_is_rejected_are_left_to_each_request(self, registry: Registry) -> None:
        requests = [raw(1.0), raw(float("nan"))]
        known, loaded = prepared(registry, requests[0]), registry.load_reference("net", "")
        assert read_prepared_rows(known, requests, loaded, registry.snapshot) is None
        with pytest.raises(MissingValueError):
            rows_of(registry, requests[1])

    def test_too_much_work_is_rejected_before_it_is_done(self, registry: Registry) -> None:
        for limits in (WorkLimits(max_rows=1), WorkLimits(max_gflop_per_call=1e-9), WorkLimits(max_response_bytes=1)):
            with pytest.raises(QuotaExceededError):
                read_rows(resolved(registry, raw(1.0, 2.0)), limits, POLICY)

    def test_requests_of_one_version_share_a_batch(self, registry: Registry) -> None:
        requests = [raw(1.0), raw(2.0, 3.0, network="other"), raw(4.0, top_k=0), raw(5.0, method=TRACE), raw(6.0, 7.0)]
        batches = assemble_batches([rows_of(registry, request) for request in requests], POLICY)
        assert [[requests.index(request) for request in batch.requests] for batch in batches] == [[0, 2, 4], [1], [3]]
        assert batches[0].matrix().tolist() == [[1.0], [4.0], [6.0], [7.0]]
        assert [batch.loaded.name for batch in batches] == ["net", "other", "net"]
        assert [batch.computation is None for batch in batches] == [True, True, False]

    @pytest.mark.parametrize("policy", [BatchingPolicy(own_batch_rows=2), BatchingPolicy(step_flops=500)])
    def test_long_requests_get_batches_of_their_own(self, registry: Registry, policy: BatchingPolicy) -> None:
        short, long = [raw(1.0), raw(2.0)], [raw(*range(100)), raw(*range(100))]
        known, loaded = prepared(registry, long[0]), registry.load_reference("net", "")
        together = read_prepared_rows(known, long, loaded, registry.snapshot)
        assert together is not None
        members = [rows_of(registry, short[0], policy), together, rows_of(registry, short[1], policy)]
        batches = assemble_batches(members, policy)
        assert [batch.requests for batch in batches] == [short, long[:1], long[1:]]
        assert [batch.matrix().ravel().tolist() for batch in batches[1:]] == [[*range(100)]] * 2


class TestExecute:
    @pytest.mark.parametrize("method", [PREDICT, TRACE, EXPLAIN], ids=["predict", "trace", "explain"])
    def test_steps_change_no_bit(self, registry: Registry, method: Any) -> None:
        batch = Batch.of([rows_of(registry, raw(*range(50), method=method)), rows_of(registry, raw(7, method=method))])
        at_once = execute(batch)
        stepped = finish(execute_in_steps(batch, BatchingPolicy(step_flops=1_000)))
        assert at_once.matrix.tobytes() == stepped.matrix.tobytes() == batch.matrix().tobytes()
        expected = forward(batch.loaded.plan, batch.matrix())
        for executed in (at_once, stepped):
            outputs = executed.computed if isinstance(executed.computed, np.ndarray) else executed.computed.outputs
            assert outputs.tobytes() == expected.tobytes()


class TestEncode:
    def test_each_request_gets_its_rows_and_its_options(self, registry: Registry) -> None:
        registry.register("classes", chain([1, 3], classes=["a", "b", "c"]))
        requests = [raw(*numbers, network="classes", top_k=top) for numbers, top in (([1], 0), ([2, 3], 2), ([4], 2))]
        batch = Batch.of([rows_of(registry, request) for request in requests])
        computed = execute(batch).computed
        assert isinstance(computed, np.ndarray)
        responses = [PredictResponse.FromString(response) for response in encode_batch(batch, computed)]
        assert b"".join(response.outputs.data for response in responses) == computed.tobytes()
        assert [list(response.outputs.shape) for response in responses] == [[1, 3], [2, 3], [1, 3]]
        assert [len(response.classifications[0].top) for response in responses] == [0, 2, 2]

    def test_warnings_are_appended_to_the_response_of_their_request(self, registry: Registry) -> None:
        warning = PredictResponse(warning_count=3).SerializeToString()
        first, second = rows_of(registry, raw(1.0)), rows_of(registry, raw(2.0))._replace(warnings=warning)
        batch = Batch.of([first, second, first])
        responses = encode_batch(batch, execute(batch).computed)
        assert [PredictResponse.FromString(response).warning_count for response in responses] == [0, 3, 0]

    def test_traces_are_encoded_as_traces(self, registry: Registry) -> None:
        batch = Batch.of([rows_of(registry, raw(number, method=TRACE)) for number in (1.0, 2.0)])
        responses = [TraceResponse.FromString(one) for one in encode_batch(batch, execute(batch).computed)]
        assert [np.frombuffer(response.inputs.data).tolist() for response in responses] == [[1.0], [2.0]]
        assert [len(response.layers) for response in responses] == [2, 2]


def test_a_request_of_another_form_is_the_same_rows(registry: Registry) -> None:
    request = PredictRequest(network="net")
    request.tensor.CopyFrom(number_request("net", 1.5).tensor)
    assert rows_of(registry, RawRequest(PREDICT, request.SerializeToString())).matrix.tolist() == [[1.5]]
