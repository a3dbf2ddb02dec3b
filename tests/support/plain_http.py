"""Plain HTTP to a server, by the standard library."""

import http.client
import json
from typing import Any, NamedTuple

import numpy as np

HEADER_LENGTH = "Inference-Header-Content-Length"


class HttpResponse(NamedTuple):
    """What came back; the names of headers in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The sentence of an error."""
        assert self.status >= 400
        return str(self.document["error"])

    def output(self, index: int = 0) -> "np.ndarray[Any, Any]":
        """An output's numbers, from JSON or from behind it."""
        length = int(self.headers.get(HEADER_LENGTH.lower(), len(self.body)))
        outputs = json.loads(self.body[:length])["outputs"]
        sizes = [output.get("parameters", {}).get("binary_data_size", 0) for output in outputs]
        dtype = {"FP32": "<f4", "FP64": "<f8"}[outputs[index]["datatype"]]
        if "data" in outputs[index]:
            return np.array(outputs[index]["data"], dtype).reshape(outputs[index]["shape"])
        start = length + sum(sizes[:index])
        return np.frombuffer(self.body[start : start + sizes[index]], dtype).reshape(outputs[index]["shape"])


class Http:
    """A connection that is kept, to a server's URL."""

    def __init__(self, url: str, timeout: float = 120.0) -> None:
        self.connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=timeout)

    def __call__(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> HttpResponse:
        """Send a request, its body bytes or a JSON document; read the whole response."""
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        self.connection.request(method, path, content, headers or {})
        response = self.connection.getresponse()
        return HttpResponse(
            response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        )

    def get(self, path: str, **headers: str) -> HttpResponse:
        return self("GET", path, None, headers)

    def post(self, path: str, body: Any = None, **headers: str) -> HttpResponse:
        return self("POST", path, body, headers)

    def infer(
        self, name: str, array: "np.ndarray[Any, Any]", *, binary: tuple[bool, bool] = (False, False), **more: Any
    ) -> HttpResponse:
        """Ask for a prediction; `binary` says so for the input and the outputs, `more` are members of the request."""
        body, headers = infer_body(array, binary=binary, **more)
        return self("POST", f"/v2/models/{name}/infer", body, headers)

    def close(self) -> None:
        self.connection.close()


def infer_body(
    array: "np.ndarray[Any, Any]", *, binary: tuple[bool, bool] = (False, False), **more: Any
) -> tuple[bytes, dict[str, str]]:
    """The body of a request with one input, and its headers."""
    datatype = {"float32": "FP32", "float64": "FP64"}[array.dtype.name]
    tensor: dict[str, Any] = {"name": INPUT, "shape": array.shape, "datatype": datatype}
    if binary[0]:
        tensor["parameters"] = {"binary_data_size": array.nbytes}
    else:
        tensor["data"] = array.tolist()
    document = {"inputs": [tensor], "parameters": {"binary_data_output": binary[1]}, **more}
    text = json.dumps(document).encode()
    if not binary[0]:
        return text, {}
    return text + array.tobytes(), {HEADER_LENGTH: str(len(text))}


INPUT = "inputs"
"""The name of the tensor that a network without names of its own reads."""
