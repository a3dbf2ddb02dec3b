"""The progress of `forwardpass import` on stderr: a bar on a terminal, elsewhere a line every few seconds."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn

from forwardpass.cli import output

_SECONDS_BETWEEN_LINES: Final = 10.0


@contextmanager
def import_progress(seconds: float = _SECONDS_BETWEEN_LINES) -> Iterator[Callable[[str, int, int], None]]:
    """Yield what `import_model` reports its progress to.

    Args:
        seconds: The time before the first line and between lines, where stderr is no terminal.
    """
    with output.progress_bar(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()) as bar:
        tasks = {}
        said = time.monotonic()

        def report(step: str, done: int, total: int) -> None:
            nonlocal said
            if step not in tasks:
                tasks[step] = bar.add_task(step, total=total)
            bar.update(tasks[step], completed=done)
            if bar.disable and time.monotonic() >= said + seconds:
                output.echo(f"{step}: {done:,} of {total:,} rows", err=True)
                said = time.monotonic()

        yield report
