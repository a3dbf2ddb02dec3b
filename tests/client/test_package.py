"""What the package shows to the world, and what it costs to import."""

import ast
import builtins
import subprocess
import sys
from pathlib import Path

import forwardpass
import pytest

from tests.support.fake_server import FakeServer

IMPORT = """
import sys, time
import forwardpass
print(time.process_time())
print(*sys.modules)
"""


@pytest.fixture(scope="module")
def imported() -> tuple[float, set[str]]:
    """The least CPU seconds of a process that imports the package, and the modules that it then has."""
    seconds = []
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", IMPORT], check=True, capture_output=True, text=True)
        took, modules = done.stdout.splitlines()
        seconds.append(float(took))
    return min(seconds), set(modules.split())


def test_public_names_are_sorted_and_there() -> None:
    assert forwardpass.__all__ == sorted(forwardpass.__all__)
    for name in forwardpass.__all__:
        value = getattr(forwardpass, name)
        assert not isinstance(value, type) or value.__name__ == name


@pytest.mark.parametrize("client", ["_client.py", "_async_client.py"])
def test_every_type_of_a_public_method_is_public(client: str) -> None:
    source = Path(forwardpass.__file__).with_name(client).read_text()
    (kind,) = (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef))
    methods = [node for node in kind.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    used = {
        name.id
        for method in methods
        if not method.name.startswith("_") or method.name == "__init__"
        for argument in [*method.args.args, *method.args.kwonlyargs, ast.arg("return", method.returns)]
        for name in ast.walk(argument.annotation or ast.Constant(None))
        if isinstance(name, ast.Name)
    }
    known = {*dir(builtins), "Any", "AsyncIterable", "AsyncIterator", "Iterable", "Iterator"}
    assert used - known <= set(forwardpass.__all__)


def test_nothing_but_modules_is_unlisted() -> None:
    module = type(sys)
    names = {name for name, value in vars(forwardpass).items() if not isinstance(value, module)}
    assert {name for name in names if not name.startswith("_")} == set(forwardpass.__all__)


def test_importing_is_quick(imported: tuple[float, set[str]]) -> None:
    assert imported[0] < 0.6


@pytest.mark.parametrize("module", ["forwardpass_server", "pandas", "sklearn", "scipy", "torch", "typer", "rich"])
def test_importing_leaves_out(module: str, imported: tuple[float, set[str]]) -> None:
    assert module not in imported[1]


WINDOWS = """
import importlib.abc, os, sys

# Others may use what they find; only what this package imports is tried.
import asyncio, concurrent.futures, multiprocessing, subprocess, tempfile
import google.protobuf, grpc, grpc.aio, numpy, pandas, pydantic, rich.progress, safetensors.numpy, typer

UNIX_ONLY = {"fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty"}

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in UNIX_ONLY:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

for name in UNIX_ONLY:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Missing())
for name in ("fork", "getuid", "mkfifo", "register_at_fork", "sched_getaffinity", "setpriority", "uname"):
    delattr(os, name)

from forwardpass import AsyncClient, Client, errors, spec
import forwardpass.cli.app, forwardpass.importers, forwardpass.exporters, forwardpass.compare, forwardpass.render

with Client(sys.argv[1], coalesce=True) as client:
    assert client.predict("article-linear", [2, 3]).outputs == 9
    assert len(client.predict("article-linear", [[2.0, 3.0]] * 3).outputs) == 3

async def main():
    async with AsyncClient(sys.argv[1]) as client:
        assert (await client.predict("article-linear", [2, 3])).outputs == 9

asyncio.run(main())
"""


def test_works_without_what_only_unix_has(fake: FakeServer) -> None:
    done = subprocess.run([sys.executable, "-c", WINDOWS, fake.address], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_types_are_declared() -> None:
    assert Path(forwardpass.__file__).with_name("py.typed").exists()
