"""An import says which rows it has computed and judged; the rows are computed in parts."""

import logging
from typing import Any

import numpy as np
import pytest
from forwardpass.cli.import_progress import import_progress
from forwardpass.importers import import_model
from sklearn.linear_model import LinearRegression

ROWS = np.arange(20.0).reshape(10, 2)
MODEL = LinearRegression().fit(ROWS, np.outer(ROWS[:, 0], np.ones(2_000)))
STEPS = ["compute by scikit-learn", "compute the network"]


def test_steps_are_reported_until_all_their_rows_are_done() -> None:
    reports: list[tuple[str, int, int]] = []
    import_model(MODEL, rows=ROWS, progress=lambda *report: reports.append(report))
    for step in STEPS:
        done = [(count, total) for name, count, total in reports if name.startswith(step)]
        assert done == [(500, 1_010), (1_000, 1_010), (1_010, 1_010)]


def test_the_log_has_the_progress_where_it_is_wanted(caplog: pytest.LogCaptureFixture) -> None:
    import_model(MODEL)
    assert not caplog.records
    with caplog.at_level(logging.DEBUG, "forwardpass.importers"):
        import_model(MODEL)
    assert "compute the network: 500 of 1000 rows" in caplog.messages


def test_the_command_prints_lines_after_some_time_where_there_is_no_terminal(capsys: Any) -> None:
    with import_progress() as report:
        report("compute the network", 500, 1_000)
    assert capsys.readouterr() == ("", "")
    with import_progress(seconds=0) as report:
        report("compute the network", 500, 1_000)
    assert capsys.readouterr() == ("", "compute the network: 500 of 1,000 rows\n")
