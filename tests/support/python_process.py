"""Python processes with the packages of this checkout, for tests that need a second process."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.memory_folder import PARENT

ROOT = Path(__file__).parents[2]


def let_others_pass(folder: Path) -> None:
    """Let every user reach what is in a folder of pytest's, which are for their owner alone."""
    for parent in folder.parents:
        if parent in {Path(tempfile.gettempdir()), PARENT}:
            break
        parent.chmod(parent.stat().st_mode | 0o011)


def start_python(
    code: str, *arguments: object, environment: Mapping[str, str] | None = None, **options: Any
) -> subprocess.Popen[str]:
    """Start a Python process with the packages of this checkout; its stdout is a pipe of text lines.

    Args:
        code: The program.
        arguments: Its arguments.
        environment: Variables beside those of this process.
        options: Those of `subprocess.Popen`.
    """
    path = os.pathsep.join([str(ROOT / "client"), str(ROOT / "server"), str(ROOT)])
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path, **(environment or {})},
        **options,
    )


def run_python(code: str, *arguments: object, **options: Any) -> str:
    """Run such a process to its end, which must be a good one; return what it printed."""
    with start_python(code, *arguments, **options) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out
