"""The commands of docs/reference/http.md are run in their order, and what they show is what comes."""

import json
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from forwardpass._transport.methods import SERVICES
from google.api import annotations_pb2

from tests.deploy.edge.envoy import ROOT, Edge
from tests.deploy.edge.fleet import Fleet

DOCUMENT = (ROOT / "docs" / "reference" / "http.md").read_text()


def commands() -> Iterator[tuple[str, str]]:
    """Each command and what it is shown to print."""
    for block in re.findall(r"```console\n(.*?)```", DOCUMENT, flags=re.DOTALL):
        for text in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = text.splitlines(keepends=True)
            count = next(count for count in range(1, len(lines) + 1) if is_whole("".join(lines[:count])))
            yield "".join(lines[:count]), "".join(lines[count:])


def is_whole(command: str) -> bool:
    """Whether every quotation has its end."""
    try:
        return bool(shlex.split(command))
    except ValueError:
        return False


def part_of(shown: Any, printed: Any) -> bool:
    """Whether a document has all that is shown; arrays have the same length."""
    if isinstance(shown, dict) and isinstance(printed, dict):
        return all(name in printed and part_of(value, printed[name]) for name, value in shown.items())
    if isinstance(shown, list) and isinstance(printed, list):
        return len(shown) == len(printed) and all(map(part_of, shown, printed))
    return bool(shown == printed)


def test_the_commands_that_are_shown(start_before: Callable[..., Edge], tmp_path: Path) -> None:
    with Fleet(tmp_path) as fleet:
        fleet.add(1)
        edge = start_before(fleet)
        for command, shown in commands():
            local = command.replace("localhost:8080", edge.address)
            printed = subprocess.run(
                ["sh", "-c", local],  # noqa: S607 - as it is typed
                check=True,
                capture_output=True,
                text=True,
                timeout=60,
            ).stdout
            if shown.startswith("{"):
                assert part_of(json.loads(shown), json.loads(printed)), (command, printed)
            else:
                assert printed.split() == shown.split(), command
        edge.wait_for_calls(sum("curl" in command for command, _ in commands()))
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
