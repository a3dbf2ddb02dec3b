"""Forks a process while its client makes calls, and counts what becomes of the children.

Run as a program, since it forks: `python -m tests.support.fork_under_load KIND FORKS ADDRESS`. Each child calls
with the client that it inherited, with a timeout of `CALL_SECONDS`; the counts are printed as JSON.
"""

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final

from forwardpass import AsyncClient, Client, UnavailableError

CALL_SECONDS: Final = 30.0
HANG_SECONDS: Final = 60.0
"""A child that lives longer than this hangs: its call ended at least some seconds ago."""

CALLERS: Final = 4
NAME: Final = "article-linear"
ROW: Final = [2.0, 3.0]
EXPECTED: Final = 9.0

PREDICTED, REJECTED, FAILED, WRONG = range(4)
OUTCOMES: Final = {PREDICTED: "predicted", REJECTED: "rejected", FAILED: "failed", WRONG: "wrong"}


def outcome_of(predict: Callable[[], Any]) -> int:
    """Call in a child; return its exit code."""
    try:
        return PREDICTED if predict().outputs.item() == EXPECTED else WRONG
    except UnavailableError:
        return REJECTED
    except BaseException as error:  # noqa: BLE001 - the exit code says so to the parent
        os.write(2, f"{error!r}\n".encode())
        return FAILED


def in_child(predict: Callable[[], Any]) -> None:
    """Call in a child and end it, without what belongs to the parent's interpreter."""
    os._exit(outcome_of(predict))


def wait_for(pid: int) -> str:
    """Wait for a child; return what became of it."""
    end = time.monotonic() + HANG_SECONDS
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            if os.WIFSIGNALED(status):
                return signal.Signals(os.WTERMSIG(status)).name
            return OUTCOMES[os.WEXITSTATUS(status)]
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return "hung"


def moment() -> float:
    """Return some milliseconds, so that forks meet calls at every stage."""
    return random.uniform(0.0, 0.02)


@contextlib.contextmanager
def callers(client: Client, errors: list[Exception]) -> Iterator[None]:
    """Call from several threads meanwhile."""
    stop = threading.Event()

    def call() -> None:
        while not stop.is_set():
            try:
                assert client.predict(NAME, ROW).outputs.item() == EXPECTED
            except Exception as error:  # noqa: BLE001 - reported
                errors.append(error)

    threads = [threading.Thread(target=call) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    yield
    stop.set()
    for thread in threads:
        thread.join()


def fork_threads(address: str, forks: int, *, coalesce: bool) -> tuple[Counter[str], list[Exception]]:
    """Fork while threads call."""
    counts: Counter[str] = Counter()
    errors: list[Exception] = []
    client = Client(address, coalesce=coalesce)
    with callers(client, errors):
        for _ in range(forks):
            time.sleep(moment())
            pid = os.fork()
            if not pid:
                in_child(lambda: client.predict(NAME, ROW, timeout=CALL_SECONDS))
            counts[wait_for(pid)] += 1
    client.close()
    return counts, errors


def fork_tasks(address: str, forks: int, *, coalesce: bool, in_loop: bool) -> tuple[Counter[str], list[Exception]]:
    """Fork while tasks call: from another thread, or from the thread of their event loop."""
    counts: Counter[str] = Counter()
    errors: list[Exception] = []
    client = AsyncClient(address, coalesce=coalesce)
    stop = threading.Event()

    async def call() -> None:
        while not stop.is_set():
            try:
                assert (await client.predict(NAME, ROW)).outputs.item() == EXPECTED
            except Exception as error:  # noqa: BLE001 - reported
                errors.append(error)

    async def ask() -> Any:
        return await client.predict(NAME, ROW, timeout=CALL_SECONDS)

    def fork() -> int:
        pid = os.fork()
        if not pid:
            # In a thread of its own: the event loop of the parent still runs in this one, as far as asyncio knows.
            thread = threading.Thread(target=in_child, args=[lambda: asyncio.run(ask())])
            thread.start()
            thread.join()
        return pid

    async def main() -> None:
        tasks = [asyncio.create_task(call()) for _ in range(CALLERS)]
        await asyncio.sleep(0.1)
        for _ in range(forks):
            await asyncio.sleep(moment())
            pid = fork() if in_loop else await asyncio.to_thread(fork)
            counts[await asyncio.to_thread(wait_for, pid)] += 1
        stop.set()
        await asyncio.gather(*tasks)
        await client.close()

    asyncio.run(main())
    return counts, errors


KINDS: Final[dict[str, Callable[[str, int], tuple[Counter[str], list[Exception]]]]] = {
    "plain": lambda address, forks: fork_threads(address, forks, coalesce=False),
    "coalesce": lambda address, forks: fork_threads(address, forks, coalesce=True),
    "asyncio": lambda address, forks: fork_tasks(address, forks, coalesce=False, in_loop=False),
    "asyncio-coalesce": lambda address, forks: fork_tasks(address, forks, coalesce=True, in_loop=False),
    "asyncio-in-loop": lambda address, forks: fork_tasks(address, forks, coalesce=False, in_loop=True),
}

if __name__ == "__main__":
    counted, failed = KINDS[sys.argv[1]](sys.argv[3], int(sys.argv[2]))
    print(json.dumps({"children": counted, "parent": [repr(error) for error in failed]}))
