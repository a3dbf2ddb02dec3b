"""An answer of `infer` as a body: JSON, or JSON and behind it the outputs that were wanted as binary data."""

import json
from dataclasses import dataclass
from typing import Any

from forwardpass_server.oip.rest.elements import from_raw
from forwardpass_server.oip.rest.members import plain_parameters
from forwardpass_server.oip.rest.pieces import dumps
from forwardpass_server.oip.rest.requests import Form
from forwardpass_server.oip.v2.inference_pb2 import ModelInferResponse


@dataclass(frozen=True, kw_only=True, slots=True)
class Body:
    """An answer as it leaves.

    Attributes:
        content: All of it.
        header_length: How much of it is JSON, where binary data is behind that; else None.
    """

    content: bytes
    header_length: int | None


def write_response(response: ModelInferResponse, form: Form) -> Body:
    """Write an answer whose outputs are raw contents, all of them."""
    head: dict[str, Any] = {"model_name": response.model_name, "model_version": response.model_version}
    if response.id:
        head["id"] = response.id
    if response.parameters:
        head["parameters"] = plain_parameters(response.parameters)
    texts, binaries = [], []
    for output, raw in zip(response.outputs, response.raw_output_contents, strict=True):
        said: dict[str, Any] = {"name": output.name, "datatype": output.datatype, "shape": [*output.shape]}
        parameters = plain_parameters(output.parameters)
        binary = form.wants_binary(output.name)
        if binary:
            parameters["binary_data_size"] = len(raw)
            binaries.append(raw)
        if parameters:
            said["parameters"] = parameters
        text = _compact(said)
        texts.append(text if binary else _with(text, "data", "".join(dumps(from_raw(raw, output.datatype)))))
    json_text = _with(_compact(head), "outputs", ",".join(texts)).encode()
    if not binaries:
        return Body(content=json_text, header_length=None)
    return Body(content=b"".join([json_text, *binaries]), header_length=len(json_text))


def _compact(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def _with(document: str, name: str, elements: str) -> str:
    """Add an array to an object that is written already and not empty."""
    return f'{document[:-1]},"{name}":[{elements}]}}'
