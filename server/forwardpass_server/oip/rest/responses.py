"""Encode a `ModelInferResponse` as an HTTP body: JSON, followed by the outputs that are sent as binary data."""

import json
from dataclasses import dataclass
from typing import Any

from forwardpass_server.oip.rest.chunked_json import dumps
from forwardpass_server.oip.rest.json_fields import parameters_to_dict
from forwardpass_server.oip.rest.requests import OutputForm
from forwardpass_server.oip.rest.tensor_data import from_raw
from forwardpass_server.oip.v2.inference_pb2 import ModelInferResponse


@dataclass(frozen=True, kw_only=True, slots=True)
class ResponseBody:
    """The body of a response of `infer`.

    Attributes:
        content: The whole body.
        header_length: Bytes of JSON before the binary data, or None if there is no binary data.
    """

    content: bytes
    header_length: int | None


def encode_response(response: ModelInferResponse, form: OutputForm) -> ResponseBody:
    """Encode a response whose outputs all have raw contents."""
    head: dict[str, Any] = {"model_name": response.model_name, "model_version": response.model_version}
    if response.id:
        head["id"] = response.id
    if response.parameters:
        head["parameters"] = parameters_to_dict(response.parameters)
    texts, binaries = [], []
    for output, raw in zip(response.outputs, response.raw_output_contents, strict=True):
        document: dict[str, Any] = {"name": output.name, "datatype": output.datatype, "shape": [*output.shape]}
        parameters = parameters_to_dict(output.parameters)
        binary = form.is_binary(output.name)
        if binary:
            parameters["binary_data_size"] = len(raw)
            binaries.append(raw)
        if parameters:
            document["parameters"] = parameters
        text = _compact(document)
        texts.append(text if binary else _with_array(text, "data", "".join(dumps(from_raw(raw, output.datatype)))))
    json_text = _with_array(_compact(head), "outputs", ",".join(texts)).encode()
    if not binaries:
        return ResponseBody(content=json_text, header_length=None)
    return ResponseBody(content=b"".join([json_text, *binaries]), header_length=len(json_text))


def _compact(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def _with_array(document: str, name: str, elements: str) -> str:
    """Add an array to the JSON text of an object that has at least one field."""
    return f'{document[:-1]},"{name}":[{elements}]}}'
