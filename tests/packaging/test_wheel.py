"""The wheel, installed alone and with each extra alone: what needs an extra works with it, and names it without."""

import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable, Iterator
from email.parser import Parser
from pathlib import Path

import pytest
from forwardpass import __version__
from forwardpass.extras import EXTRAS

from tests.support.isolated_install import IsolatedInstall, applicable
from tests.support.server_process import READY, ServerProcess

ROOT = Path(__file__).parents[2]
CLIENT = "from forwardpass.cli import main; main()"
SERVER = "from forwardpass_server.cli import main; main()"
PREDICT = """
import importlib, sys, forwardpass
for package in sys.argv[2:]:
    importlib.import_module(package)
with forwardpass.Client(sys.argv[1]) as client:
    print(forwardpass.__version__, client.predict("article-linear", [2, 3]).outputs.tolist())
"""
FIND = "import importlib.util, sys; print([name for name in sys.argv[1:] if importlib.util.find_spec(name)])"

NEEDS: dict[str, tuple[str, list[str], str, str]] = {
    "command line": ("", ["--help"], "the command line", "cli"),
    "ONNX export": ("cli", ["export", "article-linear", "--to", "x.onnx"], "an ONNX model", "onnx"),
    "page": ("cli", ["view"], "forwardpass view", "view"),
    "ONNX import": ("cli", ["import", "{empty}.onnx", "--name", "x"], "an ONNX model", "onnx"),
}
"""The extra that is installed, the command, and the extra that the command names as missing."""


@pytest.fixture(scope="session", params=["native"])
def engine(request: pytest.FixtureRequest) -> str:
    """One engine is enough: the client is what is tried."""
    return str(request.param)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, engine: str) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server"), "--engine", engine) as process:
        yield process


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def requirements_of(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return Parser().parsestr(archive.read(name).decode()).get_all("Requires-Dist") or []


@pytest.fixture(scope="module")
def install(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], IsolatedInstall]:
    """Install the wheel with one extra, or with none for an empty name; each once."""
    made: dict[str, IsolatedInstall] = {}
    unpacked = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)

    def install(extra: str) -> IsolatedInstall:
        if extra not in made:
            required = [str(requirement).split(";")[0] for requirement in applicable(requirements_of(wheel), {extra})]
            made[extra] = IsolatedInstall(tmp_path_factory.mktemp(extra or "alone"), unpacked, required)
        return made[extra]

    return install


def test_the_wheel_has_the_version_and_both_packages(wheel: Path) -> None:
    assert wheel.name == f"forwardpass-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    tops = {name.split("/")[0] for name in names}
    static = Path("client/forwardpass/view/static")
    page = {str(file.relative_to(ROOT / "client")) for file in (ROOT / static).rglob("*") if file.is_file()}
    assert page
    assert page <= names
    assert not any("node_modules" in name or name.startswith("page/") for name in names)
    assert tops == {"forwardpass", "forwardpass_server", f"forwardpass-{__version__}.dist-info"}


@pytest.mark.parametrize("extra", ["", *EXTRAS])
def test_an_extra_has_its_packages_and_the_client_predicts(
    extra: str, install: Callable[[str], IsolatedInstall], server: ServerProcess
) -> None:
    ended = install(extra).run(PREDICT, server.address, *EXTRAS.get(extra, ()))
    assert ended.stdout == f"{__version__} [[9.0]]\n", ended.stderr


def test_the_client_alone_has_no_package_of_an_extra(install: Callable[[str], IsolatedInstall]) -> None:
    packages = [package for extra in EXTRAS.values() for package in extra]
    assert install("").run(FIND, *packages).stdout == "[]\n"


