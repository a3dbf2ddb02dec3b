"""Run the tests on other Pythons: `python -m tests.packaging.pythons [--coverage] 3.12 3.13 -- tests/client`.

Each Python has an environment of its own, `.venv-pythons-X.Y`, made once and again after a change of pyproject.toml. A
Python that the machine does not have is left out, and said so. With `--coverage` only the newest one
runs, and prints what the tests cover: from 3.12 on, Python counts lines at almost no cost.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COVERAGE = ROOT / "build" / "coverage"
EXTRAS = "cli,metrics,onnx,postgres,rest,server"


def candidates(version: str) -> Iterator[Path]:
    """Yield where a Python of this version may be: on the path, or one of pyenv's."""
    found = shutil.which(f"python{version}")
    if found is not None:
        yield Path(found)
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from sorted(root.glob(f"versions/{version}.*/bin/python{version}"), reverse=True)


def interpreter(version: str) -> Path | None:
    """Return a Python of this version that starts, or None."""
    for path in candidates(version):
        # pyenv's shims are there and do not start where the version is not chosen.
        printed = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
        if printed.returncode == 0 and printed.stdout.startswith(f"Python {version}."):
            return path
    return None


def environment(version: str, python: Path) -> Path:
    """Return the Python of an environment with this project and its tests' packages; make it where needed."""
    folder = ROOT / f".venv-pythons-{version}"
    installed, own = folder / "installed", folder / "bin" / "python"
    if not installed.exists() or installed.stat().st_mtime < (ROOT / "pyproject.toml").stat().st_mtime:
        subprocess.run([python, "-m", "venv", "--clear", folder], check=True)
        pip = [str(own), "-m", "pip", "install", "-qq"]
        subprocess.run([*pip, "--upgrade", "pip>=25.1"], check=True)
        subprocess.run(
            [*pip, "--editable", f"{ROOT}[{EXTRAS}]", "--group", f"{ROOT / 'pyproject.toml'}:test"], check=True
        )
        installed.touch()
    return own


def run(python: Path, arguments: Sequence[str], *, coverage: bool) -> int:
    """Run pytest by a Python of an environment; return its exit code."""
    if not coverage:
        return subprocess.run([python, "-m", "pytest", *arguments], cwd=ROOT, check=False).returncode
    shutil.rmtree(COVERAGE, ignore_errors=True)
    COVERAGE.mkdir(parents=True)
    measured = [str(python), "-m", "coverage", "run", "-m", "pytest", *arguments]
    ended = subprocess.run(measured, cwd=ROOT, env={**os.environ, "COVERAGE_CORE": "sysmon"}, check=False)
    for report in (["combine", "--quiet"], ["report"]):
        subprocess.run([python, "-m", "coverage", *report], cwd=ROOT, check=True)
    return ended.returncode


def main(versions: Sequence[str], arguments: Sequence[str], *, coverage: bool) -> int:
    """Run pytest on each version; return the exit code of the first that failed, or 0."""
    found = {version: python for version in versions if (python := interpreter(version))}
    for version in sorted({*versions} - {*found}):
        print(f"Python {version} is not on this machine: left out", flush=True)
    if coverage:
        found = dict([*found.items()][-1:])
    code = 0
    for version, python in found.items():
        print(f"Python {version}: {python}", flush=True)
        code = run(environment(version, python), arguments, coverage=coverage) or code
    return code


if __name__ == "__main__":
    place = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    given = sys.argv[1:place]
    versions = [version for version in given if version != "--coverage"]
    raise SystemExit(main(versions, sys.argv[place + 1 :], coverage="--coverage" in given))
