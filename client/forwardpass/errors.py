"""Why something failed: one tree of exceptions for the library, the client and the server.

The server raises these, sends them with their facts, and the client raises the same
class again, so a rule has one exception wherever it is checked::

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

An exception says what is wrong and what to do in its message, and carries every value of
that message in `facts` too. `protos/forwardpass/v1/error_reason.proto` has a reason for each leaf.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One thing wrong with a request: where, and what to do about it.

    Attributes:
        path: The place, for example `spec.layers[1].weights[0][3]`.
        message: What was found there and what is needed.
    """

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class ForwardpassError(Exception):
    """Anything that this library or the server refuses or fails to do.

    Attributes:
        message: The sentence.
        facts: Every value in the message, by name, as text.
        faults: Each single fault, where the request has several places.
        retry_after: Seconds to wait before another try makes sense, or None.
        request_id: The id under which the server's log has the call, or None.
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
        # A message about a single place says it already.
        more = [str(fault) for fault in self.faults if fault.message not in self.message]
        return "\n  ".join([self.message, *more])


class InvalidRequestError(ForwardpassError, ValueError):
    """The request cannot be answered as it is; the same request will fail again."""


class InvalidNetworkError(InvalidRequestError):
    """The spec is not valid; `faults` has every fault with its path."""


class ExampleFailedError(InvalidRequestError):
    """The spec's own examples do not hold; `faults` has each that fails, with expected and actual."""


class MalformedRequestError(InvalidRequestError):
    """The request is not a valid protobuf message of the method's type."""


class InvalidFieldError(InvalidRequestError):
    """A field other than the inputs or the spec is not valid, for example a name or page token."""


class ShapeMismatchError(InvalidRequestError):
    """The inputs' shape is not what the network reads; `facts` has `expectedShape` and `actualShape`."""


class DtypeMismatchError(InvalidRequestError):
    """The inputs' number format is not one that the network reads."""


class InvalidTensorError(InvalidRequestError):
    """The tensor contradicts itself, or has an element that is no number or would lose its value."""


class FeatureMismatchError(InvalidRequestError):
    """A named row has a feature that the network does not know, lacks one, or has one that is no number."""


class MissingValueError(InvalidRequestError):
    """A value is missing: NaN, null or None; and its feature has no fill value."""


class NonFiniteInputError(InvalidRequestError):
    """The inputs have infinity, or a number that float32 cannot hold, and the network does not allow it."""


class OutOfRangeError(InvalidRequestError):
    """A number is out of its feature's range, and the feature refuses that."""


class UnknownCategoryError(InvalidRequestError):
    """A value of a category is none of its categories, and its feature has no fill value."""


class NotFoundError(ForwardpassError, LookupError):
    """Something asked for by name or number is not there; `facts` has the nearest names."""


class NetworkNotFoundError(NotFoundError):
    """No network has this name."""


class VersionNotFoundError(NotFoundError):
    """The network has no version of this number."""


class AliasNotFoundError(NotFoundError):
    """The network has no alias of this name."""


class LayerNotFoundError(NotFoundError):
    """The network has no layer of this name."""


class MethodNotFoundError(NotFoundError):
    """The server has no such method: it is older than the client, or not this service."""


class AliasMovedError(ForwardpassError):
    """The alias names another version than the caller expects: someone else moved it."""


class NoEarlierVersionError(ForwardpassError):
    """An alias cannot be moved back: it named no other version before, or none that is still there."""


class VersionOutOfServiceError(ForwardpassError):
    """The version is kept, but answers no calls until it is taken into service again."""


class VersionInUseError(ForwardpassError):
    """The version cannot be deleted: an alias names it, or it is the network's only one."""


class RevisionAheadError(ForwardpassError):
    """The call wants a revision of the registry that the database does not have: it is of another one, or restored."""


class QuotaExceededError(ForwardpassError):
    """A limit would be passed; `facts` has the limit, the value and the setting that moves it."""


class UnavailableError(ForwardpassError, ConnectionError):
    """The server cannot be reached or cannot answer now; another try may succeed."""


class OverloadedError(UnavailableError):
    """More calls are waiting than the server accepts."""


class StoreUnavailableError(UnavailableError):
    """The registry's database cannot be read or written now."""


class DrainingError(UnavailableError):
    """The server is stopping."""


class AccessError(ForwardpassError, PermissionError):
    """The caller may not do this."""


class UnauthenticatedError(AccessError):
    """The server wants a token and the call had none that it knows."""


class PermissionDeniedError(AccessError):
    """The token does not allow this method."""


class NetworkCorruptError(ForwardpassError):
    """The stored content of this version is damaged."""


class DeadlineExceededError(ForwardpassError, TimeoutError):
    """The time for the call ran out before the answer was ready."""


class InternalError(ForwardpassError):
    """The server failed; its log has the story under `request_id`."""
