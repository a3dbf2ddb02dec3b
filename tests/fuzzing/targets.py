"""The decoders of content that others send: for each, a function of bytes, and contents to begin with.

A decoder returns, or raises an error of its `errors`. Anything else is a finding, as is an input that takes a second of
CPU or 256 MB of memory. To fuzz another decoder, add a line to `TARGETS`.
"""

import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from forwardpass import profiles, spec
from forwardpass.errors import ForwardpassError
from forwardpass.exporters import numpy_file
from forwardpass.importers import onnx as onnx_importer
from forwardpass.importers.keras.archive import open_archive
from forwardpass.importers.keras.frontend import follow
from forwardpass.importers.onnx.graph_reader import read_graph
from forwardpass.importers.onnx.round_trip import recover_network
from forwardpass.importers.unsupported import UnsupportedModelError
from forwardpass.profiles.messages import Subject
from forwardpass.spec import expressions
from forwardpass.v1 import prediction_service_pb2 as v1
from forwardpass.v1.network_service_pb2 import RegisterNetworkRequest
from forwardpass.v1.profile_pb2 import Profile
from forwardpass.v1.tensor_pb2 import (
    DATA_TYPE_FLOAT64,
    Booleans,
    Column,
    Columns,
    Numbers,
    Rows,
    Tensor,
    Texts,
)
from forwardpass_server.memory import check_field_count, nesting_of
from forwardpass_server.oip.infer import INFER
from forwardpass_server.oip.rest.requests import decode_request
from forwardpass_server.registry import Registry, SqlStore
from forwardpass_server.rpc.status import CODES
from forwardpass_server.rpc.tokens_file import TokensFileError, parse_tokens
from forwardpass_server.serving import EXPLAIN, PREDICT, TRACE, Method, RawRequest, WorkLimits
from google.protobuf.message import DecodeError

from tests.support.profile_messages import profile_message
from tests.support.random_graphs import random_graph
from tests.support.random_onnx_models import random_model
from tests.support.serving import make_predictor, respond

KERAS_FILES: Final = Path(__file__).parents[1] / "client" / "importers" / "keras_files"
LIMITS: Final = WorkLimits(max_gflop_per_call=0.01, max_response_bytes=2**20)
"""As large as an input of some kilobytes needs: what a server computes within its limits is no matter of decoding."""
MAX_EXAMPLE_GFLOP: Final = 0.01

_OPEN: Final = ExitStack()
"""Closes what the targets use when the process ends."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A decoder.

    Attributes:
        decode: Decodes bytes.
        seeds: Returns good contents, which the fuzzer begins with.
        errors: The errors that it may raise.
    """

    decode: Callable[[bytes], object]
    seeds: Callable[[], Sequence[bytes]]
    errors: tuple[type[Exception], ...] = (ForwardpassError,)


DOCUMENTS: Final[tuple[dict[str, Any], ...]] = (
    {
        "format": spec.FORMAT,
        "dtype": "float64",
        "inputs": [
            {"name": "a", "mean": 1, "scale": 2, "range": [0, 9], "out_of_range": "warn", "missing": 1.5},
            {"name": "b", "kind": "category", "categories": ["x", "y"], "missing": "nan", "unknown": "x"},
            {"name": "c", "kind": "boolean", "missing": True},
        ],
        "layers": [
            {
                "name": "h",
                "weights": [[1, 2, 3], [4, 5, 6]],
                "bias": [0, 1],
                "activation": {"expression": "where(x > 0, x, p * x)", "parameters": {"p": 0.1}},
            },
            {"name": "n", "kind": "layer_norm", "gamma": [1, 1], "beta": [0, 0], "epsilon": 0.1},
            {"name": "o", "weights": [[1, -1]], "from": ["h", "n"], "merge": "sum", "activation": "sigmoid"},
        ],
        "outputs": [{"name": "y", "unit": "m", "scale": 2, "shift": 1}],
        "classes": ["no", "yes"],
        "threshold": 0.5,
        "examples": [{"inputs": [1, "x", True], "outputs": [2], "tolerance": 100}],
        "description": "d",
        "metadata": {"k": "v"},
        "tags": ["t"],
    },
    {"format": spec.FORMAT, "inputs": 2, "layers": [{"weights": [[1, 2], [3, 4]], "activation": "relu"}]},
)

