"""The commands of docs/reference/http.md are run in their order, and what they show is what comes."""

from collections.abc import Callable
from pathlib import Path

from forwardpass._transport.methods import SERVICES
from google.api import annotations_pb2

from tests.deploy.edge.envoy import ROOT, Edge
from tests.deploy.edge.fleet import Fleet
from tests.support.console import check_command, commands

DOCUMENT = (ROOT / "docs" / "reference" / "http.md").read_text()


def test_the_commands_that_are_shown(start_before: Callable[..., Edge], tmp_path: Path) -> None:
    with Fleet(tmp_path) as fleet:
        fleet.add(1)
        edge = start_before(fleet)
        for command, shown in commands(DOCUMENT):
            check_command(command.replace("localhost:8080", edge.address), shown)
        edge.wait_for_calls(sum("curl" in command for command, _ in commands(DOCUMENT)))
        called = {call["method"] for call in edge.calls()}
    assert called >= {
        f"/{service.full_name}/{method.name}"
        for service in SERVICES
        for method in service.methods
        if method.GetOptions().HasExtension(annotations_pb2.http)
    }


def test_every_unary_method_has_a_path() -> None:
    for service in SERVICES:
        for method in service.methods:
            unary = not method.client_streaming and not method.server_streaming
            assert method.GetOptions().HasExtension(annotations_pb2.http) is unary, method.name
