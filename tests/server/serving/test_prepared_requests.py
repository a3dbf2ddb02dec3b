"""Responses to prepared requests are those that each request would get if it were parsed."""

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
from forwardpass.errors import (
    AliasNotFoundError,
    ForwardpassError,
    InvalidTensorError,
    MissingValueError,
    NetworkNotFoundError,
    NonFiniteInputError,
    VersionNotFoundError,
)
from forwardpass.v1.prediction_service_pb2 import PredictRequest, PredictResponse, TraceRequest
from forwardpass.v1.tensor_pb2 import Tensor
from forwardpass_server.registry import Registry, SqlStore
from forwardpass_server.serving import PREDICT, TRACE, Method, RawRequest, RawResponse, WorkLimits
from forwardpass_server.serving.decode.prepared_requests import PreparedRequestCache
from forwardpass_server.serving.encode.wire import field, varint
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.sample_networks import chain, identity, number_request
from tests.support.serving import make_predictor, respond

LIMITS = WorkLimits(max_rows=3)
NETWORKS = {"double": "float64", "single": "float32", "lenient": "float64"}


@pytest.fixture(scope="module")
def shared() -> Iterator[Registry]:
    """A registry that no test changes."""
    store = SqlStore("sqlite://")
    registry = Registry.open(store)
    for seed, (name, dtype) in enumerate(NETWORKS.items()):
        lenient = name == "lenient"
        registry.register(name, chain([2, 3, 2], dtype=dtype, seed=seed, allow_non_finite_inputs=lenient))
        registry.register(name, chain([2, 3, 1], dtype=dtype, seed=seed + 9, classes=["no", "yes"]))
    yield registry
    store.close()


@pytest.fixture
def registry() -> Iterator[Registry]:
    """A registry of the test's own."""
    store = SqlStore("sqlite://")
    yield Registry.open(store)
    store.close()


def comparable(response: RawResponse) -> object:
    if isinstance(response, bytes):
        return response
    assert isinstance(response, ForwardpassError), response
    return type(response), response.message, response.facts, response.faults


def bytes_field(number: int, data: bytes) -> bytes:
    return field(number, len(data)) + data


@st.composite
def tensor_parts(draw: st.DrawFn) -> list[bytes]:
    """The encoded fields of a tensor, usual or strange, in the order in which they stand."""
    dtype = draw(st.sampled_from([2, 1, 2, 1, 0]))
    rows = draw(st.sampled_from([1, 1, 2, 4]))
    flat = draw(st.booleans()) and rows == 1
    shape = [2] if flat else [rows, 2]
    if draw(st.integers(0, 9)) == 0:
        shape = draw(st.sampled_from([[2], [2, 1], [2, 2], []]))
    some = st.sampled_from([0.0, 1.5, -2.0, 1e39, np.inf, np.nan, 0.1])
    numbers = draw(st.lists(some, min_size=rows * 2, max_size=rows * 2))
    with np.errstate(over="ignore"):
        data = np.array(numbers).astype("<f4" if dtype == 1 else "<f8").tobytes()
    as_values = draw(st.integers(0, 5)) == 0
    packed = bytes_field(4, np.array(numbers, dtype="<f8").tobytes()) if as_values else bytes_field(3, data)
    parts = [b"\x08" + varint(dtype), bytes_field(2, b"".join(map(varint, shape))), packed]
    if draw(st.booleans()):
        parts.insert(2, bytes_field(3, bytes(draw(st.sampled_from([0, 8, len(data)])))))  # the last one counts
    if draw(st.integers(0, 3)) == 0:
        parts = draw(st.permutations(parts))
    return parts


@st.composite
def requests(draw: st.DrawFn, method: Method) -> bytes:
    """A request as some encoder might write it."""
    tensor = draw(tensor_parts())
    cut = draw(st.integers(0, len(tensor))) if draw(st.booleans()) else 0
    before, after = [], [bytes_field(3, b"".join(part)) for part in (tensor[:cut], tensor[cut:]) if part]
    before.append(bytes_field(1, draw(st.sampled_from([*NETWORKS, "missing"])).encode()))
    if draw(st.booleans()):
        before.append(bytes_field(2, draw(st.sampled_from(["1", "2", "latest", "7", "", "gone"])).encode()))
    if method is TRACE:
        before += [bytes_field(5, name) for name in draw(st.lists(st.sampled_from([b"layer_0", b"layer_1"])))]
        before.append(b"\x30" + varint(draw(st.integers(0, 1))))
    if draw(st.integers(0, 3)) == 0:
        strange = [b"\x52\x01a", b"\x50\x01", bytes_field(4, b"")]  # unknown, unknown, and rows
        before.append(draw(st.sampled_from(strange)))
    parts = before + after
    if draw(st.booleans()):
        parts = list(draw(st.permutations(parts)))
    whole = b"".join(parts)
    return whole[: draw(st.integers(0, len(whole)))] if draw(st.integers(0, 9)) == 0 else whole


