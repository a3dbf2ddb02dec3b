"""Environments of software that cannot share ours: clients, frameworks. Each is made once, where it is missing."""

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


class NotInstallableError(Exception):
    """What an environment needs cannot be had on this machine; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What an environment is made of.

    Attributes:
        folder: Where it is, for example `.venv-clients-triton` in `ROOT`.
        files: What says which packages it has; it is made anew when they change.
        fill: Puts the packages into the empty folder.
    """

    folder: Path
    files: tuple[Path, ...]
    fill: Callable[[Path], None]


def made(environment: Environment) -> Path:
    """Return the folder of an environment, which is made if need be; another process that makes it is waited for.

    Raises:
        NotInstallableError: The packages cannot be had here.
    """
    with _alone(environment.folder):
        return _made(environment)


def python(*requirements: Path) -> Callable[[Path], None]:
    """Return what fills a folder with a virtual environment of a pinned list of packages."""

    def fill(folder: Path) -> None:
        run(sys.executable, "-m", "venv", "--without-pip", folder)
        files = [word for file in requirements for word in ("--requirement", file)]
        run(*PIP, "--python", folder, "install", "-qq", "--no-compile", *files)

    return fill


def npm(*files: Path) -> Callable[[Path], None]:
    """Return what fills a folder with the Node packages of a `package.json` and its lock."""

    def fill(folder: Path) -> None:
        for file in files:
            shutil.copy(file, folder)
        run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", at=folder)

    return fill


PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")


def run(*command: str | Path, at: Path = ROOT) -> str:
    """Run a command; return what it prints."""
    return subprocess.run(command, cwd=at, check=True, capture_output=True, text=True, timeout=1_200).stdout


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _made(environment: Environment) -> Path:
    folder = environment.folder
    expected = b"".join(file.read_bytes() for file in environment.files)
    stamp = folder / "installed"
    if stamp.exists() and stamp.read_bytes() == expected:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        environment.fill(folder)
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout).strip().splitlines()
        raise NotInstallableError(f"{error.cmd[0]} failed: {said[-1] if said else error.returncode}") from error
    except FileNotFoundError as error:
        raise NotInstallableError(f"{error.filename} is not on this machine") from error
    stamp.write_bytes(expected)
    return folder
