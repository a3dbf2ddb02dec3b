"""The tables of docs/reference/open-inference.md say what the service does."""

import re
from pathlib import Path
from typing import Any

import grpc
import pytest
from forwardpass_server.oip.datatypes import DATATYPES
from forwardpass_server.oip.parameters import EFFECTIVE, SEQUENCE, SHARED_MEMORY, Owner
from forwardpass_server.oip.service import SERVICE
from forwardpass_server.oip.v2 import inference_pb2 as v2

from tests.support.infer_requests import INFERENCE
from tests.support.plain_http import Http
from tests.support.raw_grpc import call, refused

DOCUMENT = (Path(__file__).parents[3] / "docs" / "reference" / "open-inference.md").read_text()


def table(heading: str) -> list[list[str]]:
    """The rows of the table whose first column has this heading, without what marks code."""
    (text,) = re.findall(rf"^\| {heading} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", DOCUMENT, flags=re.MULTILINE)
    return [[cell.strip().strip("`") for cell in row.strip("|").split("|")] for row in text.splitlines()]


METHODS = {name: status for name, status, _ in table("method")}
EXTENSIONS = dict(table("extension"))
PARAMETERS = [(name, of, status) for name, all_of, status, _ in table("parameter") for of in all_of.split(", ")]


def parameters(of: str, *statuses: str) -> set[str]:
    return {name for name, whose, status in PARAMETERS if whose == of and status in statuses}


def test_every_method_is_there() -> None:
    assert set(METHODS) == {method.name for method in SERVICE.methods}


@pytest.mark.parametrize("name", METHODS)
def test_the_status_of_each_method(channel: grpc.Channel, name: str) -> None:
    method = SERVICE.methods_by_name[name]
    code = grpc.StatusCode.OK
    try:
        if method.client_streaming:
            stream: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(f"{INFERENCE}{name}")
            list(stream(iter([b""]), timeout=60))
        else:
            call(channel, f"{INFERENCE}{name}", b"", timeout=60)
    except grpc.RpcError as error:
        code = error.code()
    assert (code is grpc.StatusCode.UNIMPLEMENTED) == (METHODS[name] == "refused"), code


def test_every_datatype_is_there_as_it_is() -> None:
    *numbers, texts = table("datatype")
    documented = {name: (int(size), contents.replace("none", "")) for name, size, contents, _ in numbers}
    assert documented == {name: (one.raw.itemsize, one.contents) for name, one in DATATYPES.items()}
    assert (texts[0], texts[2]) == ("BYTES", "bytes_contents")


def test_every_parameter_is_there() -> None:
    owners: tuple[Owner, ...] = ("request", "input", "output")
    for owner in owners:
        assert parameters(owner, "yes", "HTTP") == EFFECTIVE[owner]
        assert parameters(owner, "refused") == (SEQUENCE if owner == "request" else SHARED_MEMORY)
    assert len({(name, of) for name, of, _ in PARAMETERS}) == len(PARAMETERS)


def request() -> v2.ModelInferRequest:
    return v2.ModelInferRequest(
        model_name="article-linear",
        inputs=[{"name": "inputs", "datatype": "FP64", "shape": [1, 2], "contents": {"fp64_contents": [2, 3]}}],
        outputs=[{"name": "outputs"}],
    )


@pytest.mark.parametrize(("name", "of", "status"), PARAMETERS)
def test_the_status_of_each_parameter(channel: grpc.Channel, name: str, of: str, status: str) -> None:
    sent = request()
    holder: Any = {"request": sent, "input": sent.inputs[0], "output": sent.outputs[0]}[of]
    holder.parameters[name].int64_param = 1
    if status == "refused":
        assert f"'{name}'" in refused(channel, f"{INFERENCE}ModelInfer", sent, timeout=60).message
    else:
        assert call(channel, f"{INFERENCE}ModelInfer", sent, timeout=60)


def test_the_status_of_each_extension(channel: grpc.Channel, http: Http) -> None:
    documented = v2.ServerMetadataResponse.FromString(call(channel, f"{INFERENCE}ServerMetadata", b"", timeout=60))
    assert set(documented.extensions) == {name for name, status in EXTENSIONS.items() if status == "yes"}
    with_http = set(http.get("/v2").document["extensions"])
    assert with_http == {name for name, status in EXTENSIONS.items() if status in {"yes", "HTTP"}}
