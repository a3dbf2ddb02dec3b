"""PredictMany: several requests in one call, each with its own response or error."""

from collections.abc import Callable, Sequence
from typing import Final

from forwardpass.errors import Fault, InvalidFieldError, MalformedRequestError
from forwardpass.v1.prediction_service_pb2 import PredictManyRequest, PredictManyResponse, PredictResult
from google.protobuf.message import DecodeError

from forwardpass_server.memory import check_field_count, nesting_of
from forwardpass_server.serving.encode.wire import field
from forwardpass_server.serving.requests import RawResponse

_NESTING: Final = nesting_of(PredictManyRequest.DESCRIPTOR)
_COUNTED_BYTES: Final = 256 * 1024
"""Bytes up to which the fields are not counted: thousands of usual requests need no more, and take no parsing."""
_REQUESTS: Final = field(PredictManyRequest.DESCRIPTOR.fields_by_name["requests"].number, 0)[0]
_RESULTS: Final = PredictManyResponse.DESCRIPTOR.fields_by_name["results"].number
_RESPONSE: Final = PredictResult.DESCRIPTOR.fields_by_name["response"].number
_ERROR: Final = PredictResult.DESCRIPTOR.fields_by_name["error"].number


def split(data: bytes) -> list[bytes]:
    """Return the serialized requests of a serialized `PredictManyRequest`.

    Raises:
        MalformedRequestError: The bytes are no such message.
        InvalidFieldError: It has no requests.
        QuotaExceededError: It has too many fields.
    """
    if len(data) > _COUNTED_BYTES:
        check_field_count(data, _NESTING)
    requests = _split_plain(data)
    if requests is None:
        try:
            message = PredictManyRequest.FromString(data)
        except DecodeError:
            raise MalformedRequestError("the request is not a valid PredictManyRequest", method="PredictMany") from None
        requests = [request.SerializeToString() for request in message.requests]
    if not requests:
        what = "is empty; send at least one request"
        raise InvalidFieldError(f"requests: {what}", faults=[Fault(path="requests", message=what)], field="requests")
    return requests


def join(responses: Sequence[RawResponse], encode_status: Callable[[Exception], bytes]) -> bytes:
    """Serialize a `PredictManyResponse` of serialized responses and of errors.

    Args:
        responses: The response to each request, in the order of the requests.
        encode_status: Serializes the `google.rpc.Status` of an error.
    """
    pieces = []
    for response in responses:
        if isinstance(response, bytes):
            head, body = field(_RESPONSE, len(response)), response
        else:
            body = encode_status(response)
            head = field(_ERROR, len(body))
        pieces += [field(_RESULTS, len(head) + len(body)), head, body]
    return b"".join(pieces)


def _split_plain(data: bytes) -> list[bytes] | None:
    """Split a message that has no other fields than requests, as nearly every one; return None for another."""
    requests = []
    place, end = 0, len(data)
    while place < end:
        if data[place] != _REQUESTS:
            return None
        place += 1
        length = shift = 0
        while place < end and shift < 35:
            byte = data[place]
            place += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        else:
            return None
        requests.append(data[place : place + length])
        place += length
    return requests if place == end else None
