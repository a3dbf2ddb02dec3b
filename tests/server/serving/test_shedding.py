"""Load shedding in a world of its own: an admission whose queue is full, and a clock."""

from dataclasses import dataclass

import pytest
from forwardpass_server.serving.admission import MAX_RETRY_SECONDS, MIN_RETRY_SECONDS, Admission
from forwardpass_server.serving.shedding import FLOOD_SECONDS, READ_SECONDS, READING_SECONDS, SHORT_SECONDS, Shedding
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.serving import POLICY

FLOPS = 4 * POLICY.step_flops
DEADLINE = 1.0


@dataclass(kw_only=True)
class World:
    """An admission, what is shed of its calls, and the time."""

    now: float = 100.0

    def __post_init__(self) -> None:
        self.admission = Admission(1, POLICY, 1_000, lambda: self.now)
        self.shedding = Shedding(self.admission, lambda: self.now)

    def read(self, caller: str, flops: int = FLOPS, deadline: float = DEADLINE) -> bool:
        """Read a long call, and note it as the dispatcher does; return whether it is rejected."""
        work, _ = self.admission.admit([caller], [self.now + deadline], [flops], "version", [0])
        if work is None or self.shedding.active:
            self.shedding.note_long(caller, "Predict", flops, "version", rejected=work is None)
        return work is None

    def fill(self, caller: str) -> None:
        """Let a caller send until it is rejected."""
        while not self.read(caller):
            pass

    def shed(self, caller: str, method: str = "Predict", deadline: float = DEADLINE) -> bool:
        """Return whether a call is rejected unread."""
        return self.shedding.judge(caller, method, self.now + deadline) is not None

    def flooded(self, caller: str = "flood") -> None:
        """Reach the point at which a caller's calls are rejected unread."""
        self.fill(caller)
        assert not self.shed(caller), "the first one is read"


def test_nothing_is_shed_before_a_call_is_rejected() -> None:
    world = World()
    assert not world.shedding.active
    assert not world.shed("one")
    assert not world.read("one")
    assert not world.shedding.active


def test_calls_like_the_rejected_ones_are_shed() -> None:
    world = World()
    world.flooded()
    assert world.shedding.active
    retry_after = world.shedding.judge("flood", "Predict", world.now + DEADLINE)
    assert retry_after is not None
    assert MIN_RETRY_SECONDS <= retry_after <= MAX_RETRY_SECONDS
    assert not world.shed("flood", method="Trace"), "another method"
    assert not world.shed("polite"), "another caller"
    assert not world.shed("flood", deadline=60.0), "a caller who waits for longer"


def test_one_in_a_while_is_read() -> None:
    world = World()
    world.flooded()
    read = 0
    for _ in range(1_000):
        world.now += READ_SECONDS / 10
        if not world.shed("flood"):
            read += world.read("flood")
    assert 90 <= read <= 100
    assert world.shedding.active


@pytest.mark.parametrize("deadline", [1.1, 2.0, 5.0])
def test_of_calls_that_arrive_together_as_many_are_read_as_there_is_room_for(deadline: float) -> None:
    together, one_by_one = World(), World()
    room = 0
    for world in (together, one_by_one):
        world.flooded()
        assert world.read("flood")
    while not one_by_one.read("flood", deadline=deadline):
        room += 1
    assert room > 2
    assert [together.shed("flood", deadline=deadline) for _ in range(room + 5)] == [False] * room + [True] * 5


def test_a_call_of_which_nothing_is_heard_does_not_count_for_long() -> None:
    world = World()
    world.flooded()
    assert any(world.shed("flood", deadline=1.1) for _ in range(1_000))
    world.now += READING_SECONDS
    assert world.read("flood"), "the flood goes on"
    assert not world.shed("flood", deadline=1.1), "the one in a while"
    assert not world.shed("flood", deadline=1.1)


def test_smaller_calls_are_read_once_one_of_them_was() -> None:
    world = World()
    world.fill("flood")
    world.read("flood", FLOPS // 100)
    world.shed("flood")
    assert world.shed("flood") == world.read("flood", FLOPS // 100)


def test_calls_of_a_caller_who_sends_short_ones_too_are_read() -> None:
    world = World()
    world.flooded()
    world.shedding.note_short("polite", "Predict")
    world.shedding.note_short("flood", "Predict")
    assert not world.shed("flood")
    world.now += SHORT_SECONDS / 2
    assert not world.shed("flood")
    assert world.read("flood")
    world.now += SHORT_SECONDS / 2
    assert world.read("flood")
    world.shed("flood")
    assert world.shed("flood")


def test_it_ends_when_nothing_is_rejected_any_more() -> None:
    world = World()
    world.flooded()
    world.now += FLOOD_SECONDS
    assert not world.shedding.active
    assert not world.shed("flood")


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.floats(0, 3), st.integers(1, 50), st.floats(0, 0.01)),
        min_size=1,
        max_size=60,
    )
)
def test_what_is_shed_would_be_rejected(calls: list[tuple[str, float, int, float]]) -> None:
    world = World()
    for caller, deadline, size, seconds in calls:
        world.now += seconds
        expires = world.now + deadline
        flood = world.shedding._floods.get((caller, "Predict"))
        if world.shedding.judge(caller, "Predict", expires) is not None:
            assert flood is not None
            work, _ = world.admission.admit([caller], [expires], [flood.flops], flood.version, [0])
            assert work is None
        else:
            world.read(caller, size * FLOPS)


def test_calls_that_arrive_together_are_judged_by_one_another_while_nothing_waits() -> None:
    admission = World().admission
    assert admission.retry_after("one", 1_000 * FLOPS, "version", 100.0 + DEADLINE) is None
    assert admission.retry_after("one", 1_000 * FLOPS, "version", 100.0 + DEADLINE, ahead=9) is not None
