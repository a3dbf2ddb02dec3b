"""Every snippet of the README is run against a real server; what the README shows is what comes out."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.server_process import ServerProcess

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
# Those that begin with `# with` are other clients', and tests/clients runs them.
PYTHON = [code for language, code in BLOCKS if language == "python" and not code.startswith("# with ")]
CONSOLE = [line for language, code in BLOCKS if language == "console" for line in code.splitlines() if line]
(PICTURE,) = [code for language, code in BLOCKS if language == "text"]


@pytest.fixture
def address(start_server: Callable[..., ServerProcess]) -> str:
    return start_server().address


def python(code: str, address: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", code.replace("localhost:50051", address)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_python_snippets(address: str) -> None:
    printed = [python(code, address) for code in PYTHON]
    assert printed[0].startswith("[[9.]]\n")
    assert PICTURE.strip() in printed[0]
    assert "182" in printed[1]
    assert "[[26.  0.]]" in printed[1]
    assert printed[2].startswith("[[9.]]\n[[182.]] NetworkNotFoundError(")
    assert printed[3] == "100000\n"
    assert 'did you mean "relu"?' in printed[4]
    assert "spec.layers[1].weights" in printed[4]


def test_console_snippets(address: str) -> None:
    assert CONSOLE
    environment = {**os.environ, "FORWARDPASS_TARGET": address}
    for line in CONSOLE:
        prompt, program, *arguments = shlex.split(line)
        assert (prompt, program) == ("$", "forwardpass")
        command = [sys.executable, "-c", "from forwardpass.cli import main; main()", *arguments]
        ran = subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT, env=environment
        )
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"make (\w+)", " ".join(code for _, code in BLOCKS)):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)
