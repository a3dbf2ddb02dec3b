"""The command line and typed features: texts and truths in CSV and Parquet, warnings, the most probable classes."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from forwardpass import Client, errors, spec
from forwardpass.cli import bulk, output
from forwardpass.cli.cells import input_of, input_readers, misfit, value_of
from forwardpass.cli.reading import rows_from_csv
from forwardpass.models import FeatureInfo

from tests.client.cli.conftest import Run
from tests.support.server_process import ServerProcess

AGE = FeatureInfo(name="age", low=0, high=120, missing=40)
CITY = FeatureInfo(name="city", kind="category", categories=("1", "2"), unknown="1", missing="nan")
MEMBER = FeatureInfo(name="member", kind="boolean", missing=0)
PLAIN = FeatureInfo(name="plain")
STRICT = FeatureInfo(name="strict", kind="category", categories=("Bern", "Basel"))

READ = [
    (AGE, "3.5", 3.5, 3.5),
    (AGE, "", None, None),
    (AGE, None, None, None),
    (CITY, "2", "2", 1),
    (CITY, "Rom", "Rom", -1),
    (CITY, " ", None, None),
    (MEMBER, "True", True, 1),
    (MEMBER, "0", False, 0),
    (MEMBER, True, True, 1),
    (STRICT, "Basel", "Basel", 1),
]


@pytest.mark.parametrize(("feature", "cell", "value", "number"), READ)
def test_cells_are_read_by_the_kind_of_their_feature(
    feature: FeatureInfo, cell: object, value: object, number: float | None
) -> None:
    assert value_of(cell, feature) == value
    (read,) = input_readers([feature], 1)
    assert read(cell) == number if number is not None else read(cell) != read(cell)


UNREADABLE = [
    (PLAIN, "", "has nothing in column 'c'; a number is needed"),
    (PLAIN, "x", "has 'x' in column 'c'; a number is needed"),
    (AGE, "x", "has 'x' in column 'c'; a number is needed"),
    (CITY, 1, "has 1 in column 'c'; a text is needed"),
    (MEMBER, "yes", "has 'yes' in column 'c'; true or false is needed"),
    (STRICT, "Brn", "has 'Brn' in column 'c'; that is no category; did you mean \"Bern\"?"),
    (STRICT, None, "has nothing in column 'c'; a text is needed"),
]


@pytest.mark.parametrize(("feature", "cell", "words"), UNREADABLE)
def test_cells_that_cannot_be_read(feature: FeatureInfo, cell: object, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words.split("; ", 1)[1])):
        input_of(cell, feature, {category: index for index, category in enumerate(feature.categories)})
    assert misfit(cell, "c", feature) == words


@pytest.fixture
def network(server: ServerProcess) -> str:
    document: dict[str, Any] = {
        "format": spec.FORMAT,
        "inputs": [
            {"name": "age", "range": [0, 120], "missing": 40},
            {"name": "house", "kind": "category", "categories": ["1", "2a"], "missing": "nan"},
            {"name": "member", "kind": "boolean", "missing": False},
        ],
        "layers": [{"weights": [[0.01, 1, 0], [0, 0, 2]], "activation": "softmax"}],
        "classes": ["no", "yes"],
        "outputs": [{"name": "no", "unit": "%", "scale": 100}, "yes"],
    }
    with Client(server.address) as client:
        client.register("cli-typed", document)
    return "cli-typed"


TABLE = "member,house,age\ntrue,2a,30\n,1,130\nFALSE,2a,\n"
ROWS = [[30, 1, 1], [130, 0, 0], [40, 1, 0]]


def test_rows_for_people_and_scripts(run: Run, network: str, server: ServerProcess) -> None:
    with Client(server.address) as client:
        expected = client.predict(network, ROWS)
    found = json.loads(run("predict", network, "--csv", "-", "--json", stdin=TABLE).stdout)
    assert found["outputs"] == expected.outputs.tolist()
    ended = run("predict", network, '{"age": 130, "house": "1"}', "--top-k", "2")
    assert "most probable" in ended.stdout
    assert "warning: row 0: 'age' is 130, which is out of range: from 0 to 120" in ended.stderr


def test_faulty_cells_say_where_they_are() -> None:
    with pytest.raises(errors.InvalidFieldError, match="csv line 2: has 'yes' in column 'member'; true or false"):
        rows_from_csv("member,age\nyes,1\n", lambda: [AGE, MEMBER])


def predict(server: ServerProcess, network: str, source: Path, out: Path, *, append: bool = False) -> None:
    with Client(server.address) as client:
        bulk.predict_table(client, network, str(source), str(out), version="", ignore_extra=False, append=append)


def test_a_table_in_and_out(
    network: str, server: ServerProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Client(server.address) as client:
        expected = client.predict(network, ROWS)
    source, out, parquet = tmp_path / "in.csv", tmp_path / "out.csv", tmp_path / "out.parquet"
    source.write_text(TABLE)
    predict(server, network, source, out, append=True)
    assert "warning: 1 numbers are out of their features' ranges" in capsys.readouterr().err
    found = list(csv.DictReader(out.read_text().splitlines()))
    assert [[float(row["no"]), float(row["yes"])] for row in found] == expected.outputs.tolist()
    assert [row["house"] for row in found] == ["2a", "1", "2a"]
    predict(server, network, source, parquet, append=True)
    kept = pd.read_parquet(parquet)
    assert kept["house"].tolist() == ["2a", "1", "2a"]
    assert kept[["no", "yes"]].to_numpy().tolist() == expected.outputs.tolist()


@pytest.mark.parametrize("house", ["object", "category"])
def test_parquet_in(network: str, server: ServerProcess, tmp_path: Path, house: str) -> None:
    with Client(server.address) as client:
        expected = client.predict(network, ROWS)
    source, out = tmp_path / "in.parquet", tmp_path / "out.csv"
    frame = pd.DataFrame({"age": [30, 130, None], "house": ["2a", "1", "2a"], "member": [True, None, False]})
    frame.astype({"house": house, "member": "boolean"}).to_parquet(source)
    predict(server, network, source, out)
    found = list(csv.DictReader(out.read_text().splitlines()))
    assert [[float(row["no"]), float(row["yes"])] for row in found] == expected.outputs.tolist()


def test_a_table_that_is_refused_says_where(network: str, server: ServerProcess, tmp_path: Path) -> None:
    source, out = tmp_path / "in.parquet", tmp_path / "out.csv"
    pd.DataFrame({"age": [1, 2], "house": ["1", "3"], "member": [True, True]}).to_parquet(source)
    with pytest.raises(errors.InvalidFieldError, match="row 2: has '3' in column 'house'; that is no category"):
        predict(server, network, source, out)
    source = tmp_path / "in.csv"
    source.write_text("age,house,member\n1,1,1\n2,,1\n3,4,1\n")
    with pytest.raises(errors.InvalidFieldError, match="line 4: has '4' in column 'house'; that is no category"):
        predict(server, network, source, out)


def test_show_says_what_goes_in_and_what_comes_out(
    network: str, server: ServerProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    with Client(server.address) as client:
        output.print_version(client.version(network), client.network(network), {})
    shown = " ".join(capsys.readouterr().out.split())
    assert "age (from 0 to 120), house (2 categories), member (boolean)" in shown
    assert "no (%), yes" in shown
