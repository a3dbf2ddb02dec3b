"""Clients in other languages, as examples/ has them: of one server, through Envoy, and in a browser."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import pytest

from tests.deploy.edge.envoy import ROOT, Edge
from tests.deploy.edge.fleet import Fleet
from tests.support.browser import drive, node

NODE: Final = """\
registered node-bank version 1
predicted 9
hidden: 5,1
output: 9
streamed 100 responses, the last one 102
refused with INVALID_ARGUMENT, SHAPE_MISMATCH: expected [rows, 2]
"""


def test_node_on_its_own_server(fleet: Fleet, descriptors: Path) -> None:
    assert run_node(fleet.addresses[0], descriptors) == NODE


def test_node_through_envoy(edge: Edge, fleet: Fleet, descriptors: Path) -> None:
    for address in fleet.addresses:  # each has a database of its own, and none may lack the network
        run_node(address, descriptors)
    assert run_node(edge.address, descriptors) == NODE


def run_node(address: str, descriptors: Path) -> str:
    """Run the example; return what it prints."""
    program = ROOT / "examples" / "node" / "client.js"
    return node("node-example", program, address, FORWARDPASS_DESCRIPTORS=str(descriptors))


class QuietFiles(SimpleHTTPRequestHandler):
    """Files of a folder, without a line for each."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def page() -> Iterator[str]:
    """Where the example's page is, for a browser."""
    handler = partial(QuietFiles, directory=str(ROOT / "examples" / "browser"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://localhost:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_a_page_by_grpc_web(edge: Edge, page: str) -> None:
    program = ROOT / "tests" / "deploy" / "edge" / "browser" / "drive.js"
    shown = drive(program, f"{page}?edge=http://{edge.address}")
    assert shown["problems"] == []
    assert shown["listed"].endswith(" networks")
    assert shown["traced"] == "article-2-hidden version 1: transactions = 182"
    # A title for each column, and for each node its name and value.
    titles = [words for words in shown["nodes"] if ":" in words or words == "inputs"]
    assert titles == ["inputs", "hidden_0: relu", "hidden_1: relu", "output: identity"]
    assert shown["nodes"][1:5] == ["children", "3", "accounts", "5"]
    assert shown["nodes"][-1] == "182"
    assert "reads [rows, 2]" in shown["refused"]
