"""The built page: written into the package, or compared with what its sources give.

    python -m tests.packaging.page            # build client/page into client/forwardpass/view/static
    python -m tests.packaging.page --check    # lint, types and tests of the sources, and the comparison

A copy of the sources is built in a folder of its own, with the packages of the lock, so that nothing else that is on
the machine makes a difference.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.support.environments import ROOT, Environment, NotInstallableError, made, npm

SOURCES: Final = ROOT / "client" / "page"
BUILT: Final = ROOT / "client" / "forwardpass" / "view" / "static"
OLDEST_NODE: Final = (20, 19)

_LISTS: Final = (SOURCES / "package.json", SOURCES / "package-lock.json")
PACKAGES: Final = Environment(folder=ROOT / ".venv-page", files=_LISTS, fill=npm(*_LISTS))


def main(arguments: Sequence[str]) -> str | None:
    """Build or compare; return the sentence of an error, or None."""
    try:
        packages = _packages()
    except NotInstallableError as error:
        return _without_node(error, is_check="--check" in arguments)
    with tempfile.TemporaryDirectory() as folder:
        copy, built = Path(folder, "page"), Path(folder, "static")
        shutil.copytree(SOURCES, copy, ignore=shutil.ignore_patterns("node_modules"))
        (copy / "node_modules").symlink_to(packages / "node_modules")
        if "--check" in arguments:
            _npm(copy, "run", "--silent", "check")
        _npm(copy, "run", "--silent", "build", "--", "--logLevel", "warn", "--emptyOutDir", "--outDir", str(built))
        if "--check" in arguments:
            return differences(BUILT, built)
        shutil.rmtree(BUILT, ignore_errors=True)
        shutil.copytree(built, BUILT)
    return None


def differences(committed: Path, built: Path) -> str | None:
    """Return a sentence that names the files that differ between two folders, or None."""
    before, after = _contents(committed), _contents(built)
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return f"the built page is not that of its sources; run `make page`: {', '.join(names)}" if names else None


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def _packages() -> Path:
    """Return the folder with the packages.

    Raises:
        NotInstallableError: Node is missing or too old, or npm cannot fetch the packages.
    """
    try:
        version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()  # noqa: S607 - of the path
    except FileNotFoundError:
        raise NotInstallableError("node is not on this machine") from None
    if tuple(map(int, version.removeprefix("v").split(".")))[:2] < OLDEST_NODE:
        raise NotInstallableError(f"node is {version}; needs {'.'.join(map(str, OLDEST_NODE))} or newer")
    return made(PACKAGES)


def _without_node(error: NotInstallableError, *, is_check: bool) -> str | None:
    if not is_check:
        return f"the page cannot be built: {error}"
    print(f"the built page is not compared with its sources: {error}", file=sys.stderr)
    return None


def _npm(folder: Path, *arguments: str) -> None:
    environment = {**os.environ, "NO_COLOR": "1", "NODE_ENV": "production"}
    if subprocess.run(["npm", *arguments], cwd=folder, env=environment, check=False).returncode:  # noqa: S607 - of the path
        raise SystemExit(f"npm {' '.join(arguments)} failed")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
