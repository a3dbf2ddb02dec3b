import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.clients.environments import envoy, installed
from tests.deploy.edge.envoy import ROOT, Edge, configuration, located
from tests.deploy.edge.fleet import Fleet


@pytest.fixture(scope="session")
def binary() -> Path:
    """Envoy itself."""
    return envoy(installed("envoy"))


@pytest.fixture(scope="session")
def descriptors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The descriptor set, made as `make descriptors` makes it."""
    path = tmp_path_factory.mktemp("descriptors") / "protos.binpb"
    command = [sys.executable, str(ROOT / "protos" / "generate.py"), "--descriptors", str(path)]
    made = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if "needs python3.11 or python3.12" in made.stderr:
        pytest.skip(made.stderr)
    assert made.returncode == 0, made.stderr
    return path


@pytest.fixture(scope="session")
def start_edge(binary: Path, descriptors: Path) -> Callable[..., Edge]:
    """Start Envoy with a folder of its own and the file, or a document that was made of it."""

    def start(folder: Path, document: Any = None, *, port: int = 50051, name_server: int | None = None) -> Edge:
        folder.mkdir(exist_ok=True)
        document = configuration() if document is None else document
        return Edge(binary, folder, located(document, descriptors=descriptors, port=port, name_server=name_server))

    return start


@pytest.fixture
def start_before(start_edge: Callable[..., Edge], tmp_path: Path) -> Iterator[Callable[..., Edge]]:
    """Start Envoy before a fleet."""
    with ExitStack() as stack:

        def start(fleet: Fleet, document: Any = None) -> Edge:
            edge = start_edge(tmp_path / "edge", document, port=fleet.port, name_server=fleet.names.port)
            stack.enter_context(edge)
            edge.wait_for(*fleet.addresses)
            return edge

        yield start


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Two marked servers for all tests that only add networks of their own."""
    with Fleet(tmp_path_factory.mktemp("fleet")) as fleet:
        fleet.add_marked(2)
        yield fleet


@pytest.fixture(scope="module")
def edge(fleet: Fleet, start_edge: Callable[..., Edge], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """Envoy before those."""
    folder = tmp_path_factory.mktemp("edge")
    with start_edge(folder, port=fleet.port, name_server=fleet.names.port) as edge:
        edge.wait_for(*fleet.addresses)
        yield edge
        assert edge.log.read_text() == ""  # its log level is warning
        edge.stop()
