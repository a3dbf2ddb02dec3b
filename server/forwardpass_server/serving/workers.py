"""Threads for work that is too long for the thread that takes calls.

Work comes as steps. Each thread goes around its work and does a step of each, so that what is
short does not wait for what is long. The threads ask the system for less than other threads
get, so that the ones that take and answer calls are served first.
"""

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, TypeAlias

log = logging.getLogger(__name__)

NICENESS: Final = 10

Pause: TypeAlias = Callable[[Callable[[], None]], None]
"""A reason to wait: calls what it is given, once, when the work may go on; in any thread."""

Work: TypeAlias = Iterator[Pause | None]
"""Work that may be interrupted at every `yield`; where it gives a pause, it goes on after that. It must not raise."""


def lower_priority() -> None:
    """Let this thread give way to the others, where the system has priorities of threads."""
    if hasattr(os, "setpriority") and os.uname().sysname == "Linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


class Workers:
    """A few threads that take turns."""

    def __init__(self, count: int) -> None:
        self._work: deque[Work] = deque()
        self._news = threading.Condition()
        self._closed = False
        self._threads = [threading.Thread(target=self._go_around, name=f"heavy-{n}", daemon=True) for n in range(count)]
        for thread in self._threads:
            thread.start()

    def add(self, steps: Work) -> None:
        """Begin a piece of work; may be called in any thread."""
        with self._news:
            self._work.append(steps)
            self._news.notify()

    def close(self) -> None:
        """Finish what was begun, and end the threads."""
        with self._news:
            self._closed = True
            self._news.notify_all()
        for thread in self._threads:
            thread.join()

    def _go_around(self) -> None:
        lower_priority()
        while True:
            with self._news:
                while not self._work:
                    if self._closed:
                        return
                    self._news.wait()
                steps = self._work.popleft()
            try:
                pause = next(steps)
            except StopIteration:
                continue
            except Exception:
                log.exception("a piece of work failed")
                continue
            if pause is None:
                self.add(steps)
            else:
                pause(partial(self.add, steps))
