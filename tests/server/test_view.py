"""The page of a server, in its process: how it starts and stops with it, over TLS, and without its extra."""

import json
import signal
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPSConnection
from pathlib import Path

import pytest

from tests.support.certificates import self_signed
from tests.support.plain_http import Http
from tests.support.server_process import ServerProcess, wait_until

Start = Callable[..., ServerProcess]
VIEW = "--view-listen=127.0.0.1:0"
TRACE = "/v1/networks/article-linear:trace"
ROW = {"tensor": {"values": [2, 3]}}


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """An empty folder whose path leaves room for the name of a socket."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


def test_it_stops_with_the_server_and_loses_no_request(start_server: Start, short_folder: Path) -> None:
    server = start_server(VIEW, "--lame-duck=0.5", environment={"TMPDIR": str(short_folder)})
    strange: list[object] = []
    counts = [0] * 3

    def load(index: int) -> None:
        """Trace until the page has gone, or says that the server stops."""
        try:
            with closing(Http(server.view)) as http:
                while True:
                    try:
                        response = http.post(TRACE, ROW)
                    except (ConnectionError, OSError):
                        return
                    if response.status == 503:
                        return
                    assert response.status == 200, response
                    counts[index] += 1
        except Exception as error:  # noqa: BLE001 - a request that is lost, however
            strange.append(error)

    threads = [threading.Thread(target=load, args=[index]) for index in range(len(counts))]
    with closing(Http(server.view)) as watching:
        watching.connection.request("GET", "/v1/networks:watch")
        lines = watching.connection.getresponse()
        assert json.loads(lines.readline())["event"] == "NETWORK_EVENT_CURRENT"
        for thread in threads:
            thread.start()
        wait_until(lambda: strange or min(counts) >= 10, 120)
        server.process.send_signal(signal.SIGTERM)
        while lines.readline():  # until the end of the watch
            pass
    for thread in threads:
        thread.join()
    assert server.wait() == 0
    assert not strange
    log = server.log.read_text()
    assert "Traceback" not in log
    assert "calls in flight" not in log
    assert [*short_folder.iterdir()] == []


def test_tls_is_that_of_the_server(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    flags = [f"--tls-certificate={certificate}", f"--tls-key={key}", "--view-listen=localhost:0"]
    with ServerProcess(tmp_path, "--engine=grpcio", *flags) as server:
        assert server.view.startswith("https://localhost:")
        context = ssl.create_default_context(cafile=str(certificate))
        with closing(HTTPSConnection(server.view.removeprefix("https://"), context=context, timeout=120)) as connection:
            connection.request("POST", TRACE, json.dumps(ROW))
            response = connection.getresponse()
            assert (response.status, json.loads(response.read())["network"]) == (200, "article-linear")
        assert server.stop() == 0


def test_the_limits_of_the_server_hold(start_server: Start) -> None:
    server = start_server(VIEW, "--max-request-bytes=10000", "--max-rows=3")
    with closing(Http(server.view)) as http:
        large = http.post(TRACE, b" " * 10_001)
        assert (large.status, "10,000 bytes" in large.document["message"]) == (413, True)
        rows = http.post(TRACE, {"tensor": {"shape": [4, 2], "values": [1] * 8}})
        assert (rows.status, "max_rows" in rows.document["message"]) == (429, True)
        assert http.post(TRACE, ROW).status == 200
    assert server.stop() == 0


def test_an_address_that_is_taken(start_server: Start, engine: str, tmp_path: Path) -> None:
    taken = start_server(VIEW).view.removeprefix("http://")
    with pytest.raises(AssertionError) as caught:
        ServerProcess(
            tmp_path, f"--engine={engine}", f"--view-listen={taken}", f"--database=sqlite:///{tmp_path}/other.db"
        )
    assert f"cannot listen on {taken}: Address already in use" in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_a_folder_whose_path_is_too_long_for_a_socket(engine: str, tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    with pytest.raises(AssertionError) as caught:
        ServerProcess(tmp_path, f"--engine={engine}", VIEW, environment={"TMPDIR": str(folder)})
    assert "set the variable TMPDIR to a folder with a shorter one" in str(caught.value)
    assert "Traceback" not in str(caught.value)
