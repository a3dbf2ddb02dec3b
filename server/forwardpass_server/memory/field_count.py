"""The number of fields of a serialized message, counted before anything is made of it.

A message of two bytes takes a hundred times as many in memory, and more once Python looks at it, so that the size of a
request says little of its cost. Numbers and texts are skipped by their length: a tensor of 16 MB is one field.

The encoding: https://protobuf.dev/programming-guides/encoding/
"""

from typing import Any, Final, TypeAlias

from forwardpass.errors import QuotaExceededError

MAX_FIELDS: Final = 500_000
"""Fields of one request: counting them takes some 60 milliseconds, and parsing them 60 MB."""
COUNTED_BYTES: Final = 32 * 1024
"""Bytes up to which a request is not counted, since it cannot take long."""

Nesting: TypeAlias = dict[int, Any]
"""The fields of a message that are messages, by their tags; each has a nesting of its own."""

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


def nesting_of(descriptor: Any) -> Nesting:
    """Return the nesting of a message type, given its `Descriptor`; types may contain themselves."""
    known: dict[str, Nesting] = {}

    def visit(kind: Any) -> Nesting:
        if kind.full_name not in known:
            nesting = known[kind.full_name] = {}
            for field in kind.fields:
                if field.message_type is not None:
                    nesting[field.number << 3 | _LENGTH] = visit(field.message_type)
        return known[kind.full_name]

    return visit(descriptor)


def check_field_count(data: bytes, nesting: Nesting, limit: int = MAX_FIELDS) -> None:
    """Reject a serialized message that has too many fields.

    Raises:
        QuotaExceededError: It has more fields than the limit.
    """
    if len(data) > COUNTED_BYTES and has_more_fields(data, nesting, limit):
        raise QuotaExceededError(
            f"the request has more than {limit:,} fields, counting those of all messages in it; send fewer rows in "
            "each call, or send them as a tensor or as columns",
            quotaLimit=limit,
            subject="fields",
        )


def has_more_fields(data: bytes, nesting: Nesting, limit: int) -> bool:  # noqa: C901, PLR0912 - calls would double its time
    """Return whether a serialized message, with all messages in it, has more fields than a limit.

    Counting ends at the limit, and where the bytes are no message: that is for the parser to say.
    """
    place, end, count = 0, len(data), 0
    outer: list[tuple[int, Nesting]] = []
    try:
        while True:
            while place >= end:
                if not outer:
                    return False
                end, nesting = outer.pop()
            count += 1
            if count > limit:
                return True
            tag = data[place]
            place += 1
            if tag > 0x7F:
                tag, place = _varint(data, place - 1)
            wire = tag & 7
            if wire == _LENGTH:
                length = data[place]
                place += 1
                if length > 0x7F:
                    length, place = _varint(data, place - 1)
                if length:
                    inner = nesting.get(tag)
                    if inner is None:
                        place += length
                    else:
                        outer.append((end, nesting))
                        end, nesting = min(place + length, end), inner
            elif wire == _VARINT:
                while data[place] > 0x7F:
                    place += 1
                place += 1
            elif wire == _FIXED64:
                place += 8
            elif wire == _FIXED32:
                place += 4
            else:
                return False
    except IndexError:
        return False


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """Return a number of several bytes, and the place after it."""
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
