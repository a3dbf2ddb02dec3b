"""The endpoints other than `infer`: the gRPC method of each, and how its bodies are read and written."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from forwardpass_server.oip.rest.chunked_json import shown
from forwardpass_server.oip.rest.json_fields import check_text, field_error, field_value, parameters
from forwardpass_server.oip.rest.proto_json import to_dict

EndpointResponse: TypeAlias = tuple[int, Any]
"""The status and the JSON document, or None for an empty body."""


def _message(_: Any, response: Any) -> EndpointResponse:
    return 200, to_dict(response)


def _empty(_: Any, __: Any) -> EndpointResponse:
    return 200, None


def _readiness(_: Any, response: Any) -> EndpointResponse:
    # The protocol requires 4xx for false: https://github.com/kserve/kserve/blob/master/docs/predict-api/v2/required_api.md
    document = to_dict(response)
    return (200 if all(document.values()) else 400), document


def _model_ready(request: Any, response: Any) -> EndpointResponse:
    status, document = _readiness(request, response)
    return status, {"name": request.name} | document


def _config(_: Any, response: Any) -> EndpointResponse:
    return 200, to_dict(response.config)


def _index(_: Any, response: Any) -> EndpointResponse:
    return 200, to_dict(response)["models"]


def _read_nothing(_: Any, __: dict[str, Any]) -> None:
    pass


def _read_index(message: Any, document: dict[str, Any]) -> None:
    message.ready = field_value(document, "ready", bool, default=False)


def _read_repository(message: Any, document: dict[str, Any]) -> None:
    """Set the parameters of load and unload; the contents of files are in base64."""
    for name, value in parameters(document).items():
        place = f"parameters.{name:.40}"
        target = message.parameters[check_text(name, "parameters")]
        if name.startswith("file:"):
            try:
                target.bytes_param = base64.b64decode(value, validate=True)
            except (TypeError, ValueError):
                raise field_error(place, f"is {shown(value)}; must be a file's content in base64") from None
        elif isinstance(value, bool):
            target.bool_param = value
        elif isinstance(value, int) and -(2**63) <= value < 2**63:
            target.int64_param = value
        elif isinstance(value, str):
            target.string_param = check_text(value, place)
        else:
            raise field_error(place, f"is {shown(value)}; must be true, false, an integer or a string")


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """An endpoint that is a method of the gRPC service.

    Attributes:
        verbs: The HTTP methods, `GET`, `POST` or both.
        paths: The paths; names in braces are fields of the gRPC request.
        method: The name of the gRPC method.
        read: Sets fields of the gRPC request from the body.
        write: Makes the HTTP response from the gRPC request and response.
        is_health: Whether it responds when the server is overloaded.
    """

    verbs: tuple[str, ...]
    paths: tuple[str, ...]
    method: str
    read: Callable[[Any, dict[str, Any]], None] = _read_nothing
    write: Callable[[Any, Any], EndpointResponse] = _message
    is_health: bool = False


def of_model(end: str) -> tuple[str, str]:
    """Return the paths of an endpoint of a model, without a version and with one."""
    return f"/v2/models/{{name}}{end}", f"/v2/models/{{name}}/versions/{{version}}{end}"


def _of_repository(end: str) -> tuple[str, str]:
    return f"/v2/repository{end}", f"/v2/repository/{{repository_name}}{end}"


ENDPOINTS: Final = (
    Endpoint(verbs=("GET",), paths=("/v2/health/live",), method="ServerLive", write=_readiness, is_health=True),
    Endpoint(verbs=("GET",), paths=("/v2/health/ready",), method="ServerReady", write=_readiness, is_health=True),
    Endpoint(verbs=("GET",), paths=("/v2", "/v2/"), method="ServerMetadata"),
    Endpoint(verbs=("GET",), paths=("/v2/models/stats", *of_model("/stats")), method="ModelStatistics"),
    Endpoint(verbs=("GET",), paths=of_model("/ready"), method="ModelReady", write=_model_ready),
    Endpoint(verbs=("GET",), paths=of_model("/config"), method="ModelConfig", write=_config),
    Endpoint(verbs=("GET",), paths=of_model(""), method="ModelMetadata"),
    Endpoint(verbs=("POST",), paths=_of_repository("/index"), method="RepositoryIndex", read=_read_index, write=_index),
    Endpoint(
        verbs=("POST",),
        paths=_of_repository("/models/{model_name}/load"),
        method="RepositoryModelLoad",
        read=_read_repository,
        write=_empty,
    ),
    Endpoint(
        verbs=("POST",),
        paths=_of_repository("/models/{model_name}/unload"),
        method="RepositoryModelUnload",
        read=_read_repository,
        write=_empty,
    ),
    # These reject the request and say what to do instead.
    Endpoint(
        verbs=("GET", "POST"),
        paths=("/v2/trace/setting", "/v2/models/{model_name}/trace/setting"),
        method="TraceSetting",
    ),
    Endpoint(verbs=("GET", "POST"), paths=("/v2/logging",), method="LogSettings"),
)
"""All endpoints other than `infer`."""
