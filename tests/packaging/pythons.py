"""Run the tests on other Pythons: `python -m tests.packaging.pythons 3.12 3.13 -- tests/client`.

Each Python has an environment of its own, `.venv-pythons-X.Y`, made once and again after a change of pyproject.toml. A
Python that the machine does not have is left out, and said so. `tests.packaging.run` prints what the tests cover.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXTRAS = "cli,metrics,onnx,png,postgres,rest,server"


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


def main(versions: Sequence[str], arguments: Sequence[str]) -> int:
    """Run pytest on each version; return the exit code of the last that failed, or 0."""
    code = 0
    for version in versions:
        python = interpreter(version)
        if python is None:
            print(f"Python {version} is not on this machine: left out", flush=True)
            continue
        print(f"Python {version}: {python}", flush=True)
        tests: list[str | Path] = [environment(version, python), "-m", "tests.packaging.run", *arguments]
        code = subprocess.run(tests, cwd=ROOT, check=False).returncode or code
    return code


if __name__ == "__main__":
    place = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    raise SystemExit(main(sys.argv[1:place], sys.argv[place + 1 :]))
