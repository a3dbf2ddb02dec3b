"""Runs the snippets of a Markdown page, in order, in one folder, against one server.

A `python` block runs as a script; its first line may name the file that it is kept as (`# bank.py`), and a library that
other blocks do without (`# with torch: mnist.py`). The lines of a `console` block that begin with `$ ` run as commands.
A `text` block right after either is the output.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support import fork_server

_BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", flags=re.DOTALL | re.MULTILINE)
_FILE: Final = re.compile(r"# (?:with \w+: )?(\w+\.py)\n")
_FOREIGN: Final = re.compile(r"# with (\w+)")
"""How a block begins that needs another library: its client, which tests/clients runs, or a framework, which
tests/frameworks runs."""
_RUN: Final = {"python", "console"}
ADDRESS: Final = "localhost:50051"
"""The address at which snippets look for a server."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Snippet:
    """A block that runs.

    Attributes:
        language: `python` or `console`.
        code: The text of the block.
        output: The text that the page shows below it, or None.
    """

    language: str
    code: str
    output: str | None


def snippets(page: str, library: str | None = None) -> list[Snippet]:
    """Return the blocks of a page that run: those that need no other library, and those that need this one."""
    return [
        Snippet(language=language, code=code, output=output or None)
        for language, code, output in _BLOCK.findall(page)
        if language in _RUN and _library(code) in {None, library}
    ]


def follow(page: Path, folder: Path, address: str, library: str | None = None) -> None:
    """Run the blocks of a page as `snippets` chooses them, and check that each prints what the page shows."""
    shown = snippets(page.read_text(), library)
    assert shown, f"{page.name} has no block that runs"
    for snippet in shown:
        printed = run(snippet, folder, address)
        if snippet.output is not None:
            assert printed == snippet.output, f"{page.name}:\n{snippet.code}"


def _library(code: str) -> str | None:
    """Return the library that a block says it needs."""
    found = _FOREIGN.match(code)
    return found[1] if found else None


def run(snippet: Snippet, folder: Path, address: str) -> str:
    """Run a snippet in a folder against the server at an address; return what it prints."""
    return "".join(_ran(command, folder, address) for command in _commands(snippet, folder, address))


def _commands(snippet: Snippet, folder: Path, address: str) -> Iterator[list[str]]:
    if snippet.language == "python":
        named = _FILE.match(snippet.code)
        path = folder / (named[1] if named else "snippet.py")
        path.write_text(snippet.code.replace(ADDRESS, address))
        yield ["python", str(path)]
        return
    for line in snippet.code.splitlines():
        if line.startswith("$ "):
            yield shlex.split(line[2:], comments=True)


_PROGRAMS: Final = {
    "forwardpass": [sys.executable, "-c", "from forwardpass.cli import main; main()"],
    "python": [sys.executable],
}


def _ran(command: list[str], folder: Path, address: str) -> str:
    program, *arguments = command
    environment = {**os.environ, "FORWARDPASS_TARGET": address, "PYTHONPATH": str(folder)}
    if program == "forwardpass" and arguments[0] != "import":
        # It starts sooner, but PYTHONPATH does nothing there, which `import MODULE:ATTRIBUTE` needs.
        ran = fork_server.run("forwardpass", arguments, environment=environment, cwd=folder, timeout=600)
    else:
        started = [*_PROGRAMS[program], *arguments]
        ran = subprocess.run(
            started, cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False
        )
    assert ran.returncode == 0, f"{shlex.join(command)}\n{ran.stdout}{ran.stderr}"
    return ran.stdout