@st.composite
def all_calls(draw: st.DrawFn) -> list[RawRequest]:
    """Calls of which several have the same head and other numbers."""
    calls = []
    for _ in range(draw(st.integers(1, 4))):
        method = draw(st.sampled_from([PREDICT, TRACE]))
        request = draw(requests(method))
        calls.append(RawRequest(method, request))
        for _ in range(draw(st.integers(0, 3))):
            tail = draw(st.binary(min_size=1, max_size=16))
            other = request[: -len(tail)] + tail if len(tail) <= len(request) else request
            calls.append(RawRequest(method, other))
    return calls


@settings(max_examples=400)
@given(calls=all_calls(), order=st.randoms(use_true_random=False))
def test_responses_do_not_depend_on_what_was_read_before(
    shared: Registry, calls: list[RawRequest], order: object
) -> None:
    expected = [comparable(respond(make_predictor(shared, LIMITS), [call])[0]) for call in calls]
    predictor = make_predictor(shared, LIMITS)
    for _ in range(3):  # unknown, then known, then all at once
        assert [comparable(respond(predictor, [call])[0]) for call in calls] == expected
    assert [comparable(response) for response in respond(predictor, calls)] == expected
    assert [comparable(response) for response in respond(make_predictor(shared, LIMITS), calls)] == expected
    shuffled = list(range(len(calls)))
    order.shuffle(shuffled)  # type: ignore[attr-defined] # a Random
    together = respond(predictor, [calls[place] for place in shuffled])
    assert [comparable(response) for response in together] == [expected[place] for place in shuffled]


def test_the_usual_request_is_prepared(registry: Registry) -> None:
    registry.register("same", identity())
    predictor = make_predictor(registry, LIMITS)
    calls = [RawRequest(PREDICT, number_request("same", float(n)).SerializeToString()) for n in range(20)]
    respond(predictor, calls[:1])
    prepared = predictor._prepared.caches[PREDICT]
    assert all(prepared.find(call.data) for call in calls)
    responses = [response for response in respond(predictor, calls) if isinstance(response, bytes)]
    found = [PredictResponse.FromString(response).outputs.data for response in responses]
    assert [np.frombuffer(data).item() for data in found] == list(range(20))


def test_a_request_that_is_too_large_to_be_prepared_is_copied_once(shared: Registry) -> None:
    tensor = Tensor(dtype="DATA_TYPE_FLOAT32", shape=[100_000, 2], data=bytes(800_000))
    call = RawRequest(PREDICT, PredictRequest(network="single", tensor=tensor).SerializeToString())
    predictor = make_predictor(shared, WorkLimits())
    respond(predictor, [one_row("single", 1, 2)])  # loads the network
    tracemalloc.start()
    try:
        read = predictor.read([call])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(read.rows) == 1
    assert peak < 1_200_000


def test_a_request_with_a_revision_is_prepared_too(registry: Registry) -> None:
    registry.register("same", identity())
    predictor = make_predictor(registry, LIMITS)
    calls = []
    for number in range(20):
        request = number_request("same", float(number))
        request.min_revision = 3
        calls.append(RawRequest(PREDICT, request.SerializeToString()))
    respond(predictor, calls[:1])
    prepared = predictor._prepared.caches[PREDICT]
    assert all(prepared.find(call.data) for call in calls)
    for together in ([[call] for call in calls], [calls]):
        responses = [
            response for some in together for response in respond(predictor, some) if isinstance(response, bytes)
        ]
        found = [PredictResponse.FromString(response).outputs.data for response in responses]
        assert [np.frombuffer(data).item() for data in found] == list(range(20))


def test_heads_that_are_cut_at_other_places_are_kept_apart(shared: Registry) -> None:
    """Two requests whose bytes around their numbers are the same, but not where the numbers stand."""
    data = np.array([1.0, 2.0]).tobytes()
    tensor = b"\x08\x02\x12\x02\x01\x02" + bytes_field(3, data)
    name = bytes_field(1, b"double")
    calls = [RawRequest(PREDICT, name + bytes_field(3, tensor)), RawRequest(PREDICT, bytes_field(3, tensor) + name)]
    expected = [comparable(respond(make_predictor(shared, LIMITS), [call])[0]) for call in calls]
    predictor = make_predictor(shared, LIMITS)
    for _ in range(2):
        assert [comparable(respond(predictor, [call])[0]) for call in calls] == expected
        assert [comparable(response) for response in respond(predictor, calls)] == expected


@pytest.mark.parametrize("network", ["double", "single"])
def test_numbers_that_are_not_finite_reject_only_their_own_call(shared: Registry, network: str) -> None:
    predictor = make_predictor(shared, LIMITS)
    rows = [[1.0, 2.0], [np.nan, 1.0], [3.0, 4.0], [0.0, -np.inf], [5.0, 6.0]]
    calls = [
        RawRequest(
            PREDICT,
            PredictRequest(
                network=network, tensor=Tensor(dtype="DATA_TYPE_FLOAT64", shape=[1, 2], data=np.array(row).tobytes())
            ).SerializeToString(),
        )
        for row in rows
    ]
    alone = [comparable(respond(make_predictor(shared, LIMITS), [call])[0]) for call in calls]
    respond(predictor, calls[:1])
    together = respond(predictor, calls)
    assert [comparable(response) for response in together] == alone
    kinds = [type(response) for response in together]
    assert kinds == [bytes, MissingValueError, bytes, NonFiniteInputError, bytes]


