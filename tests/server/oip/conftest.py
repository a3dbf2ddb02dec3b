from collections.abc import Iterator

import grpc
import pytest

from tests.support.plain_http import Http
from tests.support.server_process import ServerProcess

REST = ("--rest-listen", "127.0.0.1:0")


@pytest.fixture(scope="session")
def rest_server(tmp_path_factory: pytest.TempPathFactory, engine: str) -> Iterator[ServerProcess]:
    """A server with HTTP, for all tests that only add networks of their own."""
    with ServerProcess(tmp_path_factory.mktemp("rest"), "--engine", engine, *REST) as process:
        yield process
        assert process.stop() == 0


@pytest.fixture
def rest_channel(rest_server: ServerProcess) -> Iterator[grpc.Channel]:
    """A gRPC channel to `rest_server`."""
    with grpc.insecure_channel(rest_server.address) as channel:
        yield channel


@pytest.fixture
def http(rest_server: ServerProcess) -> Iterator[Http]:
    """An HTTP connection to `rest_server`."""
    connection = Http(rest_server.rest)
    yield connection
    connection.close()
