"""The command line as a person or script meets it: a real process against a real server."""

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from forwardpass.cli.app import EXIT_CODES, app
from typer.main import get_command

from tests.processes import ServerProcess

Run: TypeAlias = Callable[..., "subprocess.CompletedProcess[str]"]
DOCS = Path(__file__).parents[3] / "docs" / "cli.md"


@pytest.fixture
def run(server: ServerProcess) -> Run:
    def run(*arguments: str, stdin: str = "", code: int = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from forwardpass.cli import main; main()", *arguments]
        environment = {**os.environ, "FORWARDPASS_TARGET": server.address, "COLUMNS": "120"}
        ended = subprocess.run(
            command, input=stdin, capture_output=True, text=True, env=environment, timeout=60, check=False
        )
        assert ended.returncode == code, (ended.stdout, ended.stderr)
        assert "Traceback" not in ended.stderr
        return ended

    return run


@pytest.fixture
def spec_file(tmp_path: Path) -> Path:
    path = tmp_path / "network.json"
    path.write_text(
        json.dumps(
            {
                "format": "forwardpass.network/1",
                "inputs": ["children", "accounts"],
                "layers": [
                    {"name": "hidden", "weights": [[1, 1], [-1, 1]], "activation": "relu"},
                    {"name": "output", "weights": {"transactions": [2, -1]}},
                ],
                "examples": [{"inputs": {"children": 2, "accounts": 3}, "outputs": [9]}],
            }
        )
    )
    return path


def test_predict_and_trace_for_people(run: Run) -> None:
    assert run("predict", "article-2-hidden", "[3, 5]").stdout.split()[-1] == "182"
    drawn = run("trace", "article-2-hidden", "[[1, 1], [3, 5]]", "--row", "1").stdout
    assert "26 → 26" in drawn
    assert "transactions = 182" in drawn
    explained = run("trace", "article-linear", '{"children": 2, "accounts": 3}', "--contributions").stdout
    assert "accounts  +3" in explained


def test_json_for_scripts(run: Run) -> None:
    answer = json.loads(run("predict", "article-linear", "[[2, 3]]", "--json").stdout)
    assert (answer["outputs"], answer["version"], answer["network"]) == ([[9.0]], 1, "article-linear")
    traced = json.loads(run("trace", "article-2-hidden", "[3, 5]", "--json").stdout)
    assert [layer["activation"] for layer in traced["layers"]] == [[[26.0, 0.0]], [[0.0, 26.0]], [[182.0]]]
    assert {"article-linear"} <= {network["name"] for network in json.loads(run("list", "--json").stdout)}


def test_csv_with_and_without_header(run: Run, tmp_path: Path) -> None:
    table = tmp_path / "rows.csv"
    table.write_text("accounts,children\n3,2\n0,0\n")
    out = tmp_path / "out.csv"
    run("predict", "article-linear", "--csv", str(table), "--out", str(out))
    assert list(csv.reader(out.read_text().splitlines())) == [["transactions"], ["9.0"], ["0.0"]]
    plain = run("predict", "article-linear", "--csv", "-", "--out", "-", stdin="2,3\n0,0\n").stdout
    assert list(csv.reader(io.StringIO(plain))) == [["transactions"], ["9.0"], ["0.0"]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("children,accounts\n", "has a header and no rows"),
        ("children,accounts\n1\n", "line 2: has 1 cells; the first line has 2"),
        ("children,accounts\n1,two\n", "line 2: has 'two' in column 'accounts'"),
        ("children,acounts\n1,2\n", "accounts"),
    ],
    ids=["empty", "no rows", "ragged", "no number", "unknown column"],
)
def test_faulty_csv(run: Run, text: str, words: str) -> None:
    assert words in run("predict", "article-linear", "--csv", "-", stdin=text, code=1).stderr


def test_the_life_of_a_network(run: Run, spec_file: Path) -> None:
    assert "valid" in run("validate", str(spec_file)).stdout
    assert "nothing was written" in run("register", "cli-net", str(spec_file), "--validate-only").stdout
    assert "cli-net version 1" in run("register", "cli-net", str(spec_file)).stdout
    assert "was there already" in run("register", "cli-net", "-", stdin=spec_file.read_text()).stdout
    run("alias", "set", "cli-net", "production", "1")
    assert "production = 1" in run("show", "cli-net").stdout
    shown = run("show", "cli-net", "--spec").stdout
    assert "was there already" in run("register", "cli-net", "-", stdin=shown).stdout
    assert run("predict", "cli-net", "[2, 3]", "--version", "production").stdout.split()[-1] == "9"
    assert "production" in run("list", "cli-net").stdout
    run("delete", "cli-net", "--version", "1", "--yes", code=1)
    run("alias", "delete", "cli-net", "production")
    run("delete", "cli-net", code=2)
    run("delete", "cli-net", "--yes")
    run("show", "cli-net", code=3)


def test_a_faulty_spec_is_told_every_fault(run: Run, spec_file: Path) -> None:
    spec_file.write_text(spec_file.read_text().replace("relu", "rleu").replace("[2, -1]", "[2, -1, 3]"))
    for arguments in (["validate"], ["register", "faulty"]):
        told = run(*arguments, str(spec_file), code=1).stderr
        assert 'did you mean "relu"?' in told
        assert "spec.layers[1].weights" in told


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["predict", "nothing", "[1]"], 3),
        (["predict", "article-linear", "[1, 2, 3]"], 1),
        (["predict", "article-linear", "[1, "], 1),
        (["predict", "article-linear"], 1),
        (["validate", "/no/such/file"], 1),
        (["trace", "article-linear", "[1, 2]", "--row", "5"], 2),
        (["frobnicate"], 2),
        (["--target", "127.0.0.1:1", "list"], 4),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_exit_codes(run: Run, arguments: list[str], code: int) -> None:
    assert run(*arguments, code=code).stderr


def test_the_docs_name_every_command_and_exit_code() -> None:
    text = DOCS.read_text()
    command = get_command(app)
    for name, sub in command.commands.items():  # type: ignore[attr-defined] # a group
        for path in [f"{name} {inner}" for inner in getattr(sub, "commands", {})] or [name]:
            assert f"`{path}" in text, path
    assert all(f"| {code} |" in text for code in {0, 1, 2, 130, *EXIT_CODES.values()})
