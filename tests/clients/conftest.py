import base64
import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import numpy as np
import pytest
from forwardpass import Client, spec
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from tests.clients.environments import ENVIRONMENTS
from tests.clients.place import VARIABLE, ExpectedResponses, Place
from tests.support.environments import ROOT, NotInstallableError, made
from tests.support.server_process import ServerProcess

if TYPE_CHECKING:
    from google.protobuf.descriptor_pb2 import FileDescriptorProto

ROWS = 33
"""More than a block of rows, and not a multiple of one."""


@pytest.fixture(scope="session")
def _environments() -> dict[str, Path | NotInstallableError]:
    """Every client's environment, or why there is none."""

    def made_or_not(name: str) -> Path | NotInstallableError:
        try:
            return made(ENVIRONMENTS[name])
        except NotInstallableError as error:
            return error

    with ThreadPoolExecutor() as pool:
        return dict(zip(ENVIRONMENTS, pool.map(made_or_not, ENVIRONMENTS), strict=True))


@pytest.fixture(scope="session")
def environment_of(_environments: dict[str, Path | NotInstallableError]) -> Callable[[str], Path]:
    """Return the folder of a client's environment, or skip the test and say why there is none."""

    def folder(name: str) -> Path:
        found = _environments[name]
        if isinstance(found, NotInstallableError):
            pytest.skip(f"{name} cannot be installed: {found}")
        return found

    return folder


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory, engine: str) -> Iterator[Path]:
    """The file that tells clients of a server with gRPC and HTTP, and its expected responses."""
    folder = tmp_path_factory.mktemp("place")
    with ServerProcess(folder, "--engine", engine, "--rest-listen", "127.0.0.1:0") as server:
        with Client(server.address, timeout=60) as client:
            client.register("classifier", network("float32", [8, 16, 4], classes=["oak", "elm", "ash", "yew"]))
            client.register("wide", network("float64", [20, 70, 30, 5]))
            # Two versions that differ: the outputs of the second are twice those of the first.
            for factor in (1.0, 2.0):
                layers = [{"weights": [[factor, factor]]}]
                client.register("doubled", {"format": spec.FORMAT, "inputs": 2, "layers": layers})
            client.set_alias("doubled", "stable", 1)
            networks = {name: responses(client, name) for name in ("article-2-hidden", "classifier", "wide", "doubled")}
        written = Place(
            grpc=server.address,
            rest=server.rest.removeprefix("http://"),
            engine=engine,
            networks=networks,
            descriptors=reflected(server.address, "inference.GRPCInferenceService"),
        )
        written.save(folder / "place.json")
        yield folder / "place.json"
        assert server.stop() == 0
        assert "Traceback" not in server.log.read_text()


@pytest.fixture
def run_inside(environment_of: Callable[[str], Path], place: Path) -> Callable[..., None]:
    """Run files of tests, which stand in a client's folder, with its own Python."""

    def run(client: str, *files: str) -> None:
        python = environment_of(client) / "bin" / "python"
        options = ["-c", "tests/clients/inside.ini", "--rootdir", ".", "--noconftest", "-p", "tests.clients.place"]
        ran = subprocess.run(
            [python, "-m", "pytest", *options, *(f"tests/clients/{client}/{file}" for file in files)],
            cwd=ROOT,
            env={**os.environ, VARIABLE: str(place)},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert " skipped" not in ran.stdout

    return run


def network(dtype: str, widths: list[int], *, classes: list[str] | None = None) -> spec.NetworkSpec:
    """A network with weights by chance."""
    rng = np.random.default_rng(7)
    shapes = [(nodes, inputs) for inputs, nodes in pairwise(widths)]
    return spec.parse(
        {
            "format": spec.FORMAT,
            "dtype": dtype,
            "inputs": [f"feature {index}" for index in range(widths[0])],
            "layers": [
                {
                    "weights": rng.normal(size=shape).astype(dtype),
                    "bias": rng.normal(size=shape[0]).astype(dtype),
                    "activation": "softmax" if classes and index == len(shapes) - 1 else "tanh",
                }
                for index, shape in enumerate(shapes)
            ],
            **({"classes": classes} if classes else {}),
        }
    )


def responses(client: Client, name: str) -> ExpectedResponses:
    """What our own client gets."""
    known = client.spec(name)
    dtype = known.dtype
    rows = np.random.default_rng(11).normal(size=(ROWS, known.inputs.width)).astype(dtype)
    prediction = client.predict(name, rows)
    trace = client.trace(name, rows)
    return ExpectedResponses(
        datatype={"float32": "FP32", "float64": "FP64"}[dtype],
        features=list(trace.input_names),
        classes=list(known.classes or ()),
        inputs=rows.tolist(),
        outputs=prediction.outputs.tolist(),
        layers={
            f"{layer.name}.{part}": getattr(layer, part).tolist()
            for layer in trace.layers
            for part in ("pre_activation", "activation")
        },
        labels=list(prediction.labels),
    )


def reflected(address: str, service: str) -> list[str]:
    """The files that define a service, as the server's reflection tells them."""
    with grpc.insecure_channel(address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        found: dict[str, FileDescriptorProto] = {}
        pending = [database.FindFileContainingSymbol(service)]
        while pending:
            file = pending.pop()
            found[file.name] = file
            pending += [database.FindFileByName(name) for name in file.dependency if name not in found]
    return [base64.b64encode(file.SerializeToString()).decode() for file in found.values()]
