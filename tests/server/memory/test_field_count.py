"""Fields are counted as the parser finds them, and a flood of small messages is rejected before it is parsed."""

import time

import pytest
from forwardpass.errors import QuotaExceededError
from forwardpass.v1.network_service_pb2 import RegisterNetworkRequest
from forwardpass.v1.prediction_service_pb2 import PredictRequest
from forwardpass_server.memory import check_field_count, nesting_of
from forwardpass_server.memory.field_count import MAX_FIELDS, has_more_fields
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

PREDICT = nesting_of(PredictRequest.DESCRIPTOR)


def fields_of(message: Message) -> int:
    """The fields that the parser has found: an entry of a map has a key and a value, and packed numbers are one."""
    count = 0
    for field, value in message.ListFields():
        nested = field.message_type
        if nested is not None and nested.GetOptions().map_entry:
            count += sum(3 + fields_of(entry) for entry in value.values())
        elif nested is not None:
            items = value if field.is_repeated else [value]
            count += sum(1 + fields_of(item) for item in items)
        else:
            count += len(value) if field.is_repeated and not field.is_packed else 1
    return count


names = st.text("abc", min_size=1, max_size=3)


@given(
    st.lists(st.dictionaries(names, st.floats(allow_nan=False) | st.booleans() | names, max_size=4), max_size=4), names
)
def test_the_count_is_the_parsers(rows: list[dict[str, object]], network: str) -> None:
    request = PredictRequest(network=network)
    for row in rows:
        request.rows.rows.add().update(row)  # type: ignore[arg-type] # values of all kinds
    request.min_revision = 7
    data, count = request.SerializeToString(), fields_of(request)
    assert not has_more_fields(data, PREDICT, count)
    assert has_more_fields(data, PREDICT, count - 1)


@given(st.binary(max_size=200), st.integers(0, 20))
def test_any_bytes_are_counted_without_an_error(data: bytes, limit: int) -> None:
    has_more_fields(data, PREDICT, limit)


def test_a_tensor_is_a_few_fields() -> None:
    request = PredictRequest(network="wide")
    request.tensor.data = bytes(4_000_000)
    request.tensor.values.extend([1.0] * 100_000)
    assert not has_more_fields(request.SerializeToString(), PREDICT, 10)


@pytest.mark.parametrize(
    "unit", [b"\x0a\x00", b"\x0a\x02\x0a\x00", b"\xf8\x7f\x00"], ids=["empty", "nested", "unknown"]
)
def test_a_flood_is_rejected_before_it_is_parsed(unit: bytes) -> None:
    room = 2_000_000 // len(unit) * len(unit)
    rows = b"\x22" + length(room) + unit * (room // len(unit))
    began = time.process_time()
    with pytest.raises(QuotaExceededError, match="more than 100,000 fields"):
        check_field_count(rows, PREDICT, 100_000)
    assert time.process_time() - began < 2
    assert has_more_fields(unit * (MAX_FIELDS + 1), nesting_of(RegisterNetworkRequest.DESCRIPTOR), MAX_FIELDS)


def length(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])
