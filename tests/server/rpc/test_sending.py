"""Responses on their way to clients: what is kept of them once they are handed over."""

import asyncio
import sys

from forwardpass_server.memory import COUNTED_BYTES
from forwardpass_server.rpc.sending import count, timed

from tests.support.serving import idle_unsent


def test_what_grpc_keeps_of_a_call_does_not_keep_its_response() -> None:
    async def counted_references() -> tuple[int, int]:
        unsent, response = idle_unsent(), bytes(COUNTED_BYTES)
        before = sys.getrefcount(response)
        counted = count(unsent, "caller", response)
        assert counted is not None
        forget = timed(unsent, "127.0.0.1:1", counted).forget
        del counted
        after = sys.getrefcount(response)
        assert unsent.held == COUNTED_BYTES
        forget()
        assert unsent.held == 0
        return before, after

    before, after = asyncio.run(counted_references())
    assert after == before
