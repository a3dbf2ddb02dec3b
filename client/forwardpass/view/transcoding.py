"""Messages as JSON and back: a request from a path, a query and a body; a response as protobuf's JSON."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from grpc import StatusCode

from forwardpass.view.bindings import Binding
from forwardpass.view.errors import GatewayError

_BOOLEANS: Final = {"true": True, "false": False}
_MAX_MESSAGE_LENGTH: Final = 500

# By the growth of a process that converts bodies of such values.
_BYTES_PER_BYTE: Final = 4
_BYTES_PER_OBJECT: Final = 500
_BYTES_PER_ARRAY: Final = 150
_BYTES_PER_VALUE: Final = 100


def read_request(binding: Binding, path: Mapping[str, str], query: Iterable[tuple[str, str]], body: bytes) -> Message:
    """Return the request of a method.

    Args:
        binding: The path of the method.
        path: The fields of the path, by name.
        query: The parameters of the query, in their order.
        body: The whole body; empty for a message without fields.

    Raises:
        GatewayError: The body is not the JSON of the message, a parameter is unknown or given twice, or a field of the
            path has another value in the body.
    """
    message = binding.request()
    parameters = _parameters(message, path, query, accepted=not binding.has_body)
    if body and binding.has_body:
        _parse("the body", message, body)
    for name, value in parameters.items():
        _parse(f"the parameter {name}", message, {name: value})
    for name, value in path.items():
        given = getattr(message, name)
        _parse(f"the {name} of the path", message, {name: value})
        if given and given != getattr(message, name):
            raise _invalid(f"the path says that {name} is {value!r:.80}, the body that it is {given!r:.80}")
    return message


def estimated_bytes(body: bytes) -> int:
    """Estimate the bytes that a body of JSON takes while it is converted: as text, as objects of Python, as a message.

    A short text may become a hundred times as large. Most is taken by objects, then arrays, then any other value;
    commas in texts are counted too.
    """
    return (
        _BYTES_PER_BYTE * len(body)
        + _BYTES_PER_OBJECT * body.count(b"{")
        + _BYTES_PER_ARRAY * body.count(b"[")
        + _BYTES_PER_VALUE * body.count(b",")
    )


def to_json(message: Message) -> bytes:
    """Return a message as protobuf's JSON."""
    return json.dumps(json_format.MessageToDict(message), separators=(",", ":"), ensure_ascii=False).encode()


def _parameters(
    message: Message, path: Mapping[str, str], query: Iterable[tuple[str, str]], *, accepted: bool
) -> dict[str, Any]:
    """Return the values of the query by the names of the fields."""
    allowed = [field for field in message.DESCRIPTOR.fields if field.name not in path] if accepted else []
    fields = {name: field for field in allowed for name in (field.json_name, field.name)}
    values: dict[str, Any] = {}
    for name, value in query:
        field = fields.get(name)
        if field is None:
            known = ", ".join(field.json_name for field in allowed)
            raise _invalid(
                f"there is no parameter {name!r:.80}; {f'there are {known}' if known else 'the path takes none'}"
            )
        if field.name in values:
            raise _invalid(f"the parameter {name} is given twice")
        values[field.name] = _BOOLEANS.get(value, value) if field.type == FieldDescriptor.TYPE_BOOL else value
    return values


def _parse(what: str, message: Message, content: bytes | dict[str, Any]) -> None:
    """Set the fields of a message that JSON has."""
    try:
        if isinstance(content, bytes):
            json_format.Parse(content, message)
        else:
            json_format.ParseDict(content, message)
    except Exception as error:  # noqa: BLE001 - of what is wrong, json_format raises several kinds of errors
        sentence = str(error) or type(error).__name__
        shown = sentence if len(sentence) <= _MAX_MESSAGE_LENGTH else f"{sentence[:_MAX_MESSAGE_LENGTH]}…"
        raise _invalid(f"{what} cannot be read: {shown}") from None


def _invalid(message: str) -> GatewayError:
    # A text of a caller may have half a surrogate pair, which a status cannot have.
    return GatewayError(StatusCode.INVALID_ARGUMENT, message.encode(errors="backslashreplace").decode())
