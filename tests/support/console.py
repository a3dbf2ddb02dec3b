"""The commands of a page's `console` blocks that begin with `$ `, and the output that the page shows below them."""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from typing import Any


def commands(page: str) -> Iterator[tuple[str, str]]:
    """Yield each command and what it is shown to print."""
    for block in re.findall(r"```console\n(.*?)```", page, flags=re.DOTALL):
        for text in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = text.splitlines(keepends=True)
            count = next(count for count in range(1, len(lines) + 1) if is_whole("".join(lines[:count])))
            yield "".join(lines[:count]), "".join(lines[count:])


def is_whole(command: str) -> bool:
    """Return whether every quotation has its end."""
    try:
        return bool(shlex.split(command))
    except ValueError:
        return False


def part_of(shown: Any, printed: Any) -> bool:
    """Return whether a document has all that is shown; arrays have the same length."""
    if isinstance(shown, dict) and isinstance(printed, dict):
        return all(name in printed and part_of(value, printed[name]) for name, value in shown.items())
    if isinstance(shown, list) and isinstance(printed, list):
        return len(shown) == len(printed) and all(map(part_of, shown, printed))
    return bool(shown == printed)


def run_command(command: str) -> str:
    """Run a command as it is typed; return what it prints."""
    return subprocess.run(
        ["sh", "-c", command],  # noqa: S607 - as it is typed
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout


def check_command(command: str, shown: str) -> None:
    """Run a command, and check that it prints what is shown: the parts of a JSON document, or the same words."""
    printed = run_command(command)
    if shown.startswith("{"):
        assert part_of(json.loads(shown), json.loads(printed)), (command, printed)
    else:
        assert printed.split() == shown.split(), command
