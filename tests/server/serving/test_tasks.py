"""Cooperative tasks: turns, suspensions, ends, and the threads that run them."""

import threading

import pytest
from forwardpass_server.serving.tasks import Task, Workers, next_turn, until


def unexpected(value: object) -> None:
    """Fail: what a test does not expect to be called."""
    raise AssertionError(value)


def test_a_task_hands_its_result_over_once() -> None:
    results: list[int] = []

    async def work() -> int:
        await next_turn()
        return 7

    task = Task(work(), on_done=results.append, on_error=unexpected)
    assert task.run() is None
    assert (task.is_done, results) == (False, [])
    assert task.run() is None
    assert (task.is_done, results) == (True, [7])


def test_a_task_hands_its_error_over() -> None:
    errors: list[Exception] = []

    async def work() -> int:
        await next_turn()
        raise ZeroDivisionError

    task = Task(work(), on_done=unexpected, on_error=errors.append)
    task.run()
    task.run()
    assert task.is_done
    assert [type(error) for error in errors] == [ZeroDivisionError]


def test_a_task_that_is_cancelled_ends_and_cleans_up() -> None:
    turns, cleaned = [True, False], threading.Event()

    async def work() -> None:
        try:
            await next_turn()
        finally:
            cleaned.set()

    task: Task[None] = Task(work(), on_done=unexpected, on_error=unexpected, is_wanted=lambda: turns.pop(0))
    task.run()
    task.run()
    assert task.is_done
    assert cleaned.is_set()


@pytest.mark.parametrize("at_once", [True, False], ids=["called back at once", "called back later"])
def test_a_task_waits_until_an_event(at_once: bool) -> None:
    waiting: list[object] = []
    results: list[str] = []

    def event(call_back: object) -> None:
        waiting.append(call_back)
        if at_once:
            call_back("value")  # type: ignore[operator] # a function

    async def work() -> str:
        value: str = await until(event)
        return value

    workers = Workers(1)
    workers.add(Task(work(), on_done=results.append, on_error=unexpected))
    if not at_once:
        while not waiting:
            threading.Event().wait(0.001)
        waiting[0]("value")  # type: ignore[operator] # a function
    workers.close()
    assert results == ["value"]


def test_short_work_ends_before_long_work_that_was_there_first() -> None:
    ended: list[str] = []
    workers, added = Workers(1), threading.Event()

    async def work(name: str, steps: int) -> str:
        assert added.wait(60)
        for _ in range(steps):
            await next_turn()
        return name

    for name, steps in (("long", 1_000), ("middle", 100), ("short", 1)):
        workers.add(Task(work(name, steps), on_done=ended.append, on_error=unexpected))
    added.set()
    workers.close()
    assert ended == ["short", "middle", "long"]


def test_an_end_that_raises_does_not_end_the_thread(caplog: pytest.LogCaptureFixture) -> None:
    ended: list[str] = []
    workers = Workers(1)

    def fail(_: object) -> None:
        raise ZeroDivisionError

    async def work() -> str:
        for _ in range(5):
            await next_turn()
        return "right"

    workers.add(Task(work(), on_done=fail, on_error=fail))
    workers.add(Task(work(), on_done=ended.append, on_error=unexpected))
    workers.close()
    assert ended == ["right"]
    assert "the end of a task failed" in caplog.text
