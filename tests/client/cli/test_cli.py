"""The command line as a person or script meets it: a real process against a real server."""

import csv
import io
import json
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from forwardpass import Client, chunks, errors, spec
from forwardpass._batching.row_stream import MAX_CHUNKS_IN_FLIGHT
from forwardpass.cli import bulk
from forwardpass.cli.app import EXIT_CODES, app
from forwardpass.cli.tables import PART_ROWS, Part, Table
from typer.main import get_command

from tests.client.cli.conftest import Run
from tests.support.server_process import ServerProcess

DOCS = Path(__file__).parents[3] / "docs" / "reference" / "cli.md"
EXAMPLES = Path(__file__).parents[3] / "examples"


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
    response = json.loads(run("predict", "article-linear", "[[2, 3]]", "--json").stdout)
    assert (response["outputs"], response["version"], response["network"]) == ([[9.0]], 1, "article-linear")
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


class TestTables:
    @pytest.fixture
    def classifier(self, server: ServerProcess) -> str:
        layers = [{"weights": {"flat": [1, 0], "house": [0, 1]}, "activation": "softmax"}]
        document = {"format": spec.FORMAT, "inputs": ["x", "y"], "layers": layers, "classes": ["flat", "house"]}
        with Client(server.address) as client:
            client.register("cli-classes", document)
        return "cli-classes"

    @pytest.fixture
    def table(self, tmp_path: Path) -> Path:
        """3,000 rows, the columns in another order and one too many."""
        path = tmp_path / "in.csv"
        lines = [f"{number % 7},row {number},{number}" for number in range(3_000)]
        path.write_text("\n".join(["children,name,accounts", *lines]) + "\n")
        return path

    def rejection(self, server: ServerProcess, name: str, source: Path, out: Path) -> str:
        with Client(server.address) as client, pytest.raises(errors.InvalidRequestError) as refused:
            bulk.predict_table(client, name, str(source), str(out), version="", ignore_extra=False, append=False)
        return str(refused.value)

    def test_many_rows_in_order(self, run: Run, table: Path, tmp_path: Path) -> None:
        out = tmp_path / "out.csv"
        ended = run("predict", "article-1-hidden", "--csv", str(table), "--out", str(out), "--ignore-extra")
        assert (ended.stdout, ended.stderr) == ("", "")
        found = [float(row["transactions"]) for row in csv.DictReader(out.read_text().splitlines())]
        assert found == [2.0 * (n % 7 + n) - max(0.0, n - n % 7) for n in range(3_000)]

    @pytest.mark.parametrize("columns", ["children,accounts", "accounts,children"])
    def test_a_pipe(self, run: Run, columns: str) -> None:
        ended = run("predict", "article-linear", "--csv", "-", "--out", "-", stdin=f"{columns}\n2,3\n\n0,1\n")
        expected = ["9.0", "1.0"] if columns.startswith("c") else ["11.0", "3.0"]
        assert ended.stdout.splitlines() == ["transactions", *expected]

    def test_classes_and_the_columns_of_the_rows(self, run: Run, classifier: str) -> None:
        text = "y,id,x\n1,a,2\n4,b,3\n"
        ended = run("predict", classifier, "--csv", "-", "--out", "-", "--append", "--ignore-extra", stdin=text).stdout
        first, second = csv.DictReader(ended.splitlines())
        assert list(first)[:3] == ["y", "id", "x"]
        assert [(row["id"], row["x"], row["label"]) for row in (first, second)] == [
            ("a", "2", "flat"),
            ("b", "3", "house"),
        ]
        assert float(first["probability"]) == max(float(first[name]) for name in ("flat", "house"))

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("", "in.csv: is empty"),
            ("children,accounts\n", "has a header and no rows"),
            ("children,accounts\n1,2\n1\n", "line 3: has 1 cells; the first line has 2"),
            ("children,accounts\n1,2\n\n1,two\n", "line 4: has 'two' in column 'accounts'"),
            ("children,accounts\n1,\n", "line 2: has nothing in column 'accounts'"),
            ("children,accounts,age\n1,2,3\n", "has 'age', which article-linear version 1 does not read"),
            ("children\n1\n", "has no column 'accounts'"),
            ("children,accounts,children\n1,2,3\n", "has several columns 'children'"),
            ("1,2,3\n", "line 1: has 3 numbers; article-linear version 1 reads 2"),
            ("children,accounts\n1,2\n" + "1,2\n" * 1_500 + "nan,2\n", "line 1503: "),
            ("\ufeffchildren,accounts\n1,\udcff\n", "is not UTF-8"),
        ],
        ids=lambda value: value[-20:] if " " in value else "",
    )
    def test_what_is_wrong_is_told_with_its_place_and_leaves_no_file(
        self, server: ServerProcess, tmp_path: Path, text: str, words: str
    ) -> None:
        source, out = tmp_path / "in.csv", tmp_path / "out.csv"
        source.write_bytes(text.encode("utf-8", "surrogateescape"))
        assert words in self.rejection(server, "article-linear", source, out)
        assert list(tmp_path.glob("*out*")) == list(tmp_path.glob(".*")) == []

    def test_a_failure_leaves_the_old_file(self, run: Run, tmp_path: Path) -> None:
        out = tmp_path / "out.csv"
        out.write_text("old")
        text = "children,accounts\n" + "1,2\n" * 5_000 + "1,two\n"
        run("predict", "article-linear", "--csv", "-", "--out", str(out), stdin=text, code=1)
        assert out.read_text() == "old"
        run("predict", "article-linear", "--csv", "/no/such/file", "--out", str(out), code=1)
        run("predict", "article-linear", "--csv", "-", "--out", "/no/such/folder/file", stdin=text, code=1)
        assert list(tmp_path.glob("*out*")) == [out]
        text = text.removesuffix("1,two\n")
        run("predict", "article-linear", "--csv", "-", "--out", str(out), stdin=text)
        assert len(out.read_text().splitlines()) == 5_001

    def test_options_that_need_a_table(self, run: Run) -> None:
        run("predict", "article-linear", "[1, 2]", "--append", code=2)
        run("predict", "article-linear", "--csv", "-", "--ignore-extra", code=2)

    def test_a_json_row_may_go_into_a_file(self, run: Run, tmp_path: Path) -> None:
        out = tmp_path / "out.csv"
        run("predict", "article-linear", "[2, 3]", "--out", str(out))
        assert out.read_text().splitlines() == ["transactions", "9.0"]

    def test_parquet(self, run: Run, classifier: str, tmp_path: Path) -> None:
        parquet = pytest.importorskip("pyarrow.parquet")
        source, out, text = tmp_path / "in.parquet", tmp_path / "out.parquet", tmp_path / "out.csv"
        frame = pd.DataFrame({"y": range(2_500), "id": [f"n{n}" for n in range(2_500)], "x": [1.5] * 2_500})
        frame.to_parquet(source, row_group_size=700)
        flags = ["--ignore-extra", "--append"]
        run("predict", classifier, "--csv", str(source), "--out", str(out), *flags)
        run("predict", classifier, "--csv", str(source), "--out", str(text), *flags)
        found = parquet.read_table(out).to_pandas()
        assert found.columns.tolist() == ["y", "id", "x", "flat", "house", "label", "probability"]
        assert found["id"].tolist() == frame["id"].tolist()
        assert found["label"].tolist() == ["flat" if n < 1.5 else "house" for n in range(2_500)]
        pd.testing.assert_frame_equal(pd.read_csv(text), found, check_dtype=False)
        again = tmp_path / "again.parquet"
        run("predict", classifier, "--csv", str(text), "--out", str(again), "--ignore-extra")
        assert parquet.read_table(again)["flat"].to_pylist() == found["flat"].tolist()

    @pytest.mark.parametrize(
        ("columns", "words"),
        [
            ({"x": [1, 2, None], "y": [1, 2, 3]}, "row 3: has nothing in column 'x'"),
            ({"x": ["1"], "y": [1]}, "in column 'x'; numbers are needed"),
            ({"x": [1], "z": [1]}, "has no column 'y'"),
            ({"x": [], "y": []}, "no rows"),
        ],
        ids=["missing", "text", "no column", "no rows"],
    )
    def test_faulty_parquet(
        self, server: ServerProcess, classifier: str, tmp_path: Path, columns: dict[str, list[Any]], words: str
    ) -> None:
        arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        source, out = tmp_path / "in.parquet", tmp_path / "out.parquet"
        parquet.write_table(arrow.table(columns), source)
        assert words in self.rejection(server, classifier, source, out)
        assert list(tmp_path.glob("*out*")) == list(tmp_path.glob(".*")) == []

    def test_parquet_without_pyarrow(self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "pyarrow.py").write_text("raise ModuleNotFoundError('pyarrow')")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        for flags in (["--csv", "x.parquet", "--out", "-"], ["--csv", "-", "--out", "x.parquet"]):
            ended = run("predict", "article-linear", *flags, stdin="1,2\n", code=1, fresh=True)
            assert "pip install 'forwardpass[parquet]'" in ended.stderr

    def test_memory_is_bounded(self, server: ServerProcess) -> None:
        """The reader is no further ahead than a few parts, whatever the size of the table."""
        read = 0

        def parts() -> Iterator[Part]:
            nonlocal read
            for _ in range(1_000):
                read += 1
                yield Part(numbers=np.ones((PART_ROWS, 2)), columns=(), inputs=(0, 1), places=range(PART_ROWS))

        away: deque[Part] = deque()
        table = Table(source="", unit="row", names=("a", "b"), inputs=(0, 1), parts=parts(), total=None, done=lambda: 0)
        with Client(server.address) as client:
            responses = client.predict_batches("article-linear", bulk._numbers(table, away), batch_rows=PART_ROWS)
            for done in range(30):
                assert len(next(responses).outputs) == PART_ROWS
                away.popleft()
                assert len(away) <= MAX_CHUNKS_IN_FLIGHT + 2
                assert read <= done + 1 + MAX_CHUNKS_IN_FLIGHT + 2


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_wide_table_goes_in_smaller_parts(
    server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setattr(chunks, "MAX_CHUNK_BYTES", 160)  # ten rows of two numbers
    source, out = tmp_path / f"rows.{suffix}", tmp_path / "out.csv"
    frame = pd.DataFrame(np.arange(74.0).reshape(37, 2), columns=["children", "accounts"])

    def predict(frame: pd.DataFrame) -> None:
        frame.to_csv(source, index=False) if suffix == "csv" else frame.to_parquet(source, index=False)
        with Client(server.address) as client:
            bulk.predict_table(
                client, "article-linear", str(source), str(out), version="", ignore_extra=False, append=True
            )

    predict(frame)
    written = pd.read_csv(out)
    assert written[["children", "accounts"]].equals(frame)
    with Client(server.address) as client:
        assert written.iloc[:, 2].tolist() == client.predict("article-linear", frame).outputs[:, 0].tolist()
    frame.iloc[33, 1] = np.inf
    with pytest.raises(errors.NonFiniteInputError, match="line 35:" if suffix == "csv" else "row 34:"):
        predict(frame)


def test_json_with_a_name_twice_is_rejected(run: Run) -> None:
    failed = run("predict", "article-linear", '{"children": 1, "accounts": 2, "children": 3}', code=1)
    assert "rows: a row has several values named 'children'" in failed.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("children,accounts\n", "has a header and no rows"),
        ("children,accounts\n1\n", "line 2: has 1 cells; the first line has 2"),
        ("children,accounts\n1,two\n", "line 2: has 'two' in column 'accounts'"),
        ("children,acounts\n1,2\n", "accounts"),
        ("children,accounts,children\n1,2,3\n", "has several columns 'children'"),
    ],
    ids=["empty", "no rows", "ragged", "no number", "unknown column", "column twice"],
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


