"""The options of each RPC, as the protos declare them: its scope, its idempotency, and the place of a `min_revision`.

The protos are the one place where a method is declared. Authorization, the retry policy and the revisions that
a client sends with its calls read it here; the routes of deploy/envoy.yaml are generated from the same options.
"""

from typing import Any, Final

from google.protobuf.descriptor import Descriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

from forwardpass.v1 import options_pb2

_PREFIX: Final = "SCOPE_"
_MIN_REVISION: Final = "min_revision"


def path_of(method: MethodDescriptor) -> str:
    """Return the path of a method, for example `/forwardpass.v1.PredictionService/Predict`."""
    return f"/{method.containing_service.full_name}/{method.name}"


def scope_of(method: MethodDescriptor) -> str | None:
    """Return the scope that a call needs: `open`, `predict`, `trace`, `read` or `write`; None if none is declared."""
    options: Any = method.GetOptions()
    scope = options.Extensions[options_pb2.scope]
    return options_pb2.Scope.Name(scope).removeprefix(_PREFIX).lower() if scope else None


def is_stream(method: MethodDescriptor) -> bool:
    """Return whether the requests or the responses of a method are a stream."""
    return bool(method.client_streaming or method.server_streaming)


def has_no_side_effects(method: MethodDescriptor) -> bool:
    """Return whether a method changes nothing, so that a call may be repeated whatever became of it."""
    return bool(method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS)


def is_idempotent(method: MethodDescriptor) -> bool:
    """Return whether a method that changes something may be repeated, since the second call changes nothing more."""
    return bool(method.GetOptions().idempotency_level == MethodOptions.IDEMPOTENT)


def min_revision_place(method: MethodDescriptor) -> str | None:
    """Return where the `min_revision` of a method's request stands; None if it has none.

    Returns:
        An empty text where the request itself has it, else the name of the field whose message or messages have it.
    """
    request: Descriptor = method.input_type
    if _MIN_REVISION in request.fields_by_name:
        return ""
    for field in request.fields:
        if field.message_type is not None and _MIN_REVISION in field.message_type.fields_by_name:
            return str(field.name)
    return None
