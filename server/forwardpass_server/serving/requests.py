"""The values that pass between the stages: raw requests and responses, decoded requests, and how methods differ.

A `Method` tells how the requests of an RPC are decoded. An `InferenceRequest` is a request that was decoded; all that
differs between Predict, Trace, Explain and the Open Inference Protocol's ModelInfer is in its methods. The stages after
that are the same code for all, so that requests of different methods may share a matrix.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from forwardpass.tensors import Array
    from google.protobuf.message import Message

    from forwardpass_server import core
    from forwardpass_server.registry import LoadedVersion, Snapshot, VersionState
    from forwardpass_server.serving.explanations import ExplainOptions, Explanation
    from forwardpass_server.serving.inputs import CheckedInputs, InputWarnings


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Method:
    """An RPC that computes networks.

    Attributes:
        name: The method's name.
        decode: Decodes a serialized request; None where a request consists of several of another method.
        strip_request_id: Returns a serialized request without its id, which stands before the inputs and would make
            every request unlike all others; None where requests have none.
        with_layer_access: The same method for callers who may see the values inside networks; None where these have
            a method of their own.
        parts: The method of the requests that a request consists of; None where it is one.
    """

    name: str
    decode: "Callable[[bytes], InferenceRequest] | None" = None
    strip_request_id: Callable[[bytes], bytes] | None = None
    with_layer_access: "Method | None" = None
    parts: "Method | None" = None

    def limited_by(self, check: Callable[[str], None]) -> "Method":
        """Return the same method for callers who may not name every network.

        Args:
            check: Called with the name of the network of each request; raises if it is not allowed.
        """
        decode, parts = self.decode, self.parts

        def decode_and_check(data: bytes) -> "InferenceRequest":
            assert decode is not None  # noqa: S101 - a method without it does not come here
            inference = decode(data)
            check(inference.network)
            return inference

        return replace(
            self,
            decode=None if decode is None else decode_and_check,
            parts=None if parts is None else parts.limited_by(check),
        )


class RawRequest(NamedTuple):
    """A request as a transport received it. A tuple, since one is made for every call.

    Attributes:
        method: The method that is called.
        data: The serialized request.
        expires: When the caller stops waiting, in seconds of `time.monotonic()`.
        key: What the transport knows the call by; unlike that of any other call in flight.
        details: What else the transport keeps of the call.
        arrived: When the request arrived, in seconds of `time.monotonic()`.
    """

    method: Method
    data: bytes
    expires: float = inf
    key: Any = None
    details: Any = None
    arrived: float = 0.0


RawResponse: TypeAlias = bytes | Exception
"""The serialized response to a request, or its error."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TraceOptions:
    """The layers that a trace shows (empty means all), and whether it shows contributions."""

    layers: frozenset[str] = frozenset()
    contributions: bool = False


Computation: TypeAlias = "TraceOptions | ExplainOptions | None"
"""What is computed besides the outputs; None for nothing. Requests with an equal one may share a matrix."""

Computed: TypeAlias = "Array | core.Trace | Explanation"
"""The outputs of some rows, shape `(rows, outputs)`, or a trace or an explanation of them."""

ResponseEncoder: TypeAlias = (
    "Callable[[LoadedVersion, Computed, Sequence[RawRequest], Sequence[int], int], list[bytes]]"
)
"""Encodes the responses to some requests.

It is called with the version, what was computed of the rows of all requests, the requests, how many of the rows are
each request's, and the registry's revision at which the version was found. Two encoders are equal if they may encode
the responses to each other's requests.
"""


class OutputOptions(NamedTuple):
    """The contents of a response.

    Attributes:
        computation: What is computed besides the outputs, or None.
        encoder: Encodes the response.
        row_bytes: The bytes of a row in the response besides numbers, at most.
    """

    computation: Computation
    encoder: ResponseEncoder
    row_bytes: int = 0


class InferenceRequest(Protocol):
    """A request that was decoded. Each method may raise the error that the caller gets."""

    @property
    def message(self) -> "Message":
        """The message that was decoded."""

    @property
    def network(self) -> str:
        """The name of the network, as the request has it."""

    @property
    def min_revision(self) -> int:
        """The lowest revision of the registry at which the version may be found."""

    @property
    def wants_profile(self) -> bool:
        """Whether the response compares values with the version's profile."""

    def find(self, snapshot: "Snapshot") -> "VersionState":
        """Return the version that the request names."""

    def inputs(self, loaded: "LoadedVersion") -> "CheckedInputs":
        """Return the inputs, shape `(rows, inputs)`, in the dtype of the network, and the warnings about them."""

    def output_options(self, loaded: "LoadedVersion") -> OutputOptions:
        """Return what the response shows."""

    def encode_warnings(self, warnings: "InputWarnings") -> bytes:
        """Encode the fields of a response that have warnings, to be appended to all other fields."""

    def tensor_data(self) -> "tuple[bytes, np.dtype[Any]] | None":
        """Return the inputs as they stand in the request and their dtype; None where they are no such bytes."""

    def with_tensor_data(self, data: bytes) -> "Message":
        """Return the message, without a request id, with other bytes in the place of `tensor_data`."""
