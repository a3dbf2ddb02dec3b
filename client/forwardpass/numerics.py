"""The numerics of a network, `exact` or `fast`: their names, and their values on the wire."""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from forwardpass.v1 import network_pb2

Numerics: TypeAlias = Literal["exact", "fast"]
"""`exact`: a row has the same bits alone and in every batch. `fast`: the fastest arithmetic for the batch at hand."""

NUMERICS: Final[Mapping[Numerics, network_pb2.Numerics]] = {
    "exact": network_pb2.NUMERICS_EXACT,
    "fast": network_pb2.NUMERICS_FAST,
}
"""The value of the enum `Numerics` for each name."""


def read_numerics(number: int) -> Numerics:
    """Return the name of a value in a response; unspecified is `exact`, from a server that knows no other."""
    return "fast" if number == NUMERICS["fast"] else "exact"
