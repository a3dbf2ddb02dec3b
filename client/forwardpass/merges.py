"""The merges by which several sources of a layer become one input: their names, and their values on the wire."""

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
"""The value of the enum `Merge` for each name, None where a layer reads one source. `concatenate` puts the sources side
by side; all others go element by element."""

MERGE_WORDS: Final[Mapping[int, str | None]] = {number: word for word, number in MERGES.items()}
"""The name of each value of the enum."""


def reading(sources: Sequence[str], merge: str | None) -> str:
    """Return the sources of a layer in words, for example `hidden, inputs (sum)`."""
    return ", ".join(sources) + (f" ({merge})" if merge else "")
