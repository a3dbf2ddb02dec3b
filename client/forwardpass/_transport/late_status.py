"""The status of a call that ended while grpc.aio sent a request.

Sending then fails, and grpc.aio replaces the status of the server by INTERNAL, whether that has come or comes a moment
later. It calls what was added to the call as often as it sets a status:
https://github.com/grpc/grpc/blob/master/src/python/grpcio/grpc/_cython/_cygrpc/aio/call.pyx.pxi
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

import grpc

from forwardpass._errors import is_status_lost

_PAUSES_SECONDS: Final = (0.0, 0.001, 0.01, 0.1, 1.0)
"""How long the server's status is waited for, from one look to the next."""


class Statuses:
    """The statuses that a call of grpc.aio is given, one after the other."""

    def __init__(self, call: Any) -> None:
        self._errors: list[grpc.aio.AioRpcError] = []
        call.add_done_callback(self._add)

    async def own(self, error: grpc.RpcError) -> grpc.RpcError:
        """Return the error with the status that the server sent; the same error if it has that, or none comes."""
        if not is_status_lost(error):
            return error
        for pause in _PAUSES_SECONDS:
            for each in self._errors:
                # A call may end well, if the server needs no more of its requests.
                if each.code() is not grpc.StatusCode.OK and not is_status_lost(each):
                    return each
            await asyncio.sleep(pause)
        return error

    def _add(self, call: Any) -> None:
        self._errors.append(_now(_error_of(call)))


async def _error_of(call: Any) -> grpc.aio.AioRpcError:
    """Return the present status of a call that has one."""
    return grpc.aio.AioRpcError(
        await call.code(),
        await call.initial_metadata(),
        await call.trailing_metadata(),
        await call.details(),
        await call.debug_error_string(),
    )


def _now(coroutine: Coroutine[Any, Any, grpc.aio.AioRpcError]) -> grpc.aio.AioRpcError:
    """Run a coroutine that waits for nothing, where nothing can be awaited."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: grpc.aio.AioRpcError = done.value
        return result
    finally:
        coroutine.close()
    raise RuntimeError("a call that has ended has no status")
