"""The benchmarks run; their figures are not checked."""

import json
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import jsonschema
import pytest

from benchmarks import registry_size
from benchmarks.flames import with_title
from benchmarks.lab import Lab
from benchmarks.needs import Need, missing
from benchmarks.peer_servers.contenders import CONTENDERS, HERE, OURS
from benchmarks.plots import Bars, Plot, bars, svg
from benchmarks.report import rows
from benchmarks.run import PARTS, ROWS
from benchmarks.server import family
from benchmarks.table import Finding, Goal, Result

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "benchmarks" / "history.schema.json").read_text())
PAGE = (ROOT / "docs" / "explanation" / "performance.md").read_text()


def run(*flags: str) -> str:
    command = [sys.executable, "-m", "benchmarks", *flags]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.parametrize("rows", ["7,8,15", pytest.param("7,8,15,18,19", marks=pytest.mark.prove)])
def test_quick_run_in_process(tmp_path: Path, rows: str) -> None:
    path = tmp_path / "run.json"
    printed = run("--quick", "--rows", f"{rows},peers", "--json", str(path))
    record = json.loads(path.read_text())
    jsonschema.validate(record, SCHEMA)
    goals = {
        (row.number, key): goal for row in ROWS for key, goal in row.goals.items() if str(row.number) in rows.split(",")
    }
    assert {(row["row"], row["key"]) for row in record["rows"]} == set(goals)
    assert all(goal.title in printed for goal in goals.values())
    assert not [row for row in record["rows"] if row.get("skipped", "").startswith("failed")]
    assert all(row["median"] > 0 for row in record["rows"] if "skipped" not in row)
    assert {"exact", "numpy", "scikit-learn"} <= {timing["contender"] for timing in record["peers"]}


def test_history_fits_the_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for path in (ROOT / "benchmarks" / "history").glob("*.json"):
        jsonschema.validate(json.loads(path.read_text()), SCHEMA)


def test_every_row_of_the_table_is_measured() -> None:
    assert [row.number for row in ROWS] == list(range(1, 24))
    assert PARTS[-2:] == ("peers", "curves")


def test_verdict_shows_that_rounds_disagree() -> None:
    result = Result(row=1, key="", goal=Goal(title="a / b", wanted=0.7))
    verdicts = []
    for value in (0.8, 0.9, 0.6):
        result.findings.append(Finding(value=value, figures={}))
        verdicts.append(result.verdict)
    assert verdicts == ["reached", "reached", "reached?"]
    most = Result(row=1, key="", goal=Goal(title="s", wanted=1, at_most=True), findings=result.findings)
    assert most.verdict == "reached"


def test_missing_needs_are_named_with_their_remedy() -> None:
    need = Need(name="h2load", found=lambda: False, remedy="apt-get install nghttp2-client")
    result = Result(row=1, key="", goal=Goal(title="a / b", wanted=0.7), skipped=missing([need]))
    _, line = rows([result])
    assert "needs h2load: apt-get install nghttp2-client" in line


@pytest.mark.parametrize("log", [False, True])
def test_plot_is_well_formed(log: bool) -> None:
    plot = Plot(title="Rows & time", x="rows", y="µs", lines={"a<b": [(1, 2), (10, 300)]}, log_y=log)
    root = ET.fromstring(svg(plot))  # noqa: S314 - it is our own
    words = {text.text for text in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"Rows & time", "rows", "µs", "a<b"} <= words
    (line,) = root.iter("{http://www.w3.org/2000/svg}polyline")
    for pair in line.attrib["points"].split():
        x, y = map(float, pair.split(","))
        assert 0 <= x <= float(root.attrib["width"])
        assert 0 <= y <= float(root.attrib["height"])


def test_bars_are_as_long_as_their_values() -> None:
    root = ET.fromstring(bars(Bars(title="calls", values={"a<b": 100, "c": 25, "d": 0})))  # noqa: S314 - it is our own
    words = {text.text for text in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"calls", "a<b", "100", "25", "0"} <= words
    drawn = [float(each.attrib["width"]) for each in root.iter("{http://www.w3.org/2000/svg}rect")]
    assert drawn[1] == pytest.approx(drawn[0] / 4, abs=0.1)
    assert drawn[2] == 1


