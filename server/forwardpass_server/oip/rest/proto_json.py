"""Protobuf messages as JSON objects in the form that the protocol's clients expect.

Names are those of the proto file, integers are numbers, and fields with default values are present.
`google.protobuf.json_format` writes 64-bit integers as strings.
"""

from collections.abc import Mapping, MutableSequence
from typing import Any

from google.protobuf.message import Message


def to_dict(message: Message) -> dict[str, Any]:
    """Return a message as a JSON object, without optional fields that are not set."""
    document = {}
    for field in message.DESCRIPTOR.fields:
        if field.has_presence and not message.HasField(field.name):
            continue
        value = _json_value(getattr(message, field.name))
        if field.enum_type is not None:
            names = field.enum_type.values_by_number
            value = [names[item].name for item in value] if isinstance(value, list) else names[value].name
        document[field.name] = value
    return document


def _json_value(value: Any) -> Any:
    if isinstance(value, Message):
        return to_dict(value)
    if isinstance(value, Mapping):
        return {str(name): _json_value(member) for name, member in value.items()}
    if isinstance(value, MutableSequence):
        return [_json_value(item) for item in value]
    return value
