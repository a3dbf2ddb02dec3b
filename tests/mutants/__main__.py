"""Test the tests by mutants of the code: `make mutants`, or `python -m tests.mutants registry --count 100`.

cosmic-ray makes the mutants, each with one change, for example `<` instead of `<=`. A mutant that no test notices
survives: a test is missing, or the change means nothing. Which tests reach a line is measured first, and a mutant of
a line meets these alone. Prints a line of figures for each area, and the survivors.
"""

import argparse
import difflib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import coverage

from tests.mutants.areas import AREAS, Area
from tests.mutants.environments import COSMIC_RAY
from tests.mutants.runner import OUTPUT, Run, start
from tests.support.environments import ROOT, made

FOLDER: Final = ROOT / "build" / "mutants"


def main() -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(prog=f"python -m {__package__}", description=__doc__)
    parser.add_argument("area", nargs="*", help=f"these alone, of {', '.join(AREAS)}")
    parser.add_argument("--count", type=int, default=60, help="mutants of each area")
    parser.add_argument("--seed", type=int, default=1, help="other seeds draw other mutants")
    parser.add_argument("--jobs", type=int, default=2, help="mutants that are tested at the same time")
    options = parser.parse_args()
    if unknown := set(options.area) - set(AREAS):
        parser.error(f"no area is called {', '.join(sorted(unknown))}; there are {', '.join(AREAS)}")
    python = made(COSMIC_RAY) / "bin" / "python"
    trees = [_copy(FOLDER / f"tree-{number}") for number in range(options.jobs)]
    for name in options.area or AREAS:
        _report(name, _test(AREAS[name], python, trees, options.count, options.seed))
    return 0


def _copy(folder: Path) -> Path:
    """Copy what is under version control, and what is not yet but will be."""
    shutil.rmtree(folder, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607 - git is on the path
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


def _test(area: Area, python: Path, trees: Sequence[Path], count: int, seed: int) -> list[Run]:
    """Test mutants of an area, one at a time in each tree."""
    files = sorted({str(path.relative_to(ROOT)) for pattern in area.modules for path in ROOT.glob(pattern)})
    command: list[str | Path] = [python, "-m", "tests.mutants.inside", str(count), str(seed), *files]
    drawn = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    waiting = [json.loads(line) for line in drawn.stdout.splitlines()]
    reached = _reached(area, trees[0])
    control = start(trees[0], {**waiting[0], "code": (ROOT / waiting[0]["file"]).read_text()}, area.tests)
    while not control.is_over():
        time.sleep(0.05)
    if not control.survived:
        raise SystemExit(f"the tests fail without a mutant:\n{(trees[0] / OUTPUT).read_text()[-3000:]}")
    free, running, done = list(trees), list[Run](), list[Run]()
    while waiting or running:
        while free and waiting:
            mutant = waiting.pop()
            tests = reached.get(mutant["file"], {}).get(mutant["line"]) or area.tests
            running.append(start(free.pop(), mutant, tests))
        time.sleep(0.05)
        for run in [run for run in running if run.is_over()]:
            running.remove(run)
            free.append(run.tree)
            done.append(run)
    return done


def _reached(area: Area, tree: Path) -> Mapping[str, Mapping[int, list[str]]]:
    """Return which tests reach each line of each file; those that a server's process reaches are not known."""
    data = tree / "coverage-data"
    paths = os.pathsep.join(str(tree / part) for part in ("", "client", "server"))
    measure = ["--rcfile=", f"--data-file={data}", f"--source={tree / 'client'},{tree / 'server'}"]
    options = ["-p", "tests.mutants.contexts", "-p", "no:cacheprovider", "-q", "--hypothesis-seed=0"]
    ran = subprocess.run(
        [sys.executable, "-m", "coverage", "run", *measure, "-m", "pytest", *options, *area.tests],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise SystemExit(f"the tests fail without a mutant:\n{ran.stdout[-3000:]}{ran.stderr[-1000:]}")
    measured = coverage.CoverageData(str(data))
    measured.read()
    return {
        str(Path(file).relative_to(tree)): {
            line: sorted(filter(None, contexts)) for line, contexts in measured.contexts_by_lineno(file).items()
        }
        for file in measured.measured_files()
    }


def _report(name: str, runs: Sequence[Run]) -> None:
    survived = [run for run in runs if run.survived]
    score = 1 - len(survived) / max(len(runs), 1)
    print(f"{name:14} {len(runs):>4} mutants {len(runs) - len(survived):>4} noticed {score:>6.1%}", flush=True)
    for run in sorted(survived, key=lambda run: (run.mutant["file"], run.mutant["line"])):
        print(f"  {run.mutant['file']}:{run.mutant['line']} {run.mutant['operator']}")
        print("".join(f"    {line}\n" for line in _changed(run.mutant)), end="", flush=True)


def _changed(mutant: Mapping[str, Any]) -> list[str]:
    before = (ROOT / mutant["file"]).read_text().splitlines()
    lines = difflib.unified_diff(before, mutant["code"].splitlines(), n=0, lineterm="")
    return [line for line in lines if line[:3] not in {"---", "+++"} and line[:1] in "+-"]


if __name__ == "__main__":
    sys.exit(main())
