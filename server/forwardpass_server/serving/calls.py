"""What goes into the predictor and what comes out: calls as bytes, answers as bytes or an error.

How a method's requests are read and its answers written is its `Method`; what lies between is the same
for all, so that calls of different methods may share a matrix.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from forwardpass.tensors import Array
    from google.protobuf.message import Message

    from forwardpass_server import core
    from forwardpass_server.registry import LoadedVersion, Snapshot, VersionState
    from forwardpass_server.serving.features import Read, Warnings


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Method:
    """What a call asks of a network: its method.

    Attributes:
        name: The method's name.
        read: Reads a request; None where a call is several of another kind.
        plain: Returns a request without what differs from call to call and stands before the numbers;
            None where nothing does.
        inside: What reads the same requests for callers who may see inside of networks; None where nothing differs.
    """

    name: str
    read: "Callable[[bytes], InferenceRequest] | None" = None
    plain: Callable[[bytes], bytes] | None = None
    inside: "Method | None" = None


class RawRequest(NamedTuple):
    """One call as it came in. A tuple, since one is made for every call.

    Attributes:
        kind: What is asked.
        request: The serialized request of the method.
        expires: When nobody waits any more, in seconds of `time.monotonic()`.
        key: What the door knows the call by; unlike that of any other call under way.
        about: What else the door wants to know of it.
        arrived: When it came in, in seconds of `time.monotonic()`.
    """

    kind: Method
    request: bytes
    expires: float = inf
    key: Any = None
    about: Any = None
    arrived: float = 0.0


RawResponse: TypeAlias = bytes | Exception
"""The serialized response, or why there is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TraceOptions:
    """What a trace shows: which layers (empty means all), and whether contributions."""

    layers: frozenset[str] = frozenset()
    contributions: bool = False


Computed: TypeAlias = "Array | core.Trace"
"""The outputs of some rows, shape `(rows, outputs)`, or all that a trace of them shows."""

ResponseEncoder: TypeAlias = (
    "Callable[[LoadedVersion, Computed, Sequence[RawRequest], Sequence[int], int], list[bytes]]"
)
"""Writes an answer for each of some calls, of which each has so many of the rows that were computed; the last number is
the registry's revision at which their version was found."""


class OutputOptions(NamedTuple):
    """What a question wants.

    Attributes:
        choice: What a trace must show, or None where the outputs are enough.
        write: Writes the answers; equal for questions whose answers may be written together.
        row_bytes: About how many bytes an answer has for each row besides numbers, at most.
    """

    choice: TraceOptions | None
    write: ResponseEncoder
    row_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Appended:
    """Writes the same answers as `write` does, and behind each the same bytes, which are fields of it."""

    write: ResponseEncoder
    more: bytes

    def __call__(
        self,
        loaded: "LoadedVersion",
        computed: Computed,
        calls: Sequence[RawRequest],
        counts: Sequence[int],
        revision: int,
    ) -> list[bytes]:
        """Write an answer for each call."""
        return [answer + self.more for answer in self.write(loaded, computed, calls, counts, revision)]


class InferenceRequest(Protocol):
    """A request that was read. Each method may raise what the caller is to be told."""

    @property
    def message(self) -> "Message":
        """The request."""

    @property
    def min_revision(self) -> int:
        """The registry's revision that the version must be found at, or after it."""

    def find(self, snapshot: "Snapshot") -> "VersionState":
        """Return the version that is asked for."""

    def inputs(self, loaded: "LoadedVersion") -> "Read":
        """Return the inputs, shape `(rows, inputs)`, in the dtype of the network, and what to warn of."""

    def warned(self, warnings: "Warnings") -> bytes:
        """Serialize what an answer says of warnings, to stand behind all else that it says."""

    def wanted(self, loaded: "LoadedVersion") -> OutputOptions:
        """Return what is wanted."""

    def numbers(self) -> "tuple[bytes, np.dtype[Any]] | None":
        """Return the inputs as they stand in the request with their dtype, or None where they do not so."""

    def with_numbers(self, data: bytes) -> "Message":
        """Return the plain request with other inputs in the same place."""