@pytest.mark.parametrize(("installed", "arguments", "subject", "extra"), NEEDS.values(), ids=NEEDS)
def test_a_command_names_the_extra_that_it_needs(
    installed: str,
    arguments: list[str],
    subject: str,
    extra: str,
    install: Callable[[str], IsolatedInstall],
    server: ServerProcess,
    tmp_path: Path,
) -> None:
    (tmp_path / "empty.onnx").touch()
    (tmp_path / "empty.keras").touch()
    given = [text.replace("{empty}", str(tmp_path / "empty")) for text in arguments]
    ended = install(installed).run(CLIENT, *(["--target", server.address] if installed else []), *given)
    assert ended.stderr.startswith(f"forwardpass: {subject} needs the extra `{extra}`, whose "), ended.stderr
    assert ended.stderr.endswith(f" not installed; pip install 'forwardpass[{extra}]'\n")
    assert ended.returncode == 2


def test_parquet_is_named_too(install: Callable[[str], IsolatedInstall], server: ServerProcess) -> None:
    command = ["--target", server.address, "predict", "article-linear", "--csv", "x.parquet", "--out", "-"]
    ended = install("cli").run(CLIENT, *command)
    assert "pip install 'forwardpass[parquet]'" in ended.stderr
    assert ended.returncode in {1, 2}


class TestServer:
    def test_without_its_extra(self, install: Callable[[str], IsolatedInstall]) -> None:
        ended = install("").run(SERVER, "serve")
        assert ended.stderr.startswith("forwardpass-server: forwardpass-server needs the extra `server`, whose "), (
            ended.stderr
        )
        assert ended.stderr.endswith(" not installed; pip install 'forwardpass[server]'\n")
        assert ended.returncode == 2

    def test_with_its_extra_alone(self, install: Callable[[str], IsolatedInstall], tmp_path: Path) -> None:
        flags = ["--listen", "127.0.0.1:0", "--database", f"sqlite:///{tmp_path / 'registry.db'}", "--lame-duck", "0"]
        with install("server").start(SERVER, "serve", *flags) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith(READY), process.communicate()
            address = line.removeprefix(READY).strip()
            assert install("").run(PREDICT, address).stdout == f"{__version__} [[9.0]]\n"
            process.terminate()
            assert process.wait(60) == 0

    @pytest.mark.parametrize(
        ("flags", "extra"),
        [
            (["--rest-listen", "127.0.0.1:0"], "rest"),
            (["--metrics-listen", "127.0.0.1:0"], "metrics"),
            (["--view-listen", "127.0.0.1:0"], "view"),
            (["--database", "postgresql:///x"], "postgres"),
        ],
        ids=["rest", "metrics", "view", "postgres"],
    )
    def test_a_setting_names_the_extra_that_it_needs(
        self, flags: list[str], extra: str, install: Callable[[str], IsolatedInstall], tmp_path: Path
    ) -> None:
        database = ["--database", f"sqlite:///{tmp_path / 'registry.db'}"]
        ended = install("server").run(SERVER, "serve", "--listen", "127.0.0.1:0", *database, *flags)
        assert f"pip install 'forwardpass[{extra}]'" in ended.stderr
        assert ended.returncode == 2


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    venv.create(tmp_path / "venv", with_pip=True, symlinks=True)
    return tmp_path / "venv" / "bin"


@pytest.mark.prove
@pytest.mark.parametrize("extra", ["", *EXTRAS])
def test_pip_installs_the_wheel(extra: str, wheel: Path, environment: Path, server: ServerProcess) -> None:
    """As users do it, by pip into an environment of its own; needs a package index."""
    requirement = f"{wheel}[{extra}]" if extra else str(wheel)
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([environment / "python", "-m", "pip", "install", "-qq", requirement], check=True, env=clean)
    command = [str(environment / "python"), "-c", PREDICT, server.address, *EXTRAS.get(extra, ())]
    subprocess.run(command, check=True, env=clean, timeout=120)
    command = [str(environment / "forwardpass"), "--version"]
    printed = subprocess.run(command, capture_output=True, text=True, env=clean, check=False)
    assert (printed.stdout == f"forwardpass {__version__}\n") == (extra == "cli")
    assert printed.returncode == (0 if extra == "cli" else 2)
