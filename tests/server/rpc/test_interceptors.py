"""A client that goes is no error of the server."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from forwardpass.v1 import network_service_pb2
from forwardpass_server.memory import Arrivals
from forwardpass_server.rpc.auth import Guard
from forwardpass_server.rpc.error_mapping import ErrorMapper
from forwardpass_server.rpc.interceptors import errors
from forwardpass_server.rpc.methods import Around, Service, handlers
from forwardpass_server.rpc.receiving import Receiver

from tests.support.raw_grpc import NETWORKS
from tests.support.serving import idle_watch


class Sending:
    """A servicer that sends a response when its client has gone."""

    def __init__(self) -> None:
        self.begun, self.gone = asyncio.Event(), asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return self._send

    async def _send(self, *_: object) -> AsyncIterator[bytes]:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.gone.set()
            yield b""


async def test_a_response_that_cannot_be_sent_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    sending, mapper = Sending(), ErrorMapper(Guard(None))
    receiver = Receiver(Arrivals(2**20, 60.0), idle_watch(), max_request_bytes=2**20)
    service = Service(network_service_pb2.DESCRIPTOR.services_by_name["NetworkService"], sending)
    server, transport = grpc.aio.server(), None
    around = Around(receiver=receiver, outside=(errors(mapper),))
    server.add_generic_rpc_handlers([handlers(service, transport, around)])  # type: ignore[arg-type] # not called
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        watch: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(f"{NETWORKS}WatchNetworks")
        call = watch(b"", timeout=60)
        await sending.begun.wait()
        call.cancel()
        await sending.gone.wait()
    with caplog.at_level(logging.ERROR):
        await server.stop(60)
    assert [record.message for record in caplog.records if record.name.startswith("forwardpass")] == []
    assert sum(mapper.counted().values()) == 0
