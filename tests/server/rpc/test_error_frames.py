"""A call that fails frees its request at once, not when garbage is collected."""

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from forwardpass.errors import MalformedRequestError
from forwardpass.v1 import network_service_pb2
from forwardpass_server.memory import Arrivals
from forwardpass_server.rpc.auth import Guard
from forwardpass_server.rpc.error_mapping import ErrorMapper
from forwardpass_server.rpc.interceptors import InFlight, admission, errors
from forwardpass_server.rpc.methods import Around, Service, handlers
from forwardpass_server.rpc.receiving import Receiver

from tests.support.raw_grpc import NETWORKS
from tests.support.serving import idle_watch


class Content:
    """Stands for what a call holds in memory."""


class Failing:
    """A servicer whose methods fail while they hold something."""

    def __init__(self) -> None:
        self.held: list[weakref.ref[Content]] = []

    def __getattr__(self, name: str) -> Any:
        return self._fail

    async def _fail(self, *_: object) -> None:
        content = Content()
        self.held.append(weakref.ref(content))
        # The cause is no error that was handled when this one was raised.
        raise MalformedRequestError("it is malformed", method="a method") from self._cause()

    def _cause(self) -> ValueError:
        content = Content()
        self.held.append(weakref.ref(content))
        try:
            int("none", base=10)
        except ValueError as error:
            return error
        raise AssertionError("int reads no words")


@pytest.fixture
def _without_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_without_collection")
async def test_an_error_keeps_nothing_of_its_call() -> None:
    failing, mapper = Failing(), ErrorMapper(Guard(None))
    around = Around(
        receiver=Receiver(Arrivals(2**20, 60.0), idle_watch(), max_request_bytes=2**20),
        outside=(errors(mapper),),
        inside=(errors(mapper), admission(InFlight(10))),
    )
    server = grpc.aio.server()
    service = Service(network_service_pb2.DESCRIPTOR.services_by_name["NetworkService"], failing)
    transport: Any = None
    server.add_generic_rpc_handlers([handlers(service, transport, around)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"{NETWORKS}GetNetwork")
        for _ in range(3):
            with pytest.raises(grpc.aio.AioRpcError, match="it is malformed"):
                await call(b"", timeout=60)
    await server.stop(None)
    assert [content() for content in failing.held] == [None] * 6