EXPRESSIONS: Final = (
    b"where(x > 0 and p < 1e3, x * sigmoid(1.702 * x), -p ** 2)",
    b"min(max(x, 0), 6) / (1 + abs(x)) + floor(mod(x, 3)) - pi",
    b"where(x < -1 or not x >= 2, exp(-x), log1p(erf(x)))",
)

REST: Final = (
    (
        b'{"id": "a", "inputs": [{"name": "inputs", "shape": [2, 2], "datatype": "FP64", "data": [[1, 2.5], [3, -4]]}],'
        b'"outputs": [{"name": "outputs", "parameters": {"binary_data": true, "classification": 2}}],'
        b'"parameters": {"timeout": 1}}'
    ),
    (
        b'{"inputs": [{"name": "b", "shape": [1], "datatype": "BYTES", "data": ["x"],'
        b'"parameters": {"content_type": "str"}}, {"name": "c", "shape": [1], "datatype": "BOOL", "data": [true]},'
        b'{"name": "a", "shape": [1], "datatype": "INT64", "data": [1]}]}'
    ),
    (
        b'{"inputs": [{"name": "inputs", "shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}],'
        b'"parameters": {"binary_data_output": true}}\0' + np.ones(2, "<f4").tobytes()
    ),
)
"""The JSON of a body ends at its first byte 0, and binary data follow."""

TOKENS: Final = b"""# tokens
2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b predict,trace name=a networks=x-*,y weight=2
spiffe://bank/reporting predict,read calls_per_second=2.5
dns:host.example write
cn:someone read
"""


@cache
def networks() -> tuple[spec.NetworkSpec, ...]:
    """Return networks with all kinds of features and layers."""
    return (*(spec.parse(document) for document in DOCUMENTS), *(random_graph(seed) for seed in range(24)))


@cache
def registry() -> Registry:
    """Return a registry in memory with two networks, `typed` and `plain`."""
    opened = Registry.open(_OPEN.enter_context(SqlStore("sqlite://")), max_example_gflop=MAX_EXAMPLE_GFLOP)
    for name, network in zip(("typed", "plain"), networks(), strict=False):
        opened.register(name, network)
    return opened


def _message(content: bytes) -> object:
    """Register a network that came as a message, but do not keep it."""
    check_field_count(content, nesting_of(RegisterNetworkRequest.DESCRIPTOR))
    request = RegisterNetworkRequest.FromString(content)
    spec.check_name(request.network)
    return registry().register(request.network, spec.from_message(request.spec), validate_only=True)


def _profile(content: bytes) -> object:
    message = Profile.FromString(content)
    profiles.check_size(message)
    return profiles.to_message(profiles.from_message(message, Subject("plain", 1, "", None)))


def _respond(method: Method) -> Callable[[bytes], bytes]:
    """Return what passes a request through the stages of serving."""

    def decode(content: bytes) -> bytes:
        # A predictor of its own, since prepared requests would let the same input take another way the second time.
        (response,) = respond(make_predictor(registry(), LIMITS), [RawRequest(method, content)])
        if isinstance(response, Exception):
            raise response
        return response

    return decode


def _rest(content: bytes) -> bytes:
    """Decode a body of the Open Inference Protocol's `infer`, and respond to the request."""
    text, zero, data = content.partition(b"\0")
    body = text + data if zero else text
    request, _ = decode_request(body, len(text), "typed" if b"BYTES" in text else "plain", "")
    return _respond(INFER)(request.SerializeToString())


def _onnx(path: Path) -> object:
    model = onnx_importer.load_model(path)
    return recover_network(model) or [read_graph(model), read_graph(model, rows_axis=0)]


def _as_file(suffix: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """Return a decoder of bytes that passes them in a file, which stays in one place since its name is in errors."""
    path = Path(_OPEN.enter_context(tempfile.TemporaryDirectory()), f"input{suffix}")

    def read_bytes(content: bytes) -> object:
        path.write_bytes(content)
        return read(path)

    return read_bytes


def _archives() -> list[bytes]:
    """Return `.keras` files whose members are stored, as Keras writes them, and one whose members are deflated."""
    stored = [path.read_bytes() for path in sorted(KERAS_FILES.glob("*.keras"))]
    deflated = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(stored[0])) as source, zipfile.ZipFile(deflated, "w", zipfile.ZIP_DEFLATED) as to:
        for name in source.namelist():
            to.writestr(name, source.read(name))
    return [*stored, deflated.getvalue()]


