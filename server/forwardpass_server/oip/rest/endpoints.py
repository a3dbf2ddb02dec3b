"""The endpoints but `infer`: which method of the gRPC service each one is, and what its bodies say."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from forwardpass_server.oip.rest.documents import plain
from forwardpass_server.oip.rest.members import member, parameters, refused, text
from forwardpass_server.oip.rest.pieces import said

RawResponse: TypeAlias = tuple[int, Any]
"""The status and the JSON document; None for an empty body."""


def _whole(_: Any, response: Any) -> RawResponse:
    return 200, plain(response)


def _nothing(_: Any, __: Any) -> RawResponse:
    return 200, None


def _yes_or_no(_: Any, response: Any) -> RawResponse:
    # The protocol wants 4xx for no: https://github.com/kserve/kserve/blob/master/docs/predict-api/v2/required_api.md
    answer = plain(response)
    return (200 if all(answer.values()) else 400), answer


def _model_ready(request: Any, response: Any) -> RawResponse:
    status, answer = _yes_or_no(request, response)
    return status, {"name": request.name} | answer


def _config(_: Any, response: Any) -> RawResponse:
    return 200, plain(response.config)


def _index(_: Any, response: Any) -> RawResponse:
    return 200, plain(response)["models"]


def _read_nothing(_: Any, __: dict[str, Any]) -> None:
    pass


def _read_index(message: Any, document: dict[str, Any]) -> None:
    message.ready = member(document, "ready", bool, default=False)


def _read_repository(message: Any, document: dict[str, Any]) -> None:
    """Read the parameters of load and unload; the contents of files are in base64."""
    for name, value in parameters(document).items():
        place = f"parameters.{name:.40}"
        target = message.parameters[text(name, "parameters")]
        if name.startswith("file:"):
            try:
                target.bytes_param = base64.b64decode(value, validate=True)
            except (TypeError, ValueError):
                raise refused(place, f"is {said(value)}; must be a file's content in base64") from None
        elif isinstance(value, bool):
            target.bool_param = value
        elif isinstance(value, int) and -(2**63) <= value < 2**63:
            target.int64_param = value
        elif isinstance(value, str):
            target.string_param = text(value, place)
        else:
            raise refused(place, f"is {said(value)}; must be true, false, an integer or a string")


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """One method of the service over HTTP.

    Attributes:
        verbs: `GET` or `POST`, or both.
        paths: Where it is; names in braces are fields of the request.
        method: The method's name.
        read: Puts what the body says into the request.
        write: Makes the answer of request and response.
        is_health: Whether it answers however busy the server is.
    """

    verbs: tuple[str, ...]
    paths: tuple[str, ...]
    method: str
    read: Callable[[Any, dict[str, Any]], None] = _read_nothing
    write: Callable[[Any, Any], RawResponse] = _whole
    is_health: bool = False


def of_model(end: str) -> tuple[str, str]:
    """Return the paths of an endpoint of a model, without a version and with one."""
    return f"/v2/models/{{name}}{end}", f"/v2/models/{{name}}/versions/{{version}}{end}"


def _of_repository(end: str) -> tuple[str, str]:
    return f"/v2/repository{end}", f"/v2/repository/{{repository_name}}{end}"


ENDPOINTS: Final = (
    Endpoint(verbs=("GET",), paths=("/v2/health/live",), method="ServerLive", write=_yes_or_no, is_health=True),
    Endpoint(verbs=("GET",), paths=("/v2/health/ready",), method="ServerReady", write=_yes_or_no, is_health=True),
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
        write=_nothing,
    ),
    Endpoint(
        verbs=("POST",),
        paths=_of_repository("/models/{model_name}/unload"),
        method="RepositoryModelUnload",
        read=_read_repository,
        write=_nothing,
    ),
    # These refuse, with what to do instead.
    Endpoint(
        verbs=("GET", "POST"),
        paths=("/v2/trace/setting", "/v2/models/{model_name}/trace/setting"),
        method="TraceSetting",
    ),
    Endpoint(verbs=("GET", "POST"), paths=("/v2/logging",), method="LogSettings"),
)
"""Every endpoint but `infer`."""
