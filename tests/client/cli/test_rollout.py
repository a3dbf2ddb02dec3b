"""Versions are brought into use and back, on the command line; and docs/how-to/rollout.md does what it says."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from forwardpass import Client, spec

from tests.client.cli.conftest import Run
from tests.support.server_process import ServerProcess, wait_until

DOCS = Path(__file__).parents[3] / "docs" / "how-to" / "rollout.md"


@pytest.fixture
def three(server: ServerProcess, request: pytest.FixtureRequest) -> str:
    """A network of the test's own with three versions."""
    name: str = request.function.__name__.replace("_", "-")
    with Client(server.address) as client:
        for weight in (1, 2, 3):
            client.register(name, {"format": spec.FORMAT, "inputs": ["x"], "layers": [{"weights": [[weight]]}]})
    return name


def test_promote_and_roll_back(run: Run, three: str) -> None:
    assert run("promote", three, "1").stdout == f"{three} production = 1\n"
    assert run("promote", three, "latest", "--to", "production").stdout == f"{three} production = 3, was 1\n"
    assert run("promote", three, "3").stdout == f"{three} production = 3 already\n"
    assert run("promote", three, "2", "--expect", "1", code=1).stderr.startswith(
        "forwardpass: alias 'production' of network 'test-promote-and-roll-back' names version 3, and not version 1"
    )
    assert run("rollback", three).stdout == f"{three} production = 1, was 3\n"
    assert "cannot be moved back" in run("rollback", three, code=1).stderr
    moves = json.loads(run("show", three, "--json").stdout)["moves"]["production"]
    assert [(move["version"], move["rollback"]) for move in moves] == [(1, True), (3, False), (1, False)]
    assert re.search(r"history +production: 1 \(rolled back\) since 20.*, 3 since", run("show", three).stdout)
    run("rollback", three, "--alias", "nowhere", code=3)
    run("promote", three, "9", code=3)


def test_json(run: Run, three: str) -> None:
    assert json.loads(run("promote", three, "1", "--to", "canary", "--json").stdout)["aliases"]["canary"] == 1
    run("promote", three, "2", "--to", "canary")
    done = json.loads(run("rollback", three, "--alias", "canary", "--expect", "2", "--json").stdout)
    assert (done["from_version"], done["to_version"], done["network"]["aliases"]["canary"]) == (2, 1, 1)


def test_export(run: Run, three: str, tmp_path: Path) -> None:
    digests = set()
    for file in ("network.json", "network.safetensors", "network.py"):
        said = run("export", three, "--version", "2", "--to", str(tmp_path / file)).stdout
        digests.add(said.split("digest ")[1])
        again = run("register", three, str(tmp_path / file)).stdout
        assert again.startswith(f"{three} version 2, which was there already, digest ")
        digests.add(again.split("digest ")[1])
        run("validate", str(tmp_path / file))
    assert len(digests) == 1
    assert "must end in .json" in run("export", three, "--to", "network.txt", code=1).stderr
    run("export", three, "--version", "9", "--to", str(tmp_path / "none.json"), code=3)
    assert not (tmp_path / "none.json").exists()


def test_the_documented_commands(run: Run, server: ServerProcess, tmp_path: Path) -> None:
    text = DOCS.read_text()
    for code in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL):
        (tmp_path / code.splitlines()[0].removeprefix("# ")).write_text(code)
    lines = "".join(re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL)).splitlines()
    assert lines
    for line in lines:
        command, _, code = line.removeprefix("$ ").partition("  # exit code ")
        program, *arguments = shlex.split(command)
        if program == "python":
            environment = {"FORWARDPASS_TARGET": server.address}
            subprocess.run([sys.executable, *arguments], check=True, cwd=tmp_path, env=environment, timeout=120)
        else:
            assert program == "forwardpass"
            run(*arguments, code=int(code or 0), cwd=tmp_path)


def test_diff(run: Run, three: str, tmp_path: Path) -> None:
    table = tmp_path / "rows.csv"
    table.write_text("x\n1\n-7\n3\n")
    assert run("diff", three, "2", "2", "--csv", str(table)).stdout.endswith("agree on all 3 rows within 1e-09\n")
    said = run("diff", three, "1", "latest", "--csv", str(table), "--worst", "1", code=1).stdout
    assert re.search(r"layer_0_0 +14 +0\.6+\d* +3", said)
    assert "row 2: x = -7\n  layer_0_0 differs by 14\n" in said
    assert said.endswith(f"versions 1 and 3 of {three} disagree: 3 of 3 rows differ by more than 1e-09 allows\n")
    run("diff", three, "1", "3", "--csv", str(table), "--tolerance", "14")
    found = json.loads(run("diff", three, "1", "2", "--json", code=1).stdout)
    assert (found["agree"], found["spec"][0]["path"]) == (False, "digest")
    assert "has no column 'x'" in run("diff", three, "1", "2", "--csv", "-", stdin="y\n1\n", code=1).stderr
    run("diff", three, "1", "7", code=3)


def test_shadow(run: Run, three: str, server: ServerProcess) -> None:
    run("alias", "set", three, "production", "1")
    said = run("shadow", three, "3", "--share", "1", "--tolerance", "0.5").stdout
    assert said == f"{three} version 3 is computed on 1 of the rows of production\n"
    with Client(server.address) as client:
        client.predict(three, [[1.0], [0.1], [-7.0]], version="production")
        wait_until(lambda: client.shadows(three)[0].compared == 3)
        [report] = client.shadows(three)
        assert (report.of_version, report.rows, report.beyond, report.worst_absolute) == (1, 3, 2, 14.0)
        assert client.version(three, version=3).shadow_of == client.network(three).shadows == (report.shadow,)
    assert re.search(r"production \(1\) +3 +1 +3 +3 +3 +2 +0 +14 +0 +0", run("shadow", three).stdout)
    assert json.loads(run("shadow", three, "--json").stdout)[0]["shadow"]["tolerance"] == 0.5
    assert re.search(r"shadows +3 of production \(1\)", run("show", three).stdout)
    assert "is version 1 itself" in run("shadow", three, "1", code=1).stderr
    run("shadow", three, "2", "--clear", code=2)
    assert run("shadow", three, "--clear").stdout == f"{three} production has no shadow any more\n"
    assert "has no shadow" in run("shadow", three, "--clear", code=1).stderr
