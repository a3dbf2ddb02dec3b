"""Tables on the command line keep the value of an integer or are rejected with its place."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from forwardpass import spec

from tests.client.cli.conftest import Run

SINGLE, DOUBLE = 2**24 + 1, 2**53 + 1


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("specs")
    for dtype in ("float32", "float64"):
        document = {"format": spec.FORMAT, "dtype": dtype, "inputs": ["x"], "layers": [{"weights": [[1.0]]}]}
        (folder / f"exact-{dtype}.json").write_text(json.dumps(document))
    return folder


@pytest.fixture(params=["float32", "float64"])
def network(request: pytest.FixtureRequest, run: Run, specs: Path) -> str:
    name = f"exact-{request.param}"
    run("register", name, str(specs / f"{name}.json"))
    return name


def lost(network: str) -> int:
    return SINGLE if network.endswith("32") else DOUBLE


@pytest.mark.parametrize("form", ["csv", "parquet", "parquet with nothing in a row"])
def test_a_table_says_where_an_integer_would_be_rounded(run: Run, network: str, tmp_path: Path, form: str) -> None:
    source, out = tmp_path / f"in.{form.split(maxsplit=1)[0]}", tmp_path / "out.csv"
    values: list[Any] = [1, lost(network)]
    if form == "csv":
        source.write_text("x\n" + "\n".join(map(str, values)) + "\n")
    else:
        pa.parquet.write_table(pa.table({"x": values}), source)
    said = run("predict", network, "--csv", str(source), "--out", str(out), code=1).stderr
    assert f"{lost(network)} in column 'x', an integer that {network[6:]} cannot hold exactly" in said
    assert ("line 3" if form == "csv" else "row 2") in said
    assert not out.exists()


def test_the_remedy_for_csv_rounds(run: Run, network: str) -> None:
    said = run("predict", network, "--csv", "-", "--out", "-", stdin=f"x\n{lost(network)}.0\n").stdout
    assert float(said.split()[1]) == float(np.dtype(network[6:]).type(lost(network)))


def test_the_remedy_for_parquet_rounds(run: Run, network: str, tmp_path: Path) -> None:
    source = tmp_path / "in.parquet"
    pa.parquet.write_table(pa.table({"x": pa.array([lost(network)]).cast(pa.float64(), safe=False)}), source)
    said = run("predict", network, "--csv", str(source), "--out", "-").stdout
    assert float(said.split()[1]) == float(np.dtype(network[6:]).type(lost(network)))


@pytest.mark.parametrize("arguments", [["--csv", "-"], ["-"]], ids=["csv", "json"])
def test_rows_of_one_request_follow_the_same_rule(run: Run, network: str, arguments: list[str]) -> None:
    row = f"x\n{lost(network)}\n" if arguments[0] == "--csv" else json.dumps([lost(network)])
    said = run("predict", network, *arguments, stdin=row, code=1).stderr
    assert f"is {lost(network)}" in said
    assert "cannot hold exactly" in said


def test_a_table_larger_than_a_request_needs_no_out(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("children,accounts\n" + "1.5,2\n" * 100_000)
    outputs = json.loads(run("predict", "article-linear", "--csv", str(source), "--json").stdout)["outputs"]
    assert outputs == [[6.5]] * 100_000
