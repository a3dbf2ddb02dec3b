"""Calls over HTTP as a program without gRPC makes them."""

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """What came back.

    Attributes:
        status: HTTP's status.
        headers: By their names in lower case.
        body: As it came.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body's document."""
        assert self.headers["content-type"] == "application/json", self
        return json.loads(self.body)


def ask(
    address: str,
    path: str,
    body: Any = None,
    *,
    method: str | None = None,
    headers: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
) -> Response:
    """Ask for a path, with JSON or with bytes."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    url = f"{'https' if tls else 'http'}://{address}{path}"
    request = urllib.request.Request(url, data, dict(headers or {}), method=method)  # noqa: S310 - it is one of these
    try:
        with urllib.request.urlopen(request, timeout=60, context=tls) as response:  # noqa: S310 - it is one of these
            return _response(response)
    except urllib.error.HTTPError as error:
        with error:
            return _response(error)


def _response(found: Any) -> Response:
    headers = {name.lower(): value for name, value in found.headers.items()}
    return Response(status=found.status, headers=headers, body=found.read())
