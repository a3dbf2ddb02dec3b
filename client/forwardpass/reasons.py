"""Exceptions by the reason of a `google.rpc.ErrorInfo`, for the client and the server."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from forwardpass import errors

DOMAIN: Final = "forwardpass.dev"
"""The `domain` of each `ErrorInfo` of this project."""

REASONS: Final[Mapping[str, type[errors.ForwardpassError]]] = MappingProxyType(
    {
        "INVALID_NETWORK": errors.InvalidNetworkError,
        "EXAMPLE_FAILED": errors.ExampleFailedError,
        "MALFORMED_REQUEST": errors.MalformedRequestError,
        "INVALID_FIELD": errors.InvalidFieldError,
        "SHAPE_MISMATCH": errors.ShapeMismatchError,
        "DTYPE_MISMATCH": errors.DtypeMismatchError,
        "INVALID_TENSOR": errors.InvalidTensorError,
        "FEATURE_MISMATCH": errors.FeatureMismatchError,
        "NON_FINITE_INPUT": errors.NonFiniteInputError,
        "UNKNOWN_CATEGORY": errors.UnknownCategoryError,
        "OUT_OF_RANGE": errors.OutOfRangeError,
        "MISSING_VALUE": errors.MissingValueError,
        "LAYER_NOT_FOUND": errors.LayerNotFoundError,
        "PROFILE_NOT_FOUND": errors.ProfileNotFoundError,
        "NETWORK_NOT_FOUND": errors.NetworkNotFoundError,
        "VERSION_NOT_FOUND": errors.VersionNotFoundError,
        "ALIAS_NOT_FOUND": errors.AliasNotFoundError,
        "ALIAS_MOVED": errors.AliasMovedError,
        "NO_EARLIER_VERSION": errors.NoEarlierVersionError,
        "VERSION_IN_USE": errors.VersionInUseError,
        "VERSION_OUT_OF_SERVICE": errors.VersionOutOfServiceError,
        "REVISION_AHEAD": errors.RevisionAheadError,
        "QUOTA_EXCEEDED": errors.QuotaExceededError,
        "OVERLOADED": errors.OverloadedError,
        "STORE_UNAVAILABLE": errors.StoreUnavailableError,
        "DRAINING": errors.DrainingError,
        "UNAUTHENTICATED": errors.UnauthenticatedError,
        "PERMISSION_DENIED": errors.PermissionDeniedError,
        "NETWORK_CORRUPT": errors.NetworkCorruptError,
        "DEADLINE_EXCEEDED": errors.DeadlineExceededError,
        "METHOD_NOT_FOUND": errors.MethodNotFoundError,
        "INTERNAL": errors.InternalError,
    }
)
"""Exception for each value of the enum `ErrorReason`, named without the prefix `ERROR_REASON_`."""
