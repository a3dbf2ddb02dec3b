"""Bytes that callers share: who gets them, who waits, and in which order."""

import gc
import weakref
from functools import partial

import pytest
from forwardpass_server.memory import ByteBudget, Claim
from hypothesis import assume, given, settings
from hypothesis import strategies as st


def claim(caller: str, size: int) -> Claim:
    return Claim(caller=caller, size=size)


def test_a_caller_gets_half_and_all_get_the_whole() -> None:
    budget, first = ByteBudget(100), claim("a", 50)
    assert budget.take(first)
    assert not budget.take(claim("a", 1))
    assert budget.take(claim("b", 50))
    assert not budget.take(claim("c", 1))
    budget.release(first)
    budget.release(first)
    assert budget.take(claim("c", 50))
    assert budget.held == 100


def test_a_caller_that_holds_nothing_may_take_more_than_its_half() -> None:
    budget, first = ByteBudget(100), claim("a", 90)
    assert budget.take(first)
    assert not budget.take(claim("b", 20))
    budget.release(first)
    assert budget.take(claim("b", 1_000)), "nothing else is held, so waiting would not help"


def test_who_waits_is_resumed_in_order_once_there_is_room() -> None:
    budget, resumed = ByteBudget(100), list[str]()
    held = [claim("a", 50), claim("b", 40)]
    assert all(map(budget.take, held))
    for caller, size, name in (("a", 50, "a"), ("c", 30, "first"), ("c", 20, "second")):
        waiting = Claim(caller=caller, size=size, resume=lambda name=name: resumed.append(name))  # type: ignore[misc]
        assert not budget.take_or_wait(waiting)
    assert not resumed
    budget.release(held[1])
    assert resumed == ["first", "second"], "the caller at its half does not make the others wait"
    budget.release(held[0])
    assert resumed == ["first", "second", "a"]
    assert budget.held == 100


def test_a_small_claim_passes_a_large_one_of_its_caller() -> None:
    budget, held = ByteBudget(100), claim("a", 30)
    assert budget.take(held)
    large = claim("a", 40)
    assert not budget.take_or_wait(large)
    assert budget.take(claim("a", 5))
    assert budget.take_or_wait(claim("a", 5))
    assert not budget.take(claim("a", 1)), "the large one would not have its part of the half"
    waiting = claim("a", 10)
    assert not budget.take_or_wait(waiting)
    budget.release(held)
    assert large.taken, "however many small ones follow"
    assert not waiting.taken


def test_a_small_claim_that_waits_passes_a_large_one_too() -> None:
    budget, held = ByteBudget(100), [claim("a", 30), claim("b", 50), claim("c", 20)]
    assert all(map(budget.take, held))
    large, small = claim("a", 40), claim("a", 10)
    assert not budget.take_or_wait(large)
    assert not budget.take_or_wait(small)
    budget.release(held[2])
    assert (large.taken, small.taken) == (False, True)
    budget.release(held[0])
    assert large.taken


def test_who_follows_a_claim_that_is_given_up_is_served() -> None:
    budget, held, resumed = ByteBudget(100), claim("a", 30), list[str]()
    assert budget.take(held)
    large = claim("a", 50)
    small = Claim(caller="a", size=20, resume=lambda: resumed.append("small"))
    assert not budget.take_or_wait(large)
    assert not budget.take_or_wait(small)
    budget.release(large)
    assert resumed == ["small"]
    assert budget.held == 50


@settings(max_examples=40)
@given(
    st.lists(st.integers(1, 50), min_size=1, max_size=5),
    st.integers(1, 50),
    st.lists(st.tuples(st.sampled_from(["take", "wait", "release"]), st.integers(0, 9), st.integers(1, 50))),
)
def test_a_large_claim_waits_only_for_those_before_it(
    sizes: list[int], large_size: int, actions: list[tuple[str, int, int]]
) -> None:
    budget, large, later = ByteBudget(100), claim("a", large_size), list[Claim]()
    held = [each for size in sizes if budget.take(each := claim("a", size))]
    assume(not budget.take_or_wait(large))
    for action, number, size in actions:
        if action != "release":
            later.append(claim("a", size))
            (budget.take if action == "take" else budget.take_or_wait)(later[-1])
        elif later:
            budget.release(later[number % len(later)])
    for each in held:
        budget.release(each)
    assert large.taken


