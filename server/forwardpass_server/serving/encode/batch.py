"""The responses to the requests of a batch."""

from itertools import chain, groupby
from typing import TYPE_CHECKING

from forwardpass_server.core import Trace, rows_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forwardpass_server.serving.batch import Batch, RequestRows
    from forwardpass_server.serving.requests import Computed, ResponseEncoder


def encode_batch(batch: "Batch", computed: "Computed") -> list[bytes]:
    """Serialize the response to each request of a batch, in the order of their rows.

    Responses that have the same encoder, and so show the same, are encoded together.
    """
    if len(batch.members) == 1:
        return _encode(batch.members, *_encoding(batch.members[0]), computed)
    responses: list[bytes] = []
    start = 0
    for (encoder, warnings), grouped in groupby(batch.members, _encoding):
        members = list(grouped)
        rows = slice(start, start + sum([len(member.matrix) for member in members]))
        part = rows_of(computed, rows) if isinstance(computed, Trace) else computed[rows]
        responses += _encode(members, encoder, warnings, part)
        start = rows.stop
    return responses


def _encoding(member: "RequestRows") -> "tuple[ResponseEncoder, bytes]":
    return member.options.encoder, member.warnings


def _encode(
    members: "Sequence[RequestRows]",
    encoder: "ResponseEncoder",
    warnings: bytes,
    computed: "Computed",
) -> list[bytes]:
    first = members[0]
    if len(members) == 1:
        requests, counts = first.requests, [first.rows] * len(first.requests)
    else:
        requests = [*chain.from_iterable([member.requests for member in members])]
        counts = [*chain.from_iterable([[member.rows] * len(member.requests) for member in members])]
    responses = encoder(first.loaded, computed, requests, counts, first.snapshot.revision)
    return [response + warnings for response in responses] if warnings else responses
