"""Run pytest with any arguments and print what the tests cover: `python -m tests.packaging.run tests/client`.

Lines are counted from Python 3.12 on, which does it at little cost (https://docs.python.org/3/library/sys.monitoring.html);
on 3.11 it would take half as long again, so the tests run without, and a sentence says so.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COVERAGE = ROOT / "build" / "coverage"


def main(arguments: Sequence[str]) -> int:
    """Run pytest by this Python; return its exit code."""
    if sys.version_info < (3, 12):
        ended = subprocess.run([sys.executable, "-m", "pytest", *arguments], cwd=ROOT, check=False)
        print("coverage is printed on Python 3.12 and newer: make test-pythons, or make test PYTHON=python3.12")
        return ended.returncode
    shutil.rmtree(COVERAGE, ignore_errors=True)
    COVERAGE.mkdir(parents=True)
    coverage = [sys.executable, "-m", "coverage"]
    environment = {**os.environ, "COVERAGE_CORE": "sysmon"}
    ended = subprocess.run([*coverage, "run", "-m", "pytest", *arguments], cwd=ROOT, env=environment, check=False)
    for report in (["combine", "--quiet"], ["report"]):
        subprocess.run([*coverage, *report], cwd=ROOT, check=True)
    return ended.returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