ACTIONS = st.tuples(
    st.sampled_from(["take", "wait", "release", "resize", "late"]), st.integers(0, 30), st.integers(1, 70)
)


@settings(max_examples=40)
@given(st.lists(ACTIONS, max_size=60))
def test_who_waits_has_no_room(actions: list[tuple[str, int, int]]) -> None:
    budget, claims, resumed = ByteBudget(100), list[Claim](), list[Claim]()
    waiting: list[Claim] = []
    for now, (action, number, size) in enumerate(actions):
        each = claims[number % len(claims)] if claims else claim("a", size)
        if action in {"take", "wait"}:
            each = Claim(caller="abc"[number % 3], size=size, expires=now + size)
            each.resume = partial(resumed.append, each)
            fits = _fits(each, claims, waiting)
            assert (budget.take if action == "take" else budget.take_or_wait)(each) is fits
            claims.append(each)
            if action == "wait" and not fits:
                waiting.append(each)
        elif action == "late":
            budget.end_late(now)
        elif action == "release":
            budget.release(each)
        else:
            budget.resize(each, size)
        waiting = [each for each in waiting if each not in resumed]
        assert budget.held == sum(each.size for each in claims if each.taken)
        assert budget.waiting == {each.caller for each in waiting}
        assert not any(_fits(each, claims, waiting[:place]) for place, each in enumerate(waiting))
    for each in claims:
        budget.release(each)
    assert (budget.held, budget.waiting) == (0, set())


def _fits(new: Claim, claims: list[Claim], before: list[Claim]) -> bool:
    """Return whether there is room for a claim, given all others and those that have waited for longer."""
    held = sum(each.size for each in claims if each.taken)
    own = [each for each in claims if each.taken and each.caller == new.caller]
    older = [each.size for each in before if each.caller == new.caller]
    of_caller = sum(each.size for each in own)
    if (held and held + new.size > 100) or (of_caller and of_caller + new.size > 50):
        return False
    return not older or sum(each.size for each in own if each.has_passed) + new.size + older[0] <= 50


def test_who_no_longer_waits_is_resumed_without_bytes() -> None:
    budget, resumed = ByteBudget(100), list[str]()
    held = claim("a", 100)
    assert budget.take(held)
    released = Claim(caller="b", size=1, resume=lambda: resumed.append("released"))
    late = Claim(caller="c", size=1, resume=lambda: resumed.append("late"), expires=5.0)
    assert not budget.take_or_wait(released)
    assert not budget.take_or_wait(late)
    budget.release(released)
    budget.end_late(4.9)
    assert resumed == ["released"]
    budget.end_late(5.0)
    assert resumed == ["released", "late"]
    assert not released.taken
    assert not late.taken
    budget.release(held)
    budget.release(late)
    assert (budget.held, budget.waiting) == (0, set())


def test_a_claim_becomes_as_large_as_the_response() -> None:
    budget, first, waiting = ByteBudget(100), claim("a", 50), claim("a", 10)
    assert budget.take(first)
    assert not budget.take_or_wait(waiting)
    budget.resize(first, 120)
    assert budget.held == 120
    budget.resize(first, 30)
    assert waiting.taken
    budget.release(first)
    budget.resize(first, 90)
    assert budget.held == 10, "it was released"


@pytest.mark.parametrize("held", [0, 100], ids=["room at once", "room later"])
def test_a_caller_is_forgotten_with_its_claim_without_a_collection_of_garbage(held: int) -> None:
    class Call:
        def __init__(self) -> None:
            self.claim = claim("a", 50)
            self.claim.resume = partial(self.go_on, self.claim)

        def go_on(self, claim: Claim) -> None:
            assert claim.taken

    budget, before, call = ByteBudget(100), claim("b", held), Call()
    gc.disable()
    try:
        assert budget.take(before)
        assert budget.take_or_wait(call.claim) is (held == 0)
        budget.release(before)
        budget.release(call.claim)
        kept = weakref.ref(call)
        del call
        assert kept() is None, "a request of many megabytes would stay until garbage is collected"
    finally:
        gc.enable()
