from collections.abc import Iterator

import pytest

from tests.support.plain_http import Http
from tests.support.server_process import ServerProcess

VIEW = ("--view-listen", "127.0.0.1:0")


@pytest.fixture(scope="session")
def view_server(tmp_path_factory: pytest.TempPathFactory, engine: str) -> Iterator[ServerProcess]:
    """A server with the page, for all tests that only add networks of their own."""
    with ServerProcess(tmp_path_factory.mktemp("view"), "--engine", engine, *VIEW) as process:
        yield process
        assert process.stop() == 0
        assert "Traceback" not in process.log.read_text()


@pytest.fixture
def http(view_server: ServerProcess) -> Iterator[Http]:
    """An HTTP connection to the page of `view_server`."""
    connection = Http(view_server.view)
    yield connection
    connection.close()
