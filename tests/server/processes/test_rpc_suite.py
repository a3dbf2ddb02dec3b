"""The RPC suite over servers of several processes: each of its tests runs as it is, or says why it cannot."""

import os
import re
import subprocess
import sys

import pytest

from tests.support.python_process import ROOT

pytestmark = [
    pytest.mark.prove,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a port cannot be shared fairly"),
]

PROCESSES = "2"
SUITE = ("tests/server/rpc", "tests/server/oip/test_service.py", "tests/server/metrics")
MIN_PASSED = 400
"""Far fewer would mean that the suite is skipped, not that it passes."""


def test_the_rpc_suite_over_several_processes(capsys: pytest.CaptureFixture[str]) -> None:
    """In a pytest of its own, since the servers of a session are shared by its tests."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["FORWARDPASS_SERVER_PROCESSES"] = PROCESSES
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", "--dist", "loadfile", *SUITE]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    summary = ended.stdout.rstrip().splitlines()[-1]
    with capsys.disabled():
        print(f"\nthe RPC suite over --processes {PROCESSES}: {summary}")
    assert ended.returncode == 0, ended.stdout[-20_000:] + ended.stderr[-5_000:]
    passed = re.search(r"(\d+) passed", summary)
    assert passed
    assert int(passed[1]) >= MIN_PASSED
