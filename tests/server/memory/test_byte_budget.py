"""Bytes that callers share: who gets them, who waits, and in which order."""

import gc
import weakref
from functools import partial

import pytest
from forwardpass_server.memory import ByteBudget, Claim


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


def test_claims_of_a_caller_do_not_pass_each_other() -> None:
    budget, held = ByteBudget(100), [claim("a", 30), claim("b", 50)]
    assert all(map(budget.take, held))
    large, small = claim("a", 40), claim("a", 5)
    assert not budget.take_or_wait(large)
    assert not budget.take_or_wait(small), "there is room for it, but the large one was first"
    assert not budget.take(claim("a", 5))
    budget.release(held[1])
    assert not large.taken, "more than half"
    budget.release(held[0])
    assert large.taken
    assert small.taken


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
