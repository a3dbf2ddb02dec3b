"""Prove for each framework that its models and their networks compute the same: `make test-frameworks`.

Each framework is installed into a `.venv-frameworks-*` of its own. Prints the largest relative differences as the table
that docs/importing/measured.md has, and fails where a network is not near enough or the document lacks a row.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.frameworks import table
from tests.frameworks.cases import Figures
from tests.frameworks.environments import ENVIRONMENTS
from tests.support.environments import ROOT, NotInstallableError, made


def main() -> int:
    """Run the command line; return its exit code."""
    parser = _parser()
    options = parser.parse_args()
    if unknown := set(options.framework) - set(ENVIRONMENTS):
        parser.error(f"no framework is called {', '.join(sorted(unknown))}; there are {', '.join(ENVIRONMENTS)}")
    measured: list[str] = []
    faults = []
    print(table.HEAD, end="")
    for name in options.framework or ENVIRONMENTS:
        try:
            environment = made(ENVIRONMENTS[name])
            for figures in _measured(environment, name):
                measured.append(str(figures))
                print(measured[-1], flush=True)
            if not _proven(environment, name):
                faults.append(f"{name}: a proof failed, see above")
        except NotInstallableError as error:
            print(f"{name} is left out, since it cannot be installed here: {error}", file=sys.stderr)
        except subprocess.CalledProcessError:
            faults.append(f"{name}: a case failed, see above")
    if options.write_docs:
        table.write(measured)
    names = {framework for framework, _ in table.places(measured)}
    documented = [place for place in table.places(table.rows()) if place[0] in names]
    if sorted(documented) != sorted(table.places(measured)):
        faults.append(
            f"{table.DOCS.name} has other rows than these; to write them: python -m {__package__} --write-docs"
        )
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


def _measured(environment: Path, name: str) -> Iterator[Figures]:
    """Run a framework's cases in its environment; yield the figures of each as soon as they are there."""
    command: list[str | Path] = [environment / "bin" / "python", "-m", "tests.frameworks.inside", name]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            yield Figures(**json.loads(line))
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)


def _proven(environment: Path, name: str) -> bool:
    """Run a framework's other proofs, `prove_*.py`, in its environment."""
    files = sorted((ROOT / "tests" / "frameworks" / name).glob("prove_*.py"))
    options = ["-c", "tests/frameworks/inside.ini", "--rootdir", ".", "--noconftest"]
    command: list[str | Path] = [environment / "bin" / "python", "-m", "pytest", *options, *files]
    return not files or subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {__package__}", description=__doc__)
    parser.add_argument("framework", nargs="*", help=f"these alone, of {', '.join(ENVIRONMENTS)}")
    parser.add_argument("--write-docs", action="store_true", help=f"put the figures into {table.DOCS.name}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
