"""Profiles on the command line, and what trace says of unusual values; docs/how-to/profile.md does what it says."""

import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from forwardpass import Client, spec
from pyarrow import parquet

from tests.client.cli.conftest import Run
from tests.support.server_process import ServerProcess

DOCUMENT = {
    "format": spec.FORMAT,
    "inputs": ["age", "income"],
    "layers": [
        {"name": "hidden", "weights": [[1, 0], [0, 1], [-1, -1]], "activation": "relu"},
        {"name": "output", "weights": [[1, 1, 1]], "nodes": ["risk"]},
    ],
}


@pytest.fixture
def name(server: ServerProcess, request: pytest.FixtureRequest) -> str:
    """A network of the test's own."""
    name: str = request.function.__name__.replace("_", "-")
    with Client(server.address) as client:
        client.register(name, DOCUMENT)
    return name


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    rows = np.random.default_rng(0).uniform([20, 1], [60, 5], (2_000, 2))
    path = tmp_path / "rows.csv"
    path.write_text("age,income\n" + "".join(f"{age},{income}\n" for age, income in rows.tolist()))
    return path


def test_profile_and_trace(run: Run, name: str, csv: Path) -> None:
    assert "unusual" not in run("trace", name, "[40, 3]").stdout
    assert "has no profile" in run("profile", name, code=3).stderr
    said = run("profile", name, "--csv", str(csv)).stdout
    assert said.splitlines()[0].startswith(f"{name} version 1, 2,000 rows, since 20")
    assert re.search(r"hidden +hidden_2 +0 +0 +0 +0 +0 +0 +100 % +always zero", said)
    assert run("profile", name).stdout == said
    usual = run("trace", name, "[40, 3]").stdout
    assert usual.endswith("usual: every value is within those of 99 % of the 2,000 rows of the profile\n")
    far = run("trace", name, "[[40, 3], [90, 3]]", "--row", "1").stdout
    assert "unusual, compared with the 2,000 rows of the profile:" in far
    assert re.search(r"inputs +age +90 +above all 2,000 rows", far)
    assert re.search(r"outputs +risk +93 +above all 2,000 rows", far)
    assert re.search(r"profile +2,000 rows, since 20", run("show", name).stdout)
    assert run("profile", name, "--delete").stdout == f"{name} version 1 has no profile\n"
    run("profile", name, code=3)


def test_json(run: Run, name: str, csv: Path) -> None:
    made = json.loads(run("profile", name, "--csv", str(csv), "--layer", "output", "--json").stdout)
    assert (made["rows"], [layer["name"] for layer in made["layers"]]) == (2_000, ["output"])
    assert json.loads(run("profile", name, "--json").stdout) == made
    traced = json.loads(run("trace", name, "[40, 3]", "--layer", "output", "--json").stdout)
    assert 0 < traced["layers"][0]["percentiles"][0][0] < 100


def test_parquet_is_the_same(run: Run, name: str, csv: Path, tmp_path: Path) -> None:
    by_csv = json.loads(run("profile", name, "--csv", str(csv), "--json").stdout)
    rows = np.loadtxt(csv, delimiter=",", skiprows=1)
    table = pa.table({"income": rows[:, 1], "age": rows[:, 0], "more": rows[:, 0]})
    parquet.write_table(table, tmp_path / "rows.parquet")
    run("profile", name, "--csv", str(tmp_path / "rows.parquet"), code=1)
    done = run("profile", name, "--csv", str(tmp_path / "rows.parquet"), "--ignore-extra", "--json")
    assert json.loads(done.stdout) == by_csv


def test_a_wrong_row_is_named_by_its_line(run: Run, name: str, csv: Path) -> None:
    lines = csv.read_text().splitlines()
    lines[1_700] = "nan,3"
    csv.write_text("\n".join(lines))
    assert f"{csv} line 1701" in run("profile", name, "--csv", str(csv), code=1).stderr
    csv.write_text("age,income\n")
    assert "has a header and no rows" in run("profile", name, "--csv", str(csv), code=1).stderr


def test_options_that_do_not_go_together(run: Run, name: str, csv: Path) -> None:
    run("profile", name, "--layer", "hidden", code=2)
    run("profile", name, "--ignore-extra", code=2)
    run("profile", name, "--csv", str(csv), "--delete", code=2)
