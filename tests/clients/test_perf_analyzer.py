"""perf_analyzer, Triton's load generator: it describes, validates and measures this server as it does Triton."""

import csv
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.clients.environments import perf_analyzer
from tests.clients.place import Place, two_hidden

STABLE = ["--stability-percentage", "999", "--max-trials", "50"]
"""Any measurement will do: what is shown is that there is one."""

# Not by --request-count: perf_analyzer 2.60 then sometimes waits for ever, although all its requests are completed.
COUNTED = ["--measurement-mode", "count_windows", "--measurement-request-count", "100", *STABLE]
TIMED = ["--measurement-interval", "500", *STABLE]
SWEEP = ["--concurrency-range", "1:16:5", *TIMED]

RUNS: dict[str, tuple[str, list[str], set[str]]] = {
    "gRPC": ("grpc", ["--concurrency-range", "4", *COUNTED], {"4"}),
    "HTTP": ("http", ["--concurrency-range", "4", *COUNTED], {"4"}),
}
LONG_RUNS: dict[str, tuple[str, list[str], set[str]]] = {
    "gRPC, a sweep": ("grpc", SWEEP, {"1", "6", "11", "16"}),
    "gRPC, asynchronous": ("grpc", ["--async", *SWEEP], {"1", "6", "11", "16"}),
    "gRPC in streams, a sweep": ("grpc", ["--streaming", *SWEEP], {"1", "6", "11", "16"}),
    "gRPC, 16 rows in each call": ("grpc", ["-b", "16", "--concurrency-range", "2", *TIMED], {"2"}),
    "gRPC, compressed": ("grpc", ["--grpc-compression-algorithm", "gzip", "--concurrency-range", "2", *TIMED], {"2"}),
    "gRPC, at a rate": ("grpc", ["--request-rate-range", "50:100:50", *TIMED], {"50", "100"}),
    "HTTP, a sweep": ("http", SWEEP, {"1", "6", "11", "16"}),
    "HTTP, asynchronous": ("http", ["--async", "--concurrency-range", "8", *TIMED], {"8"}),
    "HTTP, JSON": (
        "http",
        ["--input-tensor-format", "json", "--output-tensor-format", "json", "--concurrency-range", "2", *TIMED],
        {"2"},
    ),
}


class Analyzer:
    """Runs perf_analyzer against a server."""

    def __init__(self, command: list[str], place: Place, folder: Path) -> None:
        self._command = command
        self._place = place
        self._folder = folder

    def run(self, protocol: str, options: list[str], data: Any) -> subprocess.CompletedProcess[str]:
        """Measure with rows and the outputs that they must give."""
        file = self._folder / "data.json"
        file.write_text(json.dumps(data))
        address = {"grpc": self._place.grpc, "http": self._place.rest}[protocol]
        where = ["-m", "article-2-hidden", "-i", protocol, "-u", address, "--input-data", str(file)]
        report = ["-f", str(self._folder / "report.csv"), "--verbose-csv"]
        return subprocess.run(
            [*self._command, *where, *report, *options],
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def measured(self, protocol: str, options: list[str], data: Any) -> dict[str, float]:
        """Measure; return the inferences in a second, by concurrency or by rate."""
        ran = self.run(protocol, options, data)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert "error" not in ran.stdout + ran.stderr
        rows = list(csv.DictReader((self._folder / "report.csv").read_text().splitlines()))
        # The server's own statistics are read before and after.
        assert all(int(row["Server Compute Infer"]) > 0 for row in rows)
        return {next(iter(row.values())): float(row["Inferences/Second"]) for row in rows}


@pytest.fixture
def analyzer(environment_of: Callable[[str], Path], place: Path, tmp_path: Path) -> Analyzer:
    return Analyzer(perf_analyzer(environment_of("perf_analyzer")), Place.load(place), tmp_path)


def customers() -> dict[str, Any]:
    """Rows of the article's network and the outputs that they must give, as perf_analyzer reads them.

    They are whole numbers: it reads JSON's fractions less exactly than it compares.
    """
    rows = np.random.default_rng(5).integers(-9, 10, size=(32, 2)).astype(np.float64)
    columns = {"data": ("inputs", rows), "validation_data": ("outputs", two_hidden(rows))}
    return {
        part: [{tensor: {"content": row, "shape": [len(row)]}} for row in numbers.tolist()]
        for part, (tensor, numbers) in columns.items()
    }


@pytest.mark.parametrize("run", RUNS)
def test_a_measurement_whose_answers_are_checked(analyzer: Analyzer, run: str) -> None:
    protocol, options, categories = RUNS[run]
    figures = analyzer.measured(protocol, options, customers())
    assert figures.keys() == categories
    assert min(figures.values()) > 0


def test_answers_are_checked(analyzer: Analyzer) -> None:
    data = customers()
    data["validation_data"][0]["outputs"]["content"][0] += 1
    ran = analyzer.run("grpc", RUNS["gRPC"][1], data)
    assert ran.returncode != 0
    assert "Output doesn't match expected output" in ran.stdout + ran.stderr


@pytest.mark.prove
@pytest.mark.parametrize("run", LONG_RUNS)
def test_every_kind_of_load(analyzer: Analyzer, place: Path, run: str, capsys: pytest.CaptureFixture[str]) -> None:
    protocol, options, categories = LONG_RUNS[run]
    data = customers()
    if "-b" in options:
        # It compares the output of a whole batch with that of one row.
        del data["validation_data"]
    figures = analyzer.measured(protocol, options, data)
    assert figures.keys() == categories
    assert min(figures.values()) > 0
    engine = Place.load(place).engine
    shown = ", ".join(f"{category}: {figures[category]:.0f}" for category in sorted(figures, key=float))
    with capsys.disabled():
        print(f"\nengine {engine}, {run}: inferences/s at {shown}")
