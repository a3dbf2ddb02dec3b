"""How the command line starts: its version, as a module, completed by a shell."""

import os
import subprocess
import sys

import forwardpass
import pytest

from tests.client.cli.conftest import Run


def test_as_a_module_it_says_its_version(run: Run) -> None:
    assert run("--version", fresh=True).stdout == f"forwardpass {forwardpass.__version__}\n"


def test_its_name_is_that_of_the_command(run: Run) -> None:
    assert run("--help", fresh=True).stdout.startswith("Usage: forwardpass [OPTIONS] COMMAND")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_can_complete_commands(shell: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    # Else typer looks for the shell among the processes above, where a test may have none.
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    assert "_FORWARDPASS_COMPLETE" in run("--show-completion", shell, fresh=True).stdout
    typed = {
        "COMP_WORDS": "forwardpass pre",
        "COMP_CWORD": "1",
        "_TYPER_COMPLETE_ARGS": "forwardpass pre",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "_FORWARDPASS_COMPLETE": f"complete_{shell}",
    }
    done = subprocess.run(
        [sys.executable, "-m", "forwardpass"],
        env={
            **os.environ,
            **typed,
            "_FORWARDPASS_COMPLETE": f"complete_{shell}",
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "predict" in done.stdout
