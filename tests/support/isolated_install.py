"""Folders of packages as pip would install them, made of links to what is installed here; no network, no copies."""

import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path, PurePath
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


class IsolatedInstall:
    """A folder with some distributions and what they require, and Python processes that see nothing else.

    Args:
        folder: An empty folder.
        unpacked: A folder with the content of our own wheel, which installs share: Python compiles it once.
        requirements: The wheel's own requirements, of the extras that are installed.
    """

    def __init__(self, folder: Path, unpacked: Path, requirements: Iterable[str]) -> None:
        self._folder = folder
        for path in unpacked.iterdir():
            (folder / path.name).symlink_to(path)
        for required in closure(requirements):
            _link(required, folder)

    def run(self, code: str, *arguments: str, timeout: float = 60.0) -> "subprocess.CompletedProcess[str]":
        """Run Python code to its end."""
        return subprocess.run(
            self._command(code, *arguments), capture_output=True, text=True, timeout=timeout, check=False
        )

    def start(self, code: str, *arguments: str) -> "subprocess.Popen[str]":
        """Start Python code; stdout and stderr are pipes of text."""
        return subprocess.Popen(
            self._command(code, *arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def _command(self, code: str, *arguments: str) -> list[str]:
        # -I and -S leave out the environment and site-packages.
        path = f"import sys; sys.path.insert(0, {str(self._folder)!r})\n"
        return [sys.executable, "-I", "-S", "-c", path + code, *arguments]


def closure(requirements: Iterable[str]) -> list[Distribution]:
    """Return the installed distributions that requirements need, each once."""
    waiting = [Requirement(text) for text in requirements]
    extras: dict[str, set[str]] = {}
    found: dict[str, Distribution] = {}
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        requested = {"", *requirement.extras}
        if requested <= extras.get(name, set()):
            continue
        extras.setdefault(name, set()).update(requested)
        found[name] = installed = distribution(name)
        waiting += applicable(installed.requires or (), requested)
    return list(found.values())


def applicable(requirements: Iterable[str], extras: Iterable[str]) -> Iterator[Requirement]:
    """Yield those requirements that hold on this machine for one of the extras; "" is for none."""
    for text in requirements:
        requirement = Requirement(text)
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
            yield requirement


def _link(installed: Distribution, folder: Path) -> None:
    files = [PurePath(file) for file in installed.files or () if ".." not in file.parts]
    root = Path(str(installed.locate_file("")))
    _link_files(root, folder, [file for file in files if "__pycache__" not in file.parts])


def _link_files(root: Path, folder: Path, files: Iterable[PurePath]) -> None:
    """Link whole packages; of folders without `__init__.py`, which several distributions may share, each file."""
    tree: dict[str, Any] = {}
    for file in files:
        tree.setdefault(file.parts[0], []).append(PurePath(*file.parts[1:]))
    for name, inner in tree.items():
        if inner == [PurePath()] or PurePath("__init__.py") in inner:
            (folder / name).symlink_to(root / name)
        else:
            (folder / name).mkdir(exist_ok=True)
            _link_files(root / name, folder / name, inner)
