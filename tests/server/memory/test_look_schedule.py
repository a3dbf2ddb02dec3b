"""A thread looks again soon on a busy machine, and at once when memory has grown."""

import time

from forwardpass_server.memory.look_schedule import LookSchedule

MIB = 2**20


def test_a_look_that_waits_for_a_core_does_not_delay_the_next_one() -> None:
    looks = LookSchedule()
    with looks.looking():
        time.sleep(0.2)  # stands for a thread that has no core: it takes no processor time
    assert looks.is_due(time.monotonic() + 1.0)


def test_a_look_that_takes_long_is_repeated_rarely_unless_memory_grows() -> None:
    looks = LookSchedule(max_growth=16 * MIB)
    assert looks.is_due(time.monotonic())
    with looks.looking(64 * MIB):
        _work(0.02)
    began = time.monotonic() - 1.0
    assert not looks.is_due(began, 80 * MIB)
    assert looks.is_due(began, 80 * MIB + 1)
    looks.make_due()
    assert looks.is_due(began)


def test_memory_that_has_fallen_may_grow_no_more_than_before() -> None:
    looks = LookSchedule(max_growth=16 * MIB)
    with looks.looking(500 * MIB):
        _work(0.02)
    began = time.monotonic() - 1.0
    assert not looks.is_due(began, 100 * MIB)
    assert looks.is_due(began, 117 * MIB)


def _work(seconds: float) -> None:
    """Take processor time."""
    ends = time.thread_time() + seconds
    while time.thread_time() < ends:
        pass
