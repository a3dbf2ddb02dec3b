"""Polling for the next call: when it begins, when it ends, and what it costs in vain."""

from collections.abc import Sequence

import pytest
from forwardpass_server.rpc.polling import Poller

BEGINS = 16
"""After how many calls that came alone polling begins."""


class Calls:
    """A transport whose calls come when the test says; each attempt to take one takes a microsecond.

    Attributes:
        gap: Seconds between a call and the next one.
        together: How many calls come at once.
        polls: How often calls were taken without waiting.
        now: The time.
    """

    def __init__(self) -> None:
        self.gap, self.together = 20e-6, 1
        self.polls = 0
        self.now = 0.0
        self._next = 0.0
        self.ended = False

    def receive(self, max_events: int, milliseconds: int | None) -> Sequence[int] | None:
        """Return the calls that have come; wait for them if no time is given."""
        assert max_events == 512
        self.now += 1e-6
        if self.ended:
            return None
        if milliseconds is None:
            self.now = max(self.now, self._next)
        else:
            assert milliseconds == 0
            self.polls += 1
        if self.now < self._next:
            return []
        self._next = self.now + self.gap
        return [0] * self.together

    def clock(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def calls() -> Calls:
    """Calls that come one at a time, soon after one another."""
    return Calls()


def poller_of(calls: Calls, *, has_spare_core: bool = True) -> Poller:
    return Poller(calls.receive, 512, lambda: has_spare_core, calls.clock)


def take(poller: Poller, count: int) -> None:
    for _ in range(count):
        assert poller.take()


def test_calls_that_come_alone_are_polled_for(calls: Calls) -> None:
    poller = poller_of(calls)
    take(poller, BEGINS)
    assert calls.polls == 0
    take(poller, 100)
    assert calls.polls >= 100 * calls.gap / 2e-6


def test_without_a_spare_core_nothing_is_polled_for(calls: Calls) -> None:
    take(poller_of(calls, has_spare_core=False), 1000)
    assert calls.polls == 0


def test_a_core_that_is_no_longer_spare_ends_it(calls: Calls) -> None:
    spare = [True]
    poller = Poller(calls.receive, 512, lambda: spare[0], calls.clock)
    take(poller, BEGINS + 1)
    spare[0] = False
    while calls.now < 1.1:
        take(poller, 100)
    polls = calls.polls
    take(poller, 1000)
    assert calls.polls == polls


def test_looking_for_a_core_is_no_interruption(calls: Calls) -> None:
    def has_spare_core() -> bool:
        calls.now += 0.002
        return True

    poller = Poller(calls.receive, 512, has_spare_core, calls.clock)
    take(poller, BEGINS + 1)
    while calls.now < 1.1:
        take(poller, 100)
    polls = calls.polls
    take(poller, 100)
    assert calls.polls > polls


def test_calls_that_come_together_are_not_polled_for(calls: Calls) -> None:
    calls.together = 2
    take(poller_of(calls), 1000)
    assert calls.polls == 0


def test_calls_that_begin_to_come_together_end_it(calls: Calls) -> None:
    poller = poller_of(calls)
    take(poller, BEGINS + 1)
    calls.together = 2
    take(poller, 1)
    polls = calls.polls
    take(poller, 1000)
    assert calls.polls == polls


def test_callers_who_take_their_time_cost_little(calls: Calls) -> None:
    calls.gap = 0.001
    poller = poller_of(calls)
    take(poller, 10_000)
    assert 0 < calls.polls < 3_000  # microseconds of ten seconds


def test_no_calls_cost_nothing(calls: Calls) -> None:
    poller = poller_of(calls)
    take(poller, BEGINS + 1)
    calls.gap = 3600.0
    take(poller, 2)
    assert calls.polls < 300


def test_another_thread_that_had_the_core_ends_it_for_a_while(calls: Calls) -> None:
    poller = poller_of(calls)
    take(poller, BEGINS + 1)
    receive, polls = calls.receive, calls.polls

    def interrupted(max_events: int, milliseconds: int | None) -> Sequence[int] | None:
        calls.now += 0.002
        return receive(max_events, milliseconds)

    poller._receive = interrupted
    take(poller, 1)
    poller._receive = receive
    begun, polls = calls.now, calls.polls
    while calls.now < begun + 0.09:
        take(poller, 100)
    assert calls.polls == polls
    while calls.now < begun + 0.11:
        take(poller, 100)
    assert calls.polls > polls


def test_the_end_is_told_whether_it_polls_or_waits(calls: Calls) -> None:
    waits, polls = poller_of(calls), poller_of(calls)
    take(polls, BEGINS + 1)
    calls.ended = True
    assert waits.take() is None
    assert polls.take() is None