def test_show_has_the_expression_of_an_activation(run: Run, spec_file: Path) -> None:
    own = '{"expression": "max(x,slope*x)", "parameters": {"slope": 0.5}}'
    spec_file.write_text(spec_file.read_text().replace('"relu"', own))
    run("register", "cli-own", str(spec_file))
    assert "max(x, slope * x) with slope=0.5" in " ".join(run("show", "cli-own").stdout.split())
    run("delete", "cli-own", "--yes")


def test_a_graph_is_shown_layer_by_layer(run: Run) -> None:
    run("register", "cli-graph", str(EXAMPLES / "graphs" / "wide_and_deep.json"))
    shown = run("show", "cli-graph").stdout
    for line in (
        "inputs: 5 (person 2, behaviour 3)",
        "deep_0: 4 relu <- behaviour",
        "deep_1: 2 relu <- deep_0",
        "spends: 1 softplus(beta=1) <- person, deep_1 (mean), output",
    ):
        assert line in shown
    drawn = run("trace", "cli-graph", "[1, 2, 3, 1, 0.5]").stdout
    assert "spends: softplus(beta=1) (1) ← person, deep_1 (mean)" in drawn


def test_a_faulty_spec_is_told_every_fault(run: Run, spec_file: Path) -> None:
    spec_file.write_text(spec_file.read_text().replace("relu", "rleu").replace("[2, -1]", "[2, -1, 3]"))
    for arguments in (["validate"], ["register", "faulty"]):
        printed = run(*arguments, str(spec_file), code=1).stderr
        assert 'did you mean "relu"?' in printed
        assert "spec.layers[1].weights" in printed


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
        (["--target", "127.0.0.1:1", "--timeout", "1", "list"], 4),
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
