"""A server that says how much of its C heap is in use: `python -m tests.support.heap_server` prints its port.

Its methods never respond: those of grpc.aio by itself, and those of our handlers.
"""

import asyncio
import ctypes
from typing import Any, Final, cast

import grpc
from forwardpass.v1 import network_service_pb2
from forwardpass_server.memory import Arrivals
from forwardpass_server.rpc.methods import Around, Service, handlers
from forwardpass_server.rpc.prediction_service import prediction_service
from forwardpass_server.rpc.receiving import Receiver

from tests.support.serving import idle_watch

IN_USE: Final = "/test.Heap/InUse"
PLAIN: Final = "/test.Heap/Plain"
NETWORK_SERVICE: Final = network_service_pb2.DESCRIPTOR.services_by_name["NetworkService"]


class _MallInfo2(ctypes.Structure):
    # uordblks is what was allocated and not freed; there are seven numbers before it and two after it.
    _fields_ = [*((f"before{index}", ctypes.c_size_t) for index in range(7)), ("uordblks", ctypes.c_size_t)] + [
        (f"after{index}", ctypes.c_size_t) for index in range(2)
    ]


def can_be_measured() -> bool:
    """Return whether the C library knows it, as glibc does from 2.33 on."""
    return hasattr(ctypes.CDLL(None), "mallinfo2")


async def _in_use(_: bytes, __: Any) -> bytes:
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = _MallInfo2
    return str(mallinfo2().uordblks).encode()


async def _never(*_: Any, **__: Any) -> Any:
    await asyncio.Event().wait()


class _Never:
    max_stream_requests = 64

    def __getattr__(self, name: str) -> Any:
        return _never


_NEVER: Final = cast("Any", _Never())


async def serve() -> None:
    server = grpc.aio.server()
    around = Around(receiver=Receiver(Arrivals(2**30, 60.0), idle_watch(), max_request_bytes=2**20), outside=())
    own = {"InUse": _in_use, "Plain": _never}
    server.add_generic_rpc_handlers(
        [
            grpc.method_handlers_generic_handler(
                "test.Heap", {name: grpc.unary_unary_rpc_method_handler(method) for name, method in own.items()}
            ),
            handlers(prediction_service(_NEVER), _NEVER, around),
            handlers(Service(NETWORK_SERVICE, _NEVER), _NEVER, around),
        ]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve())
