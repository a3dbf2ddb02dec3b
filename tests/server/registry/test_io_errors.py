"""I/O errors at each system call of each operation: typed errors, and changes that are there wholly or not at all."""

import errno
import json
from pathlib import Path

import pytest

from tests.support.faults.registry_calls import COMMANDS, WRITES
from tests.support.faults.shim import Call, Faults, environment
from tests.support.python_process import start_python

CODE = "from tests.support.faults.registry_calls import main; main()"
GROUPS = {
    **{name: [name] for name in ("register a version", "register a network")},
    "aliases": ["set an alias", "roll back", "delete an alias"],
    "deletions": ["delete a version", "delete a network"],
    "shadows and profiles": ["set a shadow", "clear a shadow", "set a profile"],
    "service, reading, opening": ["take out of service", "load a version", "open"],
    "create": ["create"],
    **{name: [name] for name in COMMANDS},
}
"""Operations whose runs together take about a minute on a quiet machine."""


def test_every_operation_is_in_a_group() -> None:
    names = [name for group in GROUPS.values() for name in group]
    assert sorted(names) == sorted([*WRITES, *COMMANDS, "open", "create"])


@pytest.fixture
def watched(folder: Path) -> Path:
    """An empty folder, whose files have faults in processes with the variables of `variables`."""
    watched = folder / "watched"
    watched.mkdir()
    return watched


@pytest.fixture
def faults(folder: Path) -> Faults:
    return Faults(folder / "control")


@pytest.fixture
def variables(faults: Faults, folder: Path, watched: Path) -> dict[str, str]:
    del faults  # its file is there
    return environment(folder / "control", folder=watched)


@pytest.mark.prove
@pytest.mark.parametrize("names", GROUPS.values(), ids=GROUPS)
def test_an_error_at_every_call(variables: dict[str, str], names: list[str]) -> None:
    with start_python(CODE, *names, environment=variables) as process:
        out, error = process.communicate(timeout=1_200)
    assert process.returncode == 0, error
    figures = json.loads(out.splitlines()[-1])
    print(
        f"{', '.join(names)}: {figures['runs']} runs, each with an I/O error at another call: {figures['errors']} "
        f"typed errors, {figures['applied']} of them though the change was made; torn 0, lost 0"
    )
    assert figures["errors"] > 0


@pytest.mark.prove
def test_the_library_fails_the_call_that_is_meant(
    faults: Faults, variables: dict[str, str], folder: Path, watched: Path
) -> None:
    """A control: errors that never come would prove everything."""
    code = "import os, sys; [os.write(os.open(path, os.O_RDWR | os.O_CREAT), b'x' * 10) for path in sys.argv[1:]]"
    for number, (expected, written) in {1: ("Input/output error", 0), 2: ("", 10)}.items():
        faults.arm(number, Call.WRITE, errno.EIO)
        with start_python(code, watched / "in", folder / "out", environment=variables) as process:
            _, error = process.communicate(timeout=60)
        assert expected in error
        assert (watched / "in").stat().st_size == written
        assert faults.failed == (number == 1)
