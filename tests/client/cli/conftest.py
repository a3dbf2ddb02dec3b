import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.support import fork_server
from tests.support.server_process import ServerProcess

Run: TypeAlias = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session", params=["native"])
def engine(request: pytest.FixtureRequest) -> str:
    """One engine is enough: the command line is a client, and tests/client tries clients on both."""
    return str(request.param)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, engine: str) -> Iterator[ServerProcess]:
    """A server of this folder's own: pytest would give one of the other tests, on this engine, to their next test."""
    with ServerProcess(tmp_path_factory.mktemp("server"), "--engine", engine) as process:
        yield process
        assert process.stop() == 0


@pytest.fixture
def run(server: ServerProcess) -> Run:
    """Run a command against the server; `fresh` starts an interpreter for it."""

    def run(
        *arguments: str, stdin: str = "", code: int = 0, cwd: Path | None = None, fresh: bool = False
    ) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "FORWARDPASS_TARGET": server.address, "COLUMNS": "120"}
        # A machine with 15 times as much to do as it can takes longer than the 10 seconds that people are given.
        environment["FORWARDPASS_TIMEOUT"] = "60"
        if fresh:
            command = [sys.executable, "-m", "forwardpass", *arguments]
            ended = subprocess.run(
                command, input=stdin, capture_output=True, text=True, env=environment, cwd=cwd, timeout=180, check=False
            )
        else:
            ended = fork_server.run("forwardpass", arguments, stdin=stdin, environment=environment, cwd=cwd)
        assert ended.returncode == code, (ended.stdout, ended.stderr)
        assert "Traceback" not in ended.stderr
        return ended

    return run
