"""Messages as JSON has them in this protocol: names as in the proto file, integers as numbers, defaults included.

`google.protobuf.json_format` writes 64-bit integers as strings, which the protocol's clients do not expect.
"""

from collections.abc import Mapping, MutableSequence
from typing import Any

from google.protobuf.message import Message


def plain(message: Message) -> dict[str, Any]:
    """Return a message as a JSON object; what may be absent, and is, is left out."""
    document = {}
    for field in message.DESCRIPTOR.fields:
        if field.has_presence and not message.HasField(field.name):
            continue
        value = _value(getattr(message, field.name))
        if field.enum_type is not None:
            names = field.enum_type.values_by_number
            value = [names[item].name for item in value] if isinstance(value, list) else names[value].name
        document[field.name] = value
    return document


def _value(value: Any) -> Any:
    if isinstance(value, Message):
        return plain(value)
    if isinstance(value, Mapping):
        return {str(name): _value(member) for name, member in value.items()}
    if isinstance(value, MutableSequence):
        return [_value(item) for item in value]
    return value
