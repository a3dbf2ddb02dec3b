import asyncio

from forwardpass.errors import DeadlineExceededError, OverloadedError
from forwardpass_server.memory import Arrivals


async def test_the_oldest_of_the_caller_that_holds_most_has_to_go() -> None:
    arrivals, gone = Arrivals(100, 60.0), list[str]()

    def begin(name: str, caller: str, size: int) -> None:
        def give_up(error: Exception) -> None:
            assert isinstance(error, OverloadedError)
            gone.append(name)

        arrivals.begin(caller, give_up, size)

    begin("small", "polite", 10)
    begin("first", "greedy", 40)
    begin("second", "greedy", 40)
    assert not gone
    begin("other", "polite", 30)
    assert gone == ["first"]
    begin("third", "greedy", 500)
    assert gone == ["first", "second", "third"], "what does not fit by itself has to go too"
    assert arrivals.bytes == 40


async def test_bytes_of_an_arrival_that_had_to_go_are_not_counted() -> None:
    arrivals = Arrivals(100, 60.0)
    errors = list[Exception]()
    arrival = arrivals.begin("a", errors.append)
    arrivals.grow(arrival, 101)
    assert len(errors) == 1
    arrivals.grow(arrival, 50)
    arrivals.end(arrival)
    assert arrivals.bytes == 0


async def test_an_arrival_that_is_too_slow_has_to_go() -> None:
    arrivals = Arrivals(100, 0.01)
    error: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
    arrivals.begin("a", error.set_result, 10)
    ended = arrivals.begin("a", error.set_result, 10)
    arrivals.end(ended)
    assert isinstance(await asyncio.wait_for(error, 60), DeadlineExceededError)
    assert arrivals.bytes == 0
