"""Text from files and servers reaches the terminal as text: nothing in it is obeyed."""

import json
import re
import unicodedata
from pathlib import Path

import forwardpass.cli
import grpc
import pytest
from forwardpass import Client, spec
from forwardpass.printable import printable, printable_json
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st

from tests.client.cli.conftest import Run
from tests.support.fake_server import FakeServer
from tests.support.server_process import ServerProcess

TITLE = "\x1b]0;owned\x07"
"""Sets a terminal's title."""
UNSAFE = st.text(st.characters(categories=["Cc", "Cf", "Zl", "Zp"]) | st.sampled_from("ab"))


@given(UNSAFE)
def test_no_control_character_is_left(text: str) -> None:
    kept = {character for character in printable(text) if unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}}
    assert kept == set()
    assert "\u202e" not in printable(text)
    assert printable(text, lines=True).count("\n") == text.count("\n")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("äöü 数 → 🙂", "äöü 数 → 🙂"),
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("a\nb\tc", r"a\nb\tc"),
        ("\x9b\u202e", r"\x9b\u202e"),
        ("half \ud800", r"half \ud800"),
    ],
    ids=["letters", "escape sequence", "line and tab", "C1 and direction", "surrogate"],
)
def test_what_is_shown(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.recursive(UNSAFE, st.lists))
def test_json_has_the_same_value(value: object) -> None:
    text = printable_json(json.dumps(value, ensure_ascii=False, indent=2))
    assert json.loads(text) == value
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)


def test_names_from_a_server(run: Run, fake: FakeServer) -> None:
    fake.networks = {f"{TITLE}[red]x": fake.networks["article-linear"]}
    shown = run("--target", fake.address, "list").stdout
    assert r"\x1b]0;owned\x07[red]x" in shown
    assert "\x1b" not in shown
    (network,) = json.loads(run("--target", fake.address, "list", "--json").stdout)
    assert network["name"] == f"{TITLE}[red]x"


def test_errors_from_a_server(run: Run, fake: FakeServer) -> None:
    fake.fail(grpc.StatusCode.INVALID_ARGUMENT, status=Status(code=3, message=f"{TITLE} is wrong"))
    printed = run("--target", fake.address, "predict", "article-linear", "[1, 2]", code=1).stderr
    assert r"\x1b]0;owned\x07 is wrong" in printed
    assert "\x1b" not in printed


def test_text_in_brackets_is_no_markup(run: Run, server: ServerProcess) -> None:
    document = {"format": spec.FORMAT, "inputs": ["x"], "layers": [{"weights": [[1]]}], "metadata": {"by": "[bold]us"}}
    with Client(server.address) as client:
        client.register("cli-brackets", {**document, "description": "[red]weights[/red]"})
    for command in (["list"], ["list", "cli-brackets"], ["show", "cli-brackets"]):
        assert "[red]weights[/red]" in run(*command).stdout
    assert "[bold]us" in run("show", "cli-brackets").stdout


def test_errors_of_a_file(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "faulty.json"
    path.write_text(json.dumps({"format": spec.FORMAT, "inputs": 1, TITLE: 1, "layers": [{"activation": TITLE}]}))
    printed = run("validate", str(path), code=1).stderr
    assert "spec.layers[0]" in printed
    assert "\x1b" not in printed
    assert "\x07" not in printed


def test_the_command_line_prints_by_these_functions_alone() -> None:
    folder = Path(forwardpass.cli.__file__).parent
    modules = {path.name for path in folder.glob("*.py") if re.search(r"(?<![\w.])print\(", path.read_text())}
    assert modules == {"__init__.py", "output.py"}


def test_a_pipe_gets_every_cell_whole(run: Run, server: ServerProcess) -> None:
    feature = "the number of children " * 5 + "."
    with Client(server.address) as client:
        client.register("wide-cells", {"format": spec.FORMAT, "inputs": [feature], "layers": [{"weights": [[1]]}]})
    shown = run("explain", "wide-cells", "[3]").stdout
    assert feature in shown
    assert "…" not in shown
