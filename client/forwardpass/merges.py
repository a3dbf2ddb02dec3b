"""How what a layer reads from several becomes one input: the words, and their values on the wire."""

from collections.abc import Mapping, Sequence
from typing import Final

from forwardpass.v1 import network_pb2

MERGES: Final[Mapping[str | None, network_pb2.Merge]] = {
    None: network_pb2.MERGE_UNSPECIFIED,
    "sum": network_pb2.MERGE_SUM,
    "concatenate": network_pb2.MERGE_CONCATENATE,
    "multiply": network_pb2.MERGE_MULTIPLY,
    "mean": network_pb2.MERGE_MEAN,
    "max": network_pb2.MERGE_MAX,
}
"""The value of the enum `Merge` for each word, None where a layer reads one. All but `concatenate`, which puts
side by side, go element by element."""

MERGE_WORDS: Final[Mapping[int, str | None]] = {number: word for word, number in MERGES.items()}
"""The word for each value of the enum."""


def reading(sources: Sequence[str], merge: str | None) -> str:
    """Say what a layer reads, for example `hidden, inputs (sum)`."""
    return ", ".join(sources) + (f" ({merge})" if merge else "")