def _register_requests() -> list[bytes]:
    return [
        RegisterNetworkRequest(network="net", spec=spec.to_message(network)).SerializeToString()
        for network in networks()
    ]


def _requests(kind: Any, **fields: Any) -> list[bytes]:
    numbers = Tensor(dtype=DATA_TYPE_FLOAT64, shape=[2, 2], data=np.arange(4.0).tobytes())
    rows = Rows(exact_integers=True)
    rows.rows.add().update({"a": 1, "b": "x", "c": True})
    columns = Columns(
        columns=[
            Column(name="a", numbers=Numbers(values=[1, 2]), missing=[1]),
            Column(name="b", texts=Texts(values=["x", "y"])),
            Column(name="c", booleans=Booleans(values=[True, False])),
        ]
    )
    return [
        kind(network="plain", tensor=numbers, **fields).SerializeToString(),
        kind(network="plain", tensor=Tensor(shape=[1, 2], values=[1, 2]), version="1", **fields).SerializeToString(),
        kind(network="typed", rows=rows, **fields).SerializeToString(),
        kind(network="typed", columns=columns, version="latest", **fields).SerializeToString(),
    ]


def _infer_requests() -> list[bytes]:
    bodies = [(body.partition(b"\0"), name) for body, name in zip(REST, ("plain", "typed", "plain"), strict=True)]
    return [decode_request(text + data, len(text), name, "")[0].SerializeToString() for (text, _, data), name in bodies]


def _profiles() -> list[bytes]:
    return [profile_message(registry(), name, 1, 9).SerializeToString() for name in ("plain", "typed")]


_SERVED: Final = tuple(CODES)
"""The errors that a server maps to statuses; any other one would be INTERNAL."""

TARGETS: Final[Mapping[str, Target]] = {
    "json": Target(
        decode=spec.from_json, seeds=lambda: [json.dumps(spec.to_document(each)).encode() for each in networks()]
    ),
    "safetensors": Target(decode=spec.from_safetensors, seeds=lambda: [*map(spec.to_safetensors, networks())]),
    "python": Target(decode=numpy_file.read, seeds=lambda: [*map(numpy_file.write, networks()[:2])]),
    "expression": Target(
        decode=lambda content: expressions.parse(content.decode("utf-8", "replace"), ["p"]),
        seeds=lambda: EXPRESSIONS,
        errors=(expressions.ExpressionError,),
    ),
    "onnx": Target(
        decode=_as_file(".onnx", _onnx),
        seeds=lambda: [random_model(seed).SerializeToString() for seed in range(24)],
        errors=(UnsupportedModelError,),
    ),
    "keras": Target(
        decode=_as_file(".keras", lambda path: follow(open_archive(path))),
        seeds=_archives,
        errors=(UnsupportedModelError,),
    ),
    "register": Target(decode=_message, seeds=_register_requests, errors=(*_SERVED, DecodeError)),
    "predict": Target(decode=_respond(PREDICT), seeds=lambda: _requests(v1.PredictRequest), errors=_SERVED),
    "trace": Target(
        decode=_respond(TRACE), seeds=lambda: _requests(v1.TraceRequest, contributions=True), errors=_SERVED
    ),
    "explain": Target(decode=_respond(EXPLAIN), seeds=lambda: _requests(v1.ExplainRequest), errors=_SERVED),
    "infer": Target(decode=_respond(INFER), seeds=_infer_requests, errors=_SERVED),
    "rest": Target(decode=_rest, seeds=lambda: REST, errors=_SERVED),
    "profile": Target(decode=_profile, seeds=_profiles, errors=(*_SERVED, DecodeError)),
    "tokens": Target(
        decode=lambda content: parse_tokens(content.decode("utf-8", "replace"), Path("tokens")),
        seeds=lambda: [TOKENS],
        errors=(TokensFileError,),
    ),
}
"""By the names that `make fuzz TARGETS=...` takes."""
