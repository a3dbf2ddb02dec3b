"""Cooperative tasks: work that is too long for a transport's thread, done step by step by a few worker threads.

A task is a coroutine. Where it awaits `next_turn()`, other tasks run before it goes on; where it awaits `until(event)`,
it goes on after the event. Which task is next is for a fair queue to say: callers take turns, short work passes long
work, and of works of one size the older one is finished first. This is asyncio's idea without its
loop: each step of a task may run in another thread.

    async def work() -> list[bytes]:
        await next_turn()                      # let other tasks run first
        error = await until(registry_refreshed)  # go on when that calls back
        ...

    task = Task(work(), on_done=send, on_error=send_error)
    workers.add(task)
"""

import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import count
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar

from forwardpass_server.serving.fair_queue import FairQueue

if TYPE_CHECKING:
    from forwardpass_server.serving.admission import Work

log = logging.getLogger(__name__)

NICENESS: Final = 10
"""By how much workers have less priority than the threads that take requests and send responses."""
TURN_SECONDS: Final = 0.05
"""How long a caller's tasks are done before those of another, if both wait; most tasks are done in one turn."""

Value = TypeVar("Value")
Result = TypeVar("Result")

Suspension: TypeAlias = Callable[[Callable[[], None]], None]
"""An event that a task waits for: called with `resume`, it calls that once, in any thread, when the task may go on."""


@dataclass(frozen=True, slots=True)
class _Suspended:
    """An awaitable that hands a suspension to whatever runs the task."""

    suspension: Suspension | None

    def __await__(self) -> Generator[Suspension | None, None, None]:
        yield self.suspension


_NEXT_TURN: Final = _Suspended(None)


def next_turn() -> Awaitable[None]:
    """Let other tasks run before this one goes on."""
    return _NEXT_TURN


async def until(event: Callable[[Callable[[Value], None]], None]) -> Value:
    """Wait until an event calls back, and return what it called back with.

    Args:
        event: Called once with the function to call back.
    """
    values: list[Value] = []

    def suspension(resume: Callable[[], None]) -> None:
        def call_back(value: Value) -> None:
            values.append(value)
            resume()

        event(call_back)

    await _Suspended(suspension)
    return values[0]


class Task(Generic[Result]):
    """A coroutine, and what becomes of its result. Steps run one after the other, each in any thread.

    Attributes:
        is_done: Whether there are no more steps.
        work: What it is to the workers, or None where it is not known.
    """

    __slots__ = ("_coroutine", "_is_wanted", "_on_done", "_on_error", "is_done", "work")

    def __init__(
        self,
        coroutine: Coroutine[Suspension | None, None, Result],
        *,
        on_done: Callable[[Result], None],
        on_error: Callable[[Exception], None],
        is_wanted: Callable[[], bool] = lambda: True,
        work: "Work | None" = None,
    ) -> None:
        """Make a task.

        Args:
            coroutine: The work.
            on_done: Called with its result.
            on_error: Called with the exception that ended it.
            is_wanted: Called before each step; where it returns False, the task ends, and nothing is called.
            work: What it is to the workers; it is counted out when the task ends.
        """
        self._coroutine = coroutine
        self._on_done = on_done
        self._on_error = on_error
        self._is_wanted = is_wanted
        self.work = work
        self.is_done = False

    def run(self) -> Suspension | None:
        """Do a step. Return what the task waits for then, or None if it is done or may go on at once."""
        if not self._is_wanted():
            self._end(done=False)
            self._coroutine.close()
            return None
        begun = time.monotonic()
        try:
            suspension = self._coroutine.send(None)
        except StopIteration as end:  # how Python ends a coroutine
            result = end.value
        except Exception as error:  # noqa: BLE001 - handed to `on_error`
            self._end(done=False)
            self._on_error(error)
            return None
        else:
            self._spend(time.monotonic() - begun)
            return suspension
        self._spend(time.monotonic() - begun)
        self._end(done=True)
        self._on_done(result)
        return None

    def _spend(self, seconds: float) -> None:
        if self.work is not None:
            self.work.admission.spend(self.work, seconds)

    def _end(self, *, done: bool) -> None:
        self.is_done = True
        if self.work is not None:
            self.work.admission.end(self.work, done=done)


def lower_priority() -> None:
    """Let this thread give way to the others, where the system has priorities of threads."""
    if hasattr(os, "setpriority") and os.uname().sysname == "Linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


class Workers:
    """Threads of low priority that run tasks: each does one step of a task, then of the one whose turn it is.

    Attributes:
        count: How many threads there are.
        weights: The weights of callers, by which they share the threads' time.
    """

    def __init__(self, number: int, weights: Mapping[str, float] = MappingProxyType({})) -> None:
        """Start threads.

        Args:
            number: How many.
            weights: The weights of callers; those that are not in it have 1.
        """
        self.count = number
        self.weights = weights
        self._tasks: FairQueue[Task[Any]] = FairQueue(TURN_SECONDS, weights)
        self._orders = count()
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [threading.Thread(target=self._run, name=f"worker-{n}", daemon=True) for n in range(number)]
        for thread in self._threads:
            thread.start()

    def add(self, task: Task[Any], suspension: Suspension | None = None) -> None:
        """Run a task, or go on with one that did a step; may be called in any thread.

        Args:
            task: The task.
            suspension: What its last step returned.
        """
        if suspension is not None:
            suspension(partial(self.add, task))
            return
        with self._changed:
            self._push(task)
            self._changed.notify()

    def close(self) -> None:
        """Finish all tasks, and end the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        lower_priority()
        while True:
            with self._changed:
                while not self._tasks:
                    if self._closed:
                        return
                    self._changed.wait()
                task = self._tasks.pop()
            begun = time.monotonic()
            try:
                suspension = task.run()
            except Exception:
                log.exception("the end of a task failed")
                continue
            finally:
                self._charge(task, time.monotonic() - begun)
            if not task.is_done:
                self.add(task, suspension)

    def _push(self, task: Task[Any]) -> None:
        work = task.work
        if work is None:
            self._tasks.push(task, caller="", size=0, order=next(self._orders))
        else:
            # Works of a size that is not known take turns.
            order = next(self._orders) if work.order is None else work.order
            self._tasks.push(task, caller=work.caller, size=work.size, order=order)

    def _charge(self, task: Task[Any], seconds: float) -> None:
        with self._changed:
            if task.work is None:
                self._tasks.charge("", 0, seconds)
            else:
                for caller, share in task.work.shares.items():
                    self._tasks.charge(caller, task.work.size, seconds * share)
