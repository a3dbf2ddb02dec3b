import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.support.server_process import ServerProcess

Run: TypeAlias = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(server: ServerProcess) -> Run:
    def run(
        *arguments: str, stdin: str = "", code: int = 0, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from forwardpass.cli import main; main()", *arguments]
        environment = {**os.environ, "FORWARDPASS_TARGET": server.address, "COLUMNS": "120"}
        # A machine with 15 times as much to do as it can takes longer than the 10 seconds that people are given.
        environment["FORWARDPASS_TIMEOUT"] = "60"
        ended = subprocess.run(
            command, input=stdin, capture_output=True, text=True, env=environment, cwd=cwd, timeout=180, check=False
        )
        assert ended.returncode == code, (ended.stdout, ended.stderr)
        assert "Traceback" not in ended.stderr
        return ended

    return run
