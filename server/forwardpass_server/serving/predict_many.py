"""PredictMany: a call that is several, each answered by its response or its error."""

from collections.abc import Callable, Sequence
from typing import Final

from forwardpass.errors import Fault, InvalidFieldError, MalformedRequestError
from forwardpass.v1.prediction_service_pb2 import PredictManyRequest, PredictManyResponse, PredictResult
from google.protobuf.message import DecodeError

from forwardpass_server.serving.encode.wire import field
from forwardpass_server.serving.requests import RawResponse

_REQUESTS: Final = field(PredictManyRequest.DESCRIPTOR.fields_by_name["requests"].number, 0)[0]
_RESULTS: Final = PredictManyResponse.DESCRIPTOR.fields_by_name["results"].number
_RESPONSE: Final = PredictResult.DESCRIPTOR.fields_by_name["response"].number
_ERROR: Final = PredictResult.DESCRIPTOR.fields_by_name["error"].number


def split(data: bytes) -> list[bytes]:
    """Return the serialized requests of a serialized `PredictManyRequest`.

    Raises:
        MalformedRequestError: It is none.
        InvalidFieldError: It has no requests.
    """
    requests = _cut(data)
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


def join(answers: Sequence[RawResponse], status: Callable[[Exception], bytes]) -> bytes:
    """Serialize a `PredictManyResponse` of serialized responses and of errors, which `status` serializes."""
    pieces = []
    for answer in answers:
        if isinstance(answer, bytes):
            head, body = field(_RESPONSE, len(answer)), answer
        else:
            body = status(answer)
            head = field(_ERROR, len(body))
        pieces += [field(_RESULTS, len(head) + len(body)), head, body]
    return b"".join(pieces)


def _cut(data: bytes) -> list[bytes] | None:
    """Cut a message that has nothing but requests, as every usual one; return None for another."""
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
