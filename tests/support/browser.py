"""Programs for Node with the packages of an environment, and those that drive a browser by playwright-core."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clients.environments import installed


def node(packages: str, program: Path, *arguments: str, **environment: str) -> str:
    """Run a program with the packages of an environment of tests/clients; return what it prints."""
    ended = subprocess.run(
        ["node", str(program), *arguments],  # noqa: S607 - npm installed the packages for it
        env={**os.environ, "NODE_PATH": str(installed(packages) / "node_modules"), **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def drive(program: Path, *arguments: str) -> Any:
    """Run a program that drives Chromium, whose path is its first argument; return the JSON that it prints.

    Without Chromium the test is skipped.
    """
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("there is no chromium here (Debian: apt-get install chromium)")
    return json.loads(node("browser", program, browser, *arguments))
