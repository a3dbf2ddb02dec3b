"""PredictMany is cut and joined as protobuf would."""

import pytest
from forwardpass.errors import InvalidFieldError, MalformedRequestError
from forwardpass.v1.prediction_service_pb2 import (
    PredictManyRequest,
    PredictManyResponse,
    PredictRequest,
    PredictResponse,
    PredictResult,
)
from forwardpass.v1.tensor_pb2 import Tensor
from forwardpass_server.serving.encode.wire import field, varint
from forwardpass_server.serving.predict_many import join, split
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status
from hypothesis import example, given
from hypothesis import strategies as st

NAMES = st.one_of(st.text(max_size=8), st.integers(100, 20_000).map("x".__mul__))
REQUESTS = st.builds(
    PredictRequest,
    network=NAMES,
    version=st.text(max_size=3),
    tensor=st.builds(Tensor, dtype=st.integers(0, 3), shape=st.lists(st.integers(0, 9)), data=st.binary(max_size=200)),
)
UNKNOWN = st.sampled_from([b"\x50\x07", b"\x52\x03abc", b"\x5d\x01\x02\x03\x04", b"\xfb\x01\xfc\x01", b"\x08\x01"])
"""Fields that the message does not have, one of them a group, and one of its only field's number and another type."""


def read(pieces: list[bytes]) -> list[PredictRequest] | None:
    """Parse each piece; None when one of them is no request."""
    try:
        return [PredictRequest.FromString(piece) for piece in pieces]
    except DecodeError:
        return None


def check(data: bytes) -> None:
    """What protobuf reads is cut the same; what it refuses is refused, as a whole or in one of its requests."""
    try:
        expected = list(PredictManyRequest.FromString(data).requests)
    except DecodeError:
        try:
            assert read(split(data)) is None
        except MalformedRequestError:
            return
        return
    if expected:
        assert read(split(data)) == expected
    else:
        with pytest.raises(InvalidFieldError, match="requests"):
            split(data)


@given(st.lists(REQUESTS, min_size=1, max_size=6))
def test_requests_are_cut_to_the_byte(requests: list[PredictRequest]) -> None:
    data = PredictManyRequest(requests=requests).SerializeToString()
    assert split(data) == [request.SerializeToString() for request in requests]


@given(st.lists(st.one_of(REQUESTS, UNKNOWN), max_size=5))
def test_unknown_fields_change_nothing(parts: list[PredictRequest | bytes]) -> None:
    check(
        b"".join(
            part if isinstance(part, bytes) else PredictManyRequest(requests=[part]).SerializeToString()
            for part in parts
        )
    )


@given(st.lists(REQUESTS, min_size=1, max_size=3), st.data())
def test_truncated_bytes_are_read_as_protobuf_reads_them(requests: list[PredictRequest], data: st.DataObject) -> None:
    whole = PredictManyRequest(requests=requests).SerializeToString()
    check(whole[: data.draw(st.integers(0, len(whole)))])


@given(st.lists(REQUESTS, min_size=1, max_size=3), st.data())
def test_changed_bytes_are_read_as_protobuf_reads_them(requests: list[PredictRequest], data: st.DataObject) -> None:
    whole = bytearray(PredictManyRequest(requests=requests).SerializeToString())
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] = data.draw(st.integers(0, 255))
    check(bytes(whole))


@given(st.one_of(st.binary(max_size=60), st.lists(st.sampled_from([0x0A, 0, 1, 2, 0x80, 0xFF])).map(bytes)))
@example(b"\x0a\x80\x00")
@example(b"\x0a\x80\x80\x80\x80\x00")
@example(b"\x0a\x80\x80\x80\x80\x80\x00")
@example(b"\x0a\xff\xff\xff\xff\x0f")
@example(b"\x0a\xff\xff\xff\xff\x7f")
@example(b"\x8a\x00\x00")
@example(b"\x0a")
@example(b"\x0a\x80")
def test_any_bytes_are_read_as_protobuf_reads_them(data: bytes) -> None:
    check(data)


LENGTHS = st.one_of(st.integers(0, 140), st.integers(16_370, 16_400), st.integers(2**21 - 12, 2**21 + 2))
"""Of names; around those at which a length takes a byte more."""


def plain_status(error: Exception) -> Status:
    return Status(code=3, message=str(error))


@given(st.lists(st.one_of(LENGTHS, st.text()), max_size=5))
def test_results_are_joined_as_messages_would_be(drawn: list[int | str]) -> None:
    responses: list[bytes | Exception] = [
        ValueError(one) if isinstance(one, str) else PredictResponse(network="n" * one).SerializeToString()
        for one in drawn
    ]
    expected = PredictManyResponse(
        results=[
            PredictResult(response=PredictResponse.FromString(response))
            if isinstance(response, bytes)
            else PredictResult(error=plain_status(response))
            for response in responses
        ]
    )
    joined = join(responses, lambda error: plain_status(error).SerializeToString())
    assert PredictManyResponse.FromString(joined) == expected
    assert len(joined) == expected.ByteSize()


def test_a_length_of_five_bytes_is_no_reason_to_wait_or_to_allocate() -> None:
    with pytest.raises(MalformedRequestError):
        split(b"\x0a" + varint(2**34))
    with pytest.raises(MalformedRequestError):
        split(field(1, 2**31 - 1) + bytes(10))
