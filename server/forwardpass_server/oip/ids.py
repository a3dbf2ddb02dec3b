"""The id of a request, found in its bytes.

Clients give each request an id of its own, which would make every request unlike all others. It
stands behind the model's name and version, so that it can be cut out without reading the rest. An
answer has it in a field of the same number, so that it goes there as it came.
"""

from typing import Final

from forwardpass_server.oip.v2.inference_pb2 import ModelInferRequest, ModelInferResponse

_FIELDS: Final = ModelInferRequest.DESCRIPTOR.fields_by_name
_NAME, _VERSION, _ID = (_FIELDS[name].number << 3 | 2 for name in ("model_name", "model_version", "id"))
_LONG: Final = 0x80
"""From here on a length takes more than one byte."""

assert _FIELDS["id"].number == ModelInferResponse.DESCRIPTOR.fields_by_name["id"].number  # noqa: S101 - see above


def id_field_of(request: bytes) -> bytes:
    """Return the field with the id of a request that has it in its usual place, or nothing."""
    start, end = _place(request)
    return request[start:end]


def id_of(request: bytes) -> str:
    """Return the id of a request that has it in its usual place, or nothing."""
    return id_field_of(request)[2:].decode("ascii")


def without_id(request: bytes) -> bytes:
    """Return a request without its id, if that stands in its usual place."""
    start, end = _place(request)
    return request if start == end else request[:start] + request[end:]


def _place(request: bytes) -> tuple[int, int]:
    """Return where the field with the id begins and ends; twice the same where there is none."""
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