def test_many_points_have_round_ticks() -> None:
    lines = {"a": [(203.7 * step, step) for step in range(1, 40)]}
    root = ET.fromstring(svg(Plot(title="t", x="calls", y="ms", lines=lines)))  # noqa: S314 - it is our own
    words = {text.text for text in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"200", "1,000", "10k"} <= words
    assert len(words) < 25


@pytest.mark.parametrize("name", ["table native", "table grpcio", "peers", "peer servers", "peer latencies"])
def test_page_has_the_sections_that_a_run_writes(name: str) -> None:
    assert PAGE.count(f"<!-- {name} -->") == PAGE.count(f"<!-- /{name} -->") == 1


@pytest.mark.parametrize("name", ["flame-native-4x1.svg", "flame-native-4x16.svg"])
def test_flame_graphs_of_the_page(name: str) -> None:
    text = (ROOT / "docs" / "explanation" / "performance" / name).read_text()
    assert f"performance/{name}" in (ROOT / "docs" / "explanation" / "where-time-goes.md").read_text()
    assert len(text) < 200_000
    assert "._take (forwardpass_server/rpc/" in text
    assert "py-spy record" not in text
    again = ET.fromstring(with_title(text, "another"))  # noqa: S314 - it is our own
    assert [each.text for each in again.iter() if each.get("id") == "title"] == ["another"]


def test_picture_that_is_not_a_flame_graph() -> None:
    with pytest.raises(ValueError, match="0 titles"):
        with_title("<svg/>", "a title")


def test_family_of_a_process() -> None:
    nested = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1, flush=True); input()'])"
    with subprocess.Popen([sys.executable, "-c", nested], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"1\n"
        first, second = family(process.pid)
        assert first == process.pid
        assert Path(f"/proc/{second}/stat").read_text().rpartition(")")[2].split()[1] == str(first)
    assert family(process.pid) == []


def test_ours_comes_before_the_peers_of_its_protocol() -> None:
    assert [each.name for each in CONTENDERS if each.environment is None] == [OURS, OURS]
    assert CONTENDERS[0].name == OURS
    assert {"mlserver", "pytriton", "fastapi"} == {path.parent.name for path in HERE.glob("*/serve.py")}


@pytest.mark.prove
def test_peer_servers_are_measured() -> None:
    if shutil.which("h2load") is None:
        pytest.skip("h2load makes the load, and is not here (Debian: apt-get install nghttp2-client)")
    command = [sys.executable, "-m", "benchmarks.peer_servers", "--rounds", "1", "--seconds", "1"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1_200, check=False)
    assert ran.returncode == 0, ran.stderr
    print(ran.stdout)
    for contender in CONTENDERS:
        protocol = contender.protocol.title
        for cells in (protocol, f"{protocol.partition(',')[0]} | 80%"):
            assert f"| {contender.name} | {cells} |" in ran.stdout or "missing: " in ran.stdout


@pytest.mark.prove
def test_registry_size_is_measured(tmp_path: Path) -> None:
    lab = Lab(folder=tmp_path, engine="native")
    results = registry_size.measure(lab, rounds=1, to_list=1_200, to_start=1_500)
    assert [result.key for result in results] == list(registry_size.GOALS)
    assert all(result.median > 0 for result in results)


@pytest.mark.prove
def test_servers_behind_envoy_are_measured() -> None:
    if shutil.which("h2load") is None:
        pytest.skip("h2load makes the load, and is not here (Debian: apt-get install nghttp2-client)")
    command = [sys.executable, "-m", "benchmarks.edge", "--rounds", "1", "--seconds", "1", "--watchers", "20"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert ran.returncode == 0, ran.stderr
    for words in ("1 server: ", "Envoy, 1 server: ", "Envoy, 2 servers: ", "registrations, SQLite: ", "watchers: "):
        assert words in ran.stdout
