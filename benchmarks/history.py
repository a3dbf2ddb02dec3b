"""The record of a run as JSON, for comparison with later runs; `history.schema.json` describes it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks import machine
from benchmarks.peers import Timing
from benchmarks.plots import Plot
from benchmarks.table import Result

FORMAT: Final = "forwardpass.benchmark/1"
FOLDER: Final = Path(__file__).with_name("history")


def record(
    results: Sequence[Result],
    timings: Sequence[Timing],
    plots: Sequence[tuple[str, Plot]],
    **conditions: Any,
) -> dict[str, Any]:
    """Return a run as a JSON object; `conditions` are the engine and the options."""
    return {
        "format": FORMAT,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": machine.commit(),
        "machine": machine.describe(),
        "versions": machine.versions(),
        **conditions,
        "rows": [_row(result) for result in results],
        "peers": [asdict(timing) for timing in timings],
        "plots": {name: asdict(plot) for name, plot in plots},
    }


def write(run: Mapping[str, Any], path: Path | None) -> Path:
    """Write a run to a file, by default to the history; return the path."""
    if path is None:
        moment = datetime.fromisoformat(run["date"])
        path = FOLDER / f"{moment:%Y-%m-%dT%H%M%SZ}-{run['engine']}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(run, indent=1) + "\n")
    return path


def _row(result: Result) -> dict[str, Any]:
    common = {"row": result.row, "key": result.key, **asdict(result.goal)}
    if result.skipped:
        return {**common, "skipped": result.skipped}
    return {
        **common,
        "median": result.median,
        "min": min(result.values),
        "max": max(result.values),
        "verdict": result.verdict,
        "rounds": [asdict(finding) for finding in result.findings],
    }
