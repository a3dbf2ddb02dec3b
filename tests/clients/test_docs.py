"""The snippets of other clients in docs/reference/open-inference.md and the README are run.

A comment behind a `print` is what it prints.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients.environments import perf_analyzer
from tests.support.environments import ROOT
from tests.support.server_process import ServerProcess

DOCUMENT = (ROOT / "docs" / "reference" / "open-inference.md").read_text()
SNIPPETS = re.findall(
    r"```python\n# with (\w+)\n(.*?)```", DOCUMENT + (ROOT / "README.md").read_text(), flags=re.DOTALL
)
COMMANDS = [
    line.removeprefix("$ ")
    for block in re.findall(r"```console\n(.*?)```", DOCUMENT, flags=re.DOTALL)
    for line in block.splitlines()
]


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("documented"), "--rest-listen", "127.0.0.1:0") as server:
        yield server


def located(text: str, server: ServerProcess) -> str:
    """Put the server's addresses in place of those in the document."""
    for address in ("localhost:8001", "localhost:50051"):
        text = text.replace(address, server.address)
    return text.replace("localhost:8000", server.rest.removeprefix("http://"))


def run(command: list[str], **environment: str) -> str:
    ran = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, **environment},
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.parametrize("index", range(len(SNIPPETS)))
def test_the_python_that_is_shown(documented: ServerProcess, environment_of: Callable[[str], Path], index: int) -> None:
    client, code = SNIPPETS[index]
    names = {"tritonclient": "triton", "kserve": "kserve"}
    python = str(environment_of(names[client]) / "bin" / "python") if client in names else sys.executable
    printed = run([python, "-c", located(code, documented)], COLUMNS="200").splitlines()
    expected = re.findall(r"print\(.*\)  # (.*)", code)
    assert expected
    assert printed == expected


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_that_are_shown(
    documented: ServerProcess, environment_of: Callable[[str], Path], command: str
) -> None:
    program, *arguments = shlex.split(located(command, documented))
    if program == "forwardpass-server":
        # `documented` was started like this, on other ports.
        assert arguments == ["serve", "--listen", "127.0.0.1:8001", "--rest-listen", "127.0.0.1:8000"]
    elif program == "perf_analyzer":
        printed = run([*perf_analyzer(environment_of("perf_analyzer")), *arguments])
        assert re.search(r"^Concurrency: 4, throughput: \d", printed, flags=re.MULTILINE)
    else:
        assert program == "curl"
        printed = run([program, *arguments])
        assert '"data":[182.0' in printed, printed