def one_row(network: str, *numbers: float, exact: bool = False) -> RawRequest:
    data = np.array(numbers, np.float64).tobytes()
    tensor = Tensor(dtype="DATA_TYPE_FLOAT64", shape=[1, len(numbers)], data=data, exact_integers=exact)
    return RawRequest(PREDICT, PredictRequest(network=network, tensor=tensor).SerializeToString())


def test_a_number_too_large_for_the_network_is_rejected_the_second_time_too(registry: Registry) -> None:
    registry.register("lenient-single", chain([1, 1], dtype="float32", allow_non_finite_inputs=True))
    predictor = make_predictor(registry, LIMITS)
    calls = [one_row("lenient-single", number) for number in (1.0, np.inf, 1e39, 2.0, 1e39)]
    kinds = [type(respond(predictor, [call])[0]) for call in calls]
    assert kinds == [bytes, bytes, NonFiniteInputError, bytes, NonFiniteInputError]


def test_integers_are_checked_in_each_request(shared: Registry) -> None:
    predictor = make_predictor(shared, LIMITS)
    calls = [one_row("single", number, 0.5, exact=True) for number in (2**24, 2**24 + 1, 2**24 + 2)]
    assert [type(respond(predictor, [call])[0]) for call in calls] == [bytes, InvalidTensorError, bytes]


def test_a_change_of_the_registry_is_seen_at_once(registry: Registry) -> None:
    predictor = make_predictor(registry, LIMITS)
    tensor = number_request("moving", 1.0).tensor
    calls = {
        version: RawRequest(
            PREDICT, PredictRequest(network="moving", version=version, tensor=tensor).SerializeToString()
        )
        for version in ("", "1", "2", "best")
    }

    def seen() -> dict[str, object]:
        """What each reference leads to: a version's number, or an error; the second time, requests are prepared."""
        for _ in range(2):
            found = respond(predictor, list(calls.values()))
        return {
            version: PredictResponse.FromString(response).version if isinstance(response, bytes) else type(response)
            for version, response in zip(calls, found, strict=True)
        }

    missing = dict.fromkeys(calls, NetworkNotFoundError)
    assert seen() == missing
    registry.register("moving", chain([1, 1], seed=1))
    assert seen() == {"": 1, "1": 1, "2": VersionNotFoundError, "best": AliasNotFoundError}
    registry.register("moving", chain([1, 1], seed=2))
    assert seen() == {"": 2, "1": 1, "2": 2, "best": AliasNotFoundError}
    registry.rollout.set_alias("moving", "best", "1")
    assert seen() == {"": 2, "1": 1, "2": 2, "best": 1}
    registry.rollout.set_alias("moving", "best", "2")
    assert seen() == {"": 2, "1": 1, "2": 2, "best": 2}
    registry.rollout.delete_alias("moving", "best")
    registry.delete_version("moving", 2)
    assert seen() == {"": 1, "1": 1, "2": VersionNotFoundError, "best": AliasNotFoundError}
    registry.delete_network("moving")
    assert seen() == missing
    registry.register("moving", chain([1, 1], seed=3))  # numbers are never used again
    assert seen() == {"": 3, "1": VersionNotFoundError, "2": VersionNotFoundError, "best": AliasNotFoundError}


def test_heads_of_any_callers_making_take_bounded_memory(shared: Registry) -> None:
    predictor = make_predictor(shared, LIMITS)
    tensor = Tensor(dtype="DATA_TYPE_FLOAT64", shape=[1, 2], data=bytes(16))
    tail = bytes_field(5, b"layer_0") * 20_000 + TraceRequest(network="double", tensor=tensor).SerializeToString()
    for number in range(50):
        (response,) = respond(predictor, [RawRequest(TRACE, bytes_field(100, b"%d" % number) + tail)])
        assert isinstance(response, bytes)
    kept = sum(map(len, predictor._prepared.caches[TRACE]._by_head))
    assert kept < 2**20, f"{kept:,} bytes of prepared are kept"


def test_so_many_heads_are_known_and_no_more(shared: Registry) -> None:
    predictor = make_predictor(shared, LIMITS)
    tail = PredictRequest(
        network="double", tensor=Tensor(dtype="DATA_TYPE_FLOAT64", shape=[1, 2], data=bytes(16))
    ).SerializeToString()
    calls = [RawRequest(PREDICT, bytes_field(100, b"%d" % number) + tail) for number in range(5_000)]
    respond(predictor, calls)
    prepared = predictor._prepared.caches[PREDICT]
    assert isinstance(prepared, PreparedRequestCache)
    assert len(prepared._by_head) <= 4_096
    assert sum(map(len, prepared._places.values())) <= 4_096
    assert prepared.find(calls[-1].data)
