"""What the package shows to the world, and what it costs to import."""

import subprocess
import sys
from pathlib import Path

import forwardpass
import pytest

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
        assert getattr(forwardpass, name).__name__ == name


def test_nothing_but_modules_is_unlisted() -> None:
    module = type(sys)
    names = {name for name, value in vars(forwardpass).items() if not isinstance(value, module)}
    assert {name for name in names if not name.startswith("_")} == set(forwardpass.__all__)


def test_importing_is_quick(imported: tuple[float, set[str]]) -> None:
    assert imported[0] < 0.6


@pytest.mark.parametrize("module", ["forwardpass_server", "pandas", "sklearn", "scipy", "torch", "typer", "rich"])
def test_importing_leaves_out(module: str, imported: tuple[float, set[str]]) -> None:
    assert module not in imported[1]


def test_types_are_declared() -> None:
    assert Path(forwardpass.__file__).with_name("py.typed").exists()
