"""The id of a serialized ModelInfer request, which is removed and copied without parsing the message.

Clients give each request an id of its own. Without it, requests for one model are equal but for their numbers, which
prepared requests depend on. The id usually follows the model's name and version, and its field has the same number in
the response, so that its bytes can be copied.
"""

from typing import Final

from forwardpass_server.oip.v2.inference_pb2 import ModelInferRequest, ModelInferResponse

_FIELDS: Final = ModelInferRequest.DESCRIPTOR.fields_by_name
_NAME, _VERSION, _ID = (_FIELDS[name].number << 3 | 2 for name in ("model_name", "model_version", "id"))
_LONG: Final = 0x80
"""The least length that takes more than one byte."""

assert _FIELDS["id"].number == ModelInferResponse.DESCRIPTOR.fields_by_name["id"].number  # noqa: S101 - see above


def id_field(request: bytes) -> bytes:
    """Return the bytes of the field with the id, or nothing if the id is not in its usual place."""
    start, end = _place(request)
    return request[start:end]


def request_id_of(request: bytes) -> str:
    """Return the id, or nothing if it is not in its usual place."""
    return id_field(request)[2:].decode("ascii")


def strip_request_id(request: bytes) -> bytes:
    """Return a request without its id, or unchanged if the id is not in its usual place."""
    start, end = _place(request)
    return request if start == end else request[:start] + request[end:]


def _place(request: bytes) -> tuple[int, int]:
    """Return the start and end of the field with the id; they are equal if it is not in its usual place."""
    try:
        if request[0] != _NAME or request[1] >= _LONG:
            return 0, 0
        place = 2 + request[1]
        if request[place] == _VERSION:
            if request[place + 1] >= _LONG:
                return 0, 0
            place += 2 + request[place + 1]
        if request[place] != _ID or request[place + 1] >= _LONG:
            return 0, 0
        end = place + 2 + request[place + 1]
    except IndexError:
        return 0, 0
    if end > len(request) or not request[place + 2 : end].isascii():
        return 0, 0
    return place, end
