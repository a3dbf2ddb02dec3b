"""Admission by time, in a world of its own: one worker, a clock, and callers who send more than it can do."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

import pytest
from forwardpass.errors import OverloadedError
from forwardpass_server.serving.admission import MAX_RETRY_SECONDS, MIN_REQUESTS, MIN_RETRY_SECONDS, Admission, Work
from forwardpass_server.serving.fair_queue import FairQueue
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.serving import POLICY

FLOPS = 4 * POLICY.step_flops
"""The operations of a call."""
STEPS = 10
"""The steps of a call; with a step of a millisecond, 100 calls a second are all that can be done."""
STEP = 0.001
CAPACITY = 1 / (STEPS * STEP)
DEADLINE = 1.0


@dataclass(kw_only=True)
class World:
    """One worker with its queue, admission and clock.

    Attributes:
        now: The time.
        in_time: Calls of each caller that ended before their deadline.
        rejected: Calls of each caller that were rejected.
        late: Calls of each caller that were begun and did not end in time.
    """

    max_requests: int = 1_000
    weights: Mapping[str, float] = field(default_factory=dict)
    now: float = 0.0
    in_time: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    late: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.admission = Admission(1, POLICY, self.max_requests, lambda: self.now, self.weights)
        self.queue: FairQueue[tuple[Work, float, list[int]]] = FairQueue(0.05, self.weights)

    def call(self, caller: str, deadline: float = DEADLINE) -> OverloadedError | None:
        work, (error,) = self.admission.admit([caller], [self.now + deadline], [FLOPS], "version", [0])
        if work is None:
            self.rejected[caller] += 1
        else:
            self.push(work, self.now + deadline, [STEPS])
        return error

    def push(self, work: Work, expires: float, left: list[int]) -> None:
        assert work.order is not None
        self.queue.push((work, expires, left), caller=work.caller, size=work.size, order=work.order)

    def step(self) -> None:
        """Do a step of what is next, or nothing."""
        self.now += STEP
        while len(self.queue):
            work, expires, left = self.queue.pop()
            if self.now > expires:
                self.admission.end(work, done=False)
                self.late[work.caller] += 1
                continue
            self.admission.spend(work, STEP)
            self.queue.charge(work.caller, work.size, STEP)
            left[0] -= 1
            if left[0]:
                self.push(work, expires, left)
            else:
                self.admission.end(work, done=True)
                self.in_time[work.caller] += 1
            return

    def run(self, seconds: float, rates: dict[str, float], deadline: float = DEADLINE) -> None:
        """Let callers send calls at some rates, whatever comes back."""
        due = dict.fromkeys(rates, self.now)
        end = self.now + seconds
        while self.now < end:
            for caller, rate in rates.items():
                while due[caller] <= self.now:
                    due[caller] += 1 / rate
                    self.call(caller, deadline)
            self.step()


@pytest.mark.parametrize("load", [0.5, 1, 2, 5, 10, 50])
def test_goodput_does_not_collapse(load: float) -> None:
    world = World()
    world.run(10, {"one": load * CAPACITY})
    goodput = world.in_time["one"] / 10
    print(f"load {load:g}: goodput {goodput / CAPACITY:.2f} of capacity, {world.late['one']} begun in vain")
    assert goodput >= 0.9 * min(load, 1) * CAPACITY
    assert world.late["one"] <= 0.01 * world.in_time["one"]


def test_a_flood_takes_no_other_callers_time() -> None:
    world = World()
    world.run(2, {"flood": 10 * CAPACITY})
    world.run(10, {"flood": 10 * CAPACITY, "polite": 0.3 * CAPACITY})
    assert world.rejected["polite"] + world.late["polite"] == 0
    assert world.in_time["polite"] >= 0.95 * 0.3 * CAPACITY * 10
    assert world.in_time["flood"] >= 0.6 * CAPACITY * 10


def test_floods_get_time_and_places_by_their_weights() -> None:
    world = World(weights={"heavy": 3.0})
    world.run(10, {"heavy": 10 * CAPACITY, "other": 10 * CAPACITY})
    print(f"{world.in_time['heavy']} calls of weight 3 and {world.in_time['other']} of weight 1 in time")
    assert 2.5 <= world.in_time["heavy"] / world.in_time["other"] <= 3.5
    assert world.in_time.total() >= 0.9 * CAPACITY * 10
    assert world.late.total() <= 0.02 * world.in_time.total()
    full = World(max_requests=100, weights={"heavy": 3.0})
    full.run(2, {"heavy": 10 * CAPACITY, "other": 10 * CAPACITY}, deadline=300.0)
    assert full.call("third", deadline=300.0) is None, "there is room for one more"


def test_a_flood_without_deadlines_leaves_room_for_others() -> None:
    world = World(max_requests=90)
    world.run(2, {"flood": 10 * CAPACITY}, deadline=300.0)
    assert world.rejected["flood"]
    assert world.call("other", deadline=300.0) is None
    world.run(2, {"flood": 10 * CAPACITY, "other": 10 * CAPACITY}, deadline=300.0)
    assert world.in_time["other"] >= 0.4 * CAPACITY * 2


def test_a_caller_gets_its_share_of_the_places_and_no_more() -> None:
    world = World(max_requests=120)
    assert sum(world.call("one", deadline=1e9) is None for _ in range(120)) == 60, "half if it is alone"
    assert sum(world.call("two", deadline=1e9) is None for _ in range(120)) == 40, "a third beside another"
    assert world.call("one", deadline=1e9) is not None


def test_a_rejection_says_when_to_come_back() -> None:
    world = World()
    assert world.admission.rejected == -inf
    world.run(3, {"one": 10 * CAPACITY})
    error = next(error for error in iter(lambda: world.call("one"), None))
    assert isinstance(error, OverloadedError)
    assert error.retry_after is not None
    assert MIN_RETRY_SECONDS <= error.retry_after <= MAX_RETRY_SECONDS
    assert float(error.facts["waitSeconds"]) > 0
    assert "try again later" in error.message


def test_what_nothing_stands_before_is_taken_on_however_slow_it_was() -> None:
    world = World()
    assert world.call("one") is None
    work, _, _ = world.queue.pop()
    world.admission.spend(work, 500.0)
    world.admission.end(work, done=True)
    assert world.call("one") is None
    assert world.call("one") is not None, "it would take 500 s"
    world.run(1, {})
    world.run(10, {"one": 0.5 * CAPACITY})
    assert world.rejected["one"] <= 20, "the speed was measured anew"


def test_a_request_whose_work_is_told_later_is_judged_then() -> None:
    world = World()
    world.run(3, {"one": 10 * CAPACITY})
    work = world.admission.begin("one", 0)
    with pytest.raises(OverloadedError):
        world.admission.declare(work, 100 * FLOPS, "version", world.now + DEADLINE)
    world.admission.declare(work, FLOPS, "version", world.now + 100)
    world.admission.end(work, done=False)


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from("abc"), min_size=1, max_size=5),
            st.floats(0, 3),
            st.floats(0, 0.1),
            st.booleans(),
        ),
        max_size=30,
    )
)
def test_nothing_is_counted_when_nothing_waits(given: list[tuple[list[str], float, float, bool]]) -> None:
    world, begun = World(max_requests=4 * MIN_REQUESTS), []
    for callers, deadline, seconds, ends in given:
        count = len(callers)
        work, errors = world.admission.admit(
            callers, [world.now + deadline] * count, [FLOPS] * count, "version", [0] * count
        )
        assert len(errors) == count
        assert (work is None) == all(error is not None for error in errors)
        if work is not None:
            assert sum(work.shares.values()) == pytest.approx(1)
            world.admission.spend(work, seconds)
            begun.append(work)
            if ends:
                world.admission.end(begun.pop(0), done=ends)
        assert world.admission.seconds >= -1e-9
    for work in begun:
        world.admission.end(work, done=False)
        world.admission.end(work, done=True)
    assert world.admission.seconds == 0
    assert not world.admission._seconds
    assert not world.admission._requests


def test_a_caller_gets_its_share_of_the_bytes_and_all_get_the_whole() -> None:
    admission = Admission(1, POLICY, 1_000, lambda: 0.0, max_bytes=120)

    def count(caller: str, size: int) -> int:
        return sum(
            admission.admit([caller], [1e9], [FLOPS], "version", [size])[0] is not None for _ in range(120 // size)
        )

    assert count("one", 10) == 6, "half if it is alone"
    assert count("two", 10) == 4, "a third beside another"
    assert count("three", 10) == 2, "no more than all"
    assert count("four", 60) == 1, "who has none waiting may send any request"
    with pytest.raises(OverloadedError, match="max_memory"):
        admission.begin("one", 1)
    work = admission.begin("five", 1)
    admission.declare(work, FLOPS, "version", 1e9)
    admission.end(work, done=True)
    assert count("five", 60) == 1, "its bytes were counted out"
