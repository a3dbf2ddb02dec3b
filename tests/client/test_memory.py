"""Large requests wait until there is room for them."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from forwardpass import errors
from forwardpass._transport.memory import LARGE_BYTES, AsyncByteLimit, ByteLimit, NoRoomError, large_bytes

from tests.support.client_factory import ClientFactory
from tests.support.fake_server import FakeServer
from tests.support.server_process import wait_until

SIZES = [5, 1, 9, 30, 2, 10, 4, 1, 1, 7] * 3
CAPACITY = 10
ROWS = np.ones((LARGE_BYTES // 16, 2))
"""Just large enough to wait."""


@pytest.mark.parametrize(
    ("rows", "is_large"),
    [
        (np.ones((10, 2)), False),
        (np.ones((LARGE_BYTES // 8, 1)), True),
        ([[1.0, 2.0]] * (LARGE_BYTES // 16), True),
        ([1.0] * 10, False),
        ({"a": 1.0}, False),
        (None, False),
    ],
    ids=["few", "array", "lists", "one row", "named", "nothing"],
)
def test_only_large_requests_wait(rows: Any, is_large: bool) -> None:
    assert (large_bytes(rows) >= LARGE_BYTES) is is_large


class TestThreads:
    def test_are_never_more_than_the_capacity_or_one_alone(self) -> None:
        limit, lock, held, most = ByteLimit(CAPACITY), threading.Lock(), [], [0]

        def hold(size: int) -> None:
            with limit.hold(size, 60):
                with lock:
                    held.append(size)
                    assert sum(held) <= CAPACITY or held == [size]
                    most[0] = max(most[0], len(held))
                time.sleep(0.002)
                with lock:
                    held.remove(size)

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(hold, SIZES))
        assert held == []
        assert most[0] > 1

    def test_give_up_in_time_and_leave_no_trace(self) -> None:
        limit = ByteLimit(CAPACITY)
        with limit.hold(8, None):
            with pytest.raises(NoRoomError), limit.hold(8, 0.05):
                pass
            with limit.hold(2, 0.05):
                pass
        with limit.hold(10, 0.05):
            pass


class TestTasks:
    async def test_are_never_more_than_the_capacity_or_one_alone(self) -> None:
        limit, held, most = AsyncByteLimit(CAPACITY), [], [0]

        async def hold(size: int) -> None:
            async with limit.hold(size, 60):
                held.append(size)
                assert sum(held) <= CAPACITY or held == [size]
                most[0] = max(most[0], len(held))
                await asyncio.sleep(0.002)
                held.remove(size)

        await asyncio.gather(*map(hold, SIZES))
        assert held == []
        assert most[0] > 1

    async def test_give_up_in_time_and_leave_no_trace(self) -> None:
        limit = AsyncByteLimit(CAPACITY)
        async with limit.hold(8, None):
            with pytest.raises(NoRoomError):
                async with limit.hold(8, 0.05):
                    pass
            async with limit.hold(2, 0.05):
                pass
        async with limit.hold(10, 0.05):
            pass


@pytest.fixture
def tight(connect: ClientFactory, fake: FakeServer) -> Any:
    """A client, of each kind in turn, that has two requests of `ROWS` in flight at most."""
    client = connect(fake.address)
    inner = getattr(client, "_client", client)
    inner._bytes = type(inner._bytes)(2 * ROWS.nbytes)
    return client


class TestClients:
    def test_hold_back_what_has_no_room(self, tight: Any, fake: FakeServer) -> None:
        holds = [fake.hold() for _ in range(4)]
        with ThreadPoolExecutor(4) as threads:
            calls = [threads.submit(tight.predict, "article-linear", ROWS, timeout=60) for _ in range(4)]
            wait_until(lambda: len(fake.calls) == 2)
            time.sleep(0.3)
            assert len(fake.calls) == 2
            for hold in holds:
                hold.set()
            assert [len(call.result().outputs) for call in calls] == [len(ROWS)] * 4

    def test_tell_those_whose_time_is_over_while_they_wait(self, tight: Any, fake: FakeServer) -> None:
        hold = fake.hold()
        whole = np.ones((2 * len(ROWS), 2))
        with ThreadPoolExecutor(1) as threads:
            first = threads.submit(tight.predict, "article-linear", whole, timeout=60)
            wait_until(lambda: fake.calls)
            with pytest.raises(errors.DeadlineExceededError, match=r"within 0\.2 s"):
                tight.predict("article-linear", ROWS, timeout=0.2)
            hold.set()
            assert len(first.result().outputs) == len(whole)
        assert len(fake.calls) == 1

    def test_may_have_no_limit_of_time(self, connect: ClientFactory, fake: FakeServer) -> None:
        outputs = connect(fake.address, timeout=None).predict("article-linear", ROWS).outputs
        assert len(outputs) == len(ROWS)
