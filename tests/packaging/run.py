"""Run pytest with any arguments and print what the tests cover: `python -m tests.packaging.run tests/client`.

Modules are kept compiled, as those of an installed package are, whatever PYTHONDONTWRITEBYTECODE says: the tests start
hundreds of processes.

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
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    if sys.version_info < (3, 12):
        pytest = [sys.executable, "-m", "pytest", *arguments]
        ended = subprocess.run(pytest, cwd=ROOT, env=environment, check=False)
        print("coverage is printed on Python 3.12 and newer: make test-pythons, or make test PYTHON=python3.12")
        return ended.returncode
    shutil.rmtree(COVERAGE, ignore_errors=True)
    COVERAGE.mkdir(parents=True)
    coverage = [sys.executable, "-m", "coverage"]
    environment["COVERAGE_CORE"] = "sysmon"
    ended = subprocess.run([*coverage, "run", "-m", "pytest", *arguments], cwd=ROOT, env=environment, check=False)
    for report in (["combine", "--quiet"], ["report"]):
        subprocess.run([*coverage, *report], cwd=ROOT, check=True)
    return ended.returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
