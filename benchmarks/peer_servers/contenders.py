"""The measured servers: how each is started, and how it is called.

All serve the network 30-64-32-1. The peers compute it with ONNX Runtime, on one thread. A peer's folder has its pinned
requirements and its program, `serve.py`, which runs with the Python of its own environment.
"""

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from forwardpass.tensors import Array
from forwardpass_server.oip.v2.inference_pb2 import ModelInferResponse

from benchmarks import networks
from benchmarks.lab import Lab
from benchmarks.load import Load, load, load_json, post_json
from benchmarks.peers import exact, onnx_model
from benchmarks.raw_connections import Connection, GrpcConnection, HttpConnection
from benchmarks.server import INFER, Process, Server, call, family
from tests.support.environments import ROOT, Environment, made, python

HERE: Final = Path(__file__).parent
SIZES: Final = networks.MIDDLE
NAME: Final = f"net-{networks.label(SIZES)}"
STOP_SECONDS: Final = 30
"""How long a peer may take to end; Triton removes the copy of itself that it runs from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Protocol:
    """How rows are sent to a server.

    Attributes:
        title: Its name in the tables, with the calls in flight.
        encode: Serializes `(rows, inputs)` as a request.
        decode: Parses the outputs, `(rows, outputs)`, of a response.
        call: Makes one call to an address.
        load: Keeps 64 calls in flight to an address.
        connect: Opens the connections that repeat a request at a rate, as many as `load` has.
    """

    title: str
    encode: Callable[[Array], bytes]
    decode: Callable[[bytes], Array]
    call: Callable[[str, bytes], bytes]
    load: Callable[[Lab, str, bytes], Load]
    connect: Callable[[str, bytes], Sequence[Connection]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Contender:
    """A server to measure.

    Attributes:
        name: Its name in the tables.
        protocol: How it is called.
        start: Starts it; returns its processes and the address to call.
        environment: What it is installed in; None for this environment.
    """

    name: str
    protocol: Protocol
    start: Callable[[Lab], tuple[Process, str]]
    environment: Environment | None = None

    def check(self, address: str) -> None:
        """Check that the server computes what `forward` does.

        Raises:
            AssertionError: It computes something else.
        """
        # Larger than what is measured, because the last relu makes zeros of smaller ones.
        rows = 10 * networks.rows(SIZES, 16)
        expected = exact(networks.plan(SIZES), rows)()
        assert expected.any()
        outputs = self.protocol.decode(self.protocol.call(address, self.protocol.encode(rows)))
        np.testing.assert_allclose(
            outputs.reshape(expected.shape),
            expected,
            rtol=1e-4,
            atol=1e-4,
            err_msg=f"{self.name} computes another network",
        )


class PeerProcess(Process):
    """A peer's `serve.py`, run by the Python of its environment."""

    def __init__(self, lab: Lab, name: str) -> None:
        folder = Path(tempfile.mkdtemp(dir=lab.folder))
        model = folder / "model.onnx"
        model.write_bytes(onnx_model(networks.plan(SIZES)))
        interpreter = made(ENVIRONMENTS[name]) / "bin" / "python"
        super().__init__(folder / "log", str(interpreter), str(HERE / name / "serve.py"), str(model), NAME)

    def stop(self) -> None:
        """Ask the process to end, and end what is left of it and its descendants."""
        descendants = family(self.pid)[1:]
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        super().stop()
        for pid in descendants:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _ours(lab: Lab) -> tuple[Process, str]:
    server = Server(lab, SIZES)
    return server, server.address


def _ours_rest(lab: Lab) -> tuple[Process, str]:
    server = Server(lab, SIZES, flags=["--rest-listen", "127.0.0.1:0"])
    return server, server.next_address().removeprefix("http://")


def _peer(name: str, lab: Lab) -> tuple[Process, str]:
    server = PeerProcess(lab, name)
    return server, server.address


def _infer_outputs(response: bytes) -> Array:
    return np.frombuffer(ModelInferResponse.FromString(response).raw_output_contents[0], "<f4")


def _infer_json(rows: Array) -> bytes:
    tensor = {"name": "inputs", "shape": list(rows.shape), "datatype": "FP32", "data": rows.ravel().tolist()}
    return json.dumps({"inputs": [tensor]}).encode()


def _infer_json_outputs(response: bytes) -> Array:
    return np.array(json.loads(response)["outputs"][0]["data"], dtype=np.float32)


def _rows_json(rows: Array) -> bytes:
    return json.dumps({"rows": rows.tolist()}).encode()


def _rows_json_outputs(response: bytes) -> Array:
    return np.array(json.loads(response)["outputs"], dtype=np.float32)


INFER_PATH: Final = f"/v2/models/{NAME}/infer"
GRPC: Final = Protocol(
    title="gRPC, 4 x 16",
    encode=partial(networks.encode_infer, SIZES),
    decode=_infer_outputs,
    call=lambda address, request: call(address, INFER, request),
    load=lambda lab, address, request: load(lab, address, INFER, request),
    connect=lambda address, request: [GrpcConnection(address, INFER, request) for _ in range(4)],
)
REST: Final = Protocol(
    title="HTTP, 64 x 1",
    encode=_infer_json,
    decode=_infer_json_outputs,
    call=lambda address, body: post_json(address, INFER_PATH, body),
    load=lambda lab, address, body: load_json(lab, address, INFER_PATH, body),
    connect=lambda address, body: [HttpConnection(address, INFER_PATH, body) for _ in range(64)],
)
ROWS_JSON: Final = Protocol(
    title="HTTP, 64 x 1",
    encode=_rows_json,
    decode=_rows_json_outputs,
    call=lambda address, body: post_json(address, "/predict", body),
    load=lambda lab, address, body: load_json(lab, address, "/predict", body),
    connect=lambda address, body: [HttpConnection(address, "/predict", body) for _ in range(64)],
)


def _environment(name: str) -> Environment:
    requirements = HERE / name / "requirements.txt"
    return Environment(folder=ROOT / f".venv-servers-{name}", files=(requirements,), fill=python(requirements))


ENVIRONMENTS: Final[Mapping[str, Environment]] = {
    name: _environment(name) for name in ("mlserver", "pytriton", "fastapi")
}
OURS: Final = "forwardpass"
CONTENDERS: Final = (
    Contender(name=OURS, protocol=GRPC, start=_ours),
    Contender(
        name="Triton (pytriton)", protocol=GRPC, start=partial(_peer, "pytriton"), environment=ENVIRONMENTS["pytriton"]
    ),
    Contender(name="MLServer", protocol=GRPC, start=partial(_peer, "mlserver"), environment=ENVIRONMENTS["mlserver"]),
    Contender(name=OURS, protocol=REST, start=_ours_rest),
    Contender(name="FastAPI", protocol=ROWS_JSON, start=partial(_peer, "fastapi"), environment=ENVIRONMENTS["fastapi"]),
)
"""Ours comes before the peers that are called by the same protocol."""
