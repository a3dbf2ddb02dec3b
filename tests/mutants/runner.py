"""Runs the tests of a mutant in a fork of this process, which has imported what all tests need, but not our code."""

import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc  # noqa: F401 - as the others, so that each fork has it
import hypothesis
import numpy as np  # noqa: F401
import pydantic  # noqa: F401
import pytest
import sqlalchemy  # noqa: F401

MAX_DATA_BYTES: Final = 4 * 2**30
"""What a process may allocate: a mutant that gathers things for ever would take the memory of the machine."""

MAX_CPU_SECONDS: Final = 90
MAX_SECONDS: Final = 600
"""After which a mutant counts as noticed: it does not end."""

OUTPUT: Final = "output"
"""The file in a tree with the output of its last tests."""

PROFILE: Final = "mutants"
# One failing example is enough: smaller ones take long to find.
hypothesis.settings.register_profile(
    PROFILE, phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate], deadline=None, database=None
)


@dataclass(kw_only=True, eq=False)
class Run:
    """The tests of one mutant.

    Attributes:
        tree: Where the mutant is.
        mutant: Its file, line, operator and code.
        process: Runs the tests.
        original: The code of the file without the change.
        survived: Whether all tests passed; known when it is over.
    """

    tree: Path
    mutant: dict[str, Any]
    process: int
    original: str = field(repr=False)
    survived: bool = False
    _begun: float = field(default_factory=time.monotonic)

    def is_over(self) -> bool:
        """Return whether the tests are over; if so, the file is as it was."""
        ended, status = os.waitpid(self.process, os.WNOHANG)
        if not ended and time.monotonic() - self._begun < MAX_SECONDS:
            return False
        # Servers that it has started are of its group.
        _kill(self.process)
        if not ended:
            os.waitpid(self.process, 0)
        self.survived = bool(ended) and status == 0
        (self.tree / self.mutant["file"]).write_text(self.original)
        return True


def start(tree: Path, mutant: dict[str, Any], tests: Sequence[str]) -> Run:
    """Put a mutant into a tree, and start its tests."""
    file = tree / mutant["file"]
    original = file.read_text()
    file.write_text(mutant["code"])
    process = os.fork()
    if process == 0:
        code = 1
        try:
            code = _run(tree, tests)
        except BaseException:  # noqa: BLE001 - whatever it is, the fork ends here
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    return Run(tree=tree, mutant=mutant, process=process, original=original)


def _run(tree: Path, tests: Sequence[str]) -> int:
    os.setsid()
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_SECONDS, MAX_CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_DATA_BYTES, MAX_DATA_BYTES))
    output = os.open(tree / OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.chdir(tree)
    for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
        del sys.modules[name]
    paths = [str(tree / part) for part in ("", "client", "server")]
    sys.path[:0] = paths
    sys.dont_write_bytecode = True
    os.environ |= {"PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}
    ignored = "ignore::pytest.PytestAssertRewriteWarning"  # hypothesis was imported before
    options = [
        "-W",
        ignored,
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "--hypothesis-seed=0",
        "--hypothesis-profile",
        PROFILE,
    ]
    return int(pytest.main([*options, "--rootdir", str(tree), *tests]))


def _kill(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
