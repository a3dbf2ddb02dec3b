"""The commands of docs/how-to/view.md, and those of docs/reference/http.md, which are written for Envoy."""

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import grpc
import pytest
from forwardpass._transport.methods import methods
from forwardpass.view.bindings import Binding, bindings
from forwardpass.view.transcoding import read_request, to_json
from starlette.routing import compile_path

from tests.support.console import check_command, commands, part_of, run_command
from tests.support.server_process import ServerProcess

DOCS = Path(__file__).parents[3] / "docs"
VIEW = (DOCS / "how-to" / "view.md").read_text()
HTTP = (DOCS / "reference" / "http.md").read_text()

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not on this machine")


@pytest.fixture(scope="session", params=["native"])
def engine(request: pytest.FixtureRequest) -> str:
    """One engine is enough: test_api.py tries the paths on both."""
    return str(request.param)


def test_the_commands_of_the_page(start_server: Callable[..., ServerProcess]) -> None:
    address = start_server("--view-listen", "127.0.0.1:0").view.removeprefix("http://")
    curls = [(command, shown) for command, shown in commands(VIEW) if command.startswith("curl")]
    assert len(curls) == 4
    for command, shown in curls:
        check_command(command.replace("localhost:8080", address), shown)


def test_the_commands_for_envoy_read_the_same_here(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server("--view-listen", "127.0.0.1:0")
    address = server.view.removeprefix("http://")
    with grpc.insecure_channel(server.address) as channel:
        for command, shown in commands(HTTP):
            if not command.startswith("curl"):
                continue
            printed = json.loads(run_command(command.replace("localhost:8080", address)))
            if printed.get("code") == grpc.StatusCode.UNIMPLEMENTED.value[0]:
                printed = written(channel, command)
            expected = json.loads(shown)
            if "code" in expected and "details" not in expected:
                del expected["message"]  # Envoy's own sentence
            assert part_of(expected, printed), (command, printed)


def written(channel: grpc.Channel, command: str) -> object:
    """Do what a command asks Envoy for over gRPC, with the request that Envoy would make of it; return the response."""
    words = shlex.split(command)
    (url,) = [word for word in words if word.startswith("localhost:8080")]
    body = words[words.index("-d") + 1] if "-d" in words else ""
    verb = words[words.index("-X") + 1] if "-X" in words else "POST"
    parts = urlsplit(f"http://{url}")
    binding, fields = bound(verb, parts.path)
    assert not binding.only_reads
    request = read_request(binding, fields, parse_qsl(parts.query), body.encode())
    return json.loads(to_json(methods(channel)[binding.method](request, timeout=60)))


def bound(verb: str, path: str) -> tuple[Binding, dict[str, str]]:
    """Return the binding of a path and the fields in it."""
    for binding in bindings():
        match = compile_path(binding.path)[0].match(path)
        if binding.verb == verb and match is not None:
            return binding, match.groupdict()
    raise AssertionError((verb, path))
