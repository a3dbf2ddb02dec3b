"""Exceptions of the library, the client and the server: one tree for all three.

The server raises these exceptions and sends them with their facts, and the client raises the same class again. So a
rule has one exception wherever it is checked::

    ForwardpassError
    ├── InvalidRequestError (ValueError)
    │   ├── InvalidNetworkError
    │   ├── ExampleFailedError
    │   ├── MalformedRequestError
    │   ├── InvalidFieldError
    │   ├── ShapeMismatchError
    │   ├── DtypeMismatchError
    │   ├── InvalidTensorError
    │   ├── FeatureMismatchError
    │   ├── MissingValueError
    │   ├── NonFiniteInputError
    │   ├── OutOfRangeError
    │   └── UnknownCategoryError
    ├── NotFoundError (LookupError)
    │   ├── NetworkNotFoundError
    │   ├── VersionNotFoundError
    │   ├── AliasNotFoundError
    │   ├── LayerNotFoundError
    │   ├── ProfileNotFoundError
    │   └── MethodNotFoundError
    ├── AliasMovedError
    ├── NoEarlierVersionError
    ├── VersionInUseError
    ├── VersionOutOfServiceError
    ├── RevisionAheadError
    ├── QuotaExceededError
    ├── UnavailableError (ConnectionError)
    │   ├── OverloadedError
    │   ├── StoreUnavailableError
    │   └── DrainingError
    ├── AccessError (PermissionError)
    │   ├── UnauthenticatedError
    │   └── PermissionDeniedError
    ├── NetworkCorruptError
    ├── DeadlineExceededError (TimeoutError)
    └── InternalError

The message of an exception says what is wrong and what to do; `facts` has every value of the message.
`protos/forwardpass/v1/error_reason.proto` has a reason for each leaf.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One fault of a request: its place and its remedy.

    Attributes:
        path: The place, for example `spec.layers[1].weights[0][3]`.
        message: The value found there and the value needed.
    """

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class ForwardpassError(Exception):
    """Base class of all errors of this library and of the server.

    Attributes:
        message: The sentence that says what is wrong and what to do.
        facts: Every value of the message by its name, as a text.
        faults: The faults of the request, each with its place.
        retry_after: Seconds to wait before another attempt, or None.
        request_id: The id of the call in the server's log, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        faults: Sequence[Fault] = (),
        retry_after: float | None = None,
        request_id: str | None = None,
        **facts: object,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.faults = tuple(faults)
        self.retry_after = retry_after
        self.request_id = request_id
        self.facts = {name: str(value) for name, value in facts.items()}

    def __str__(self) -> str:
        # The message of a single fault already contains it.
        more = [str(fault) for fault in self.faults if fault.message not in self.message]
        return "\n  ".join([self.message, *more])


class InvalidRequestError(ForwardpassError, ValueError):
    """The request is not valid; the same request fails again."""


class InvalidNetworkError(InvalidRequestError):
    """The spec is not valid; `faults` has every fault with its path."""


class ExampleFailedError(InvalidRequestError):
    """The network computes other outputs than the spec's examples have; `faults` has each such example."""


class MalformedRequestError(InvalidRequestError):
    """The request is not a valid protobuf message of the method's type."""


class InvalidFieldError(InvalidRequestError):
    """A field other than the inputs or the spec is not valid, for example a name or page token."""


class ShapeMismatchError(InvalidRequestError):
    """The inputs have another shape than the network reads; `facts` has `expectedShape` and `actualShape`."""


class DtypeMismatchError(InvalidRequestError):
    """The network does not read the dtype of the inputs."""


class InvalidTensorError(InvalidRequestError):
    """The tensor contradicts itself, or has an element that is no number or would lose its value."""


class FeatureMismatchError(InvalidRequestError):
    """A named row has an unknown feature, lacks one, or has a value of the wrong kind."""


class MissingValueError(InvalidRequestError):
    """A value is missing: NaN, null or None; and its feature has no fill value."""


class NonFiniteInputError(InvalidRequestError):
    """The inputs have infinity, or a number that float32 cannot hold, and the network does not allow it."""


class OutOfRangeError(InvalidRequestError):
    """A number is out of its feature's range, which the feature does not allow."""


class UnknownCategoryError(InvalidRequestError):
    """A value is not one of its feature's categories, and its feature has no fill value."""


class NotFoundError(ForwardpassError, LookupError):
    """There is nothing of this name or number; `facts` has the nearest names."""


class NetworkNotFoundError(NotFoundError):
    """No network has this name."""


class VersionNotFoundError(NotFoundError):
    """The network has no version of this number."""


class AliasNotFoundError(NotFoundError):
    """The network has no alias of this name."""


class LayerNotFoundError(NotFoundError):
    """The network has no layer of this name."""


class ProfileNotFoundError(NotFoundError):
    """The version has no profile."""


class MethodNotFoundError(NotFoundError):
    """The server has no such method: it is older than the client, or not this service."""


class AliasMovedError(ForwardpassError):
    """The alias names another version than the caller expects: another caller moved it."""


class NoEarlierVersionError(ForwardpassError):
    """The alias cannot be moved back: it named no earlier version that still exists."""


class VersionOutOfServiceError(ForwardpassError):
    """The version was taken out of service, and is not served until it is taken into service again."""


class VersionInUseError(ForwardpassError):
    """The version cannot be deleted: an alias names it, or it is the network's only one."""


class RevisionAheadError(ForwardpassError):
    """The database does not have the revision that the call names: it is another one, or was restored from a backup."""


class QuotaExceededError(ForwardpassError):
    """The request exceeds a limit; `facts` has the limit, the value and the setting of the limit."""


class UnavailableError(ForwardpassError, ConnectionError):
    """The server cannot be reached or cannot serve now; another attempt may succeed."""


class OverloadedError(UnavailableError):
    """More calls are in flight than the server accepts."""


class StoreUnavailableError(UnavailableError):
    """The database of the registry cannot be read or written now."""


class DrainingError(UnavailableError):
    """The server is stopping."""


class AccessError(ForwardpassError, PermissionError):
    """The caller has no permission for the call."""


class UnauthenticatedError(AccessError):
    """The server requires a token, and the call has none that the server knows."""


class PermissionDeniedError(AccessError):
    """The token does not permit this method."""


class NetworkCorruptError(ForwardpassError):
    """The stored content of this version is damaged."""


class DeadlineExceededError(ForwardpassError, TimeoutError):
    """The timeout of the call was over before its response."""


class InternalError(ForwardpassError):
    """The server has an unexpected error; its log has the details under `request_id`."""
