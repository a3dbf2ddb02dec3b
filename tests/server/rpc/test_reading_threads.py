"""Lists and other short calls of the registry have threads of normal priority: no registration delays them."""

import os
import sys
import threading
from contextlib import ExitStack, closing
from typing import Any

import pytest
from forwardpass.spec import Limits
from forwardpass.v1.network_service_pb2 import ListNetworksRequest
from forwardpass_server.memory import Arrivals
from forwardpass_server.registry import Registry, SqlStore
from forwardpass_server.rpc import Guard, NetworkService
from forwardpass_server.rpc.broadcast import Broadcast
from forwardpass_server.rpc.context import RpcContext

from tests.support.raw_grpc import NETWORKS

CALL = RpcContext(method=f"{NETWORKS}ListNetworks", request_id="", credential=None, streaming=False)


class Noting(Guard):
    """Shows all networks, and notes the priority of the thread that lists them."""

    def __init__(self) -> None:
        super().__init__(None)
        self.noted: list[tuple[bool, int]] = []

    def network_filter(self, _: object) -> Any:
        def note(_: str) -> bool:
            thread = threading.get_native_id()
            self.noted.append((thread == os.getpid(), os.getpriority(os.PRIO_PROCESS, thread)))
            return True

        return note


@pytest.mark.skipif(sys.platform != "linux", reason="threads have priorities on Linux only")
async def test_a_list_has_a_thread_of_normal_priority() -> None:
    guard = Noting()
    with ExitStack() as stack:
        store = stack.enter_context(closing(SqlStore("sqlite://")))
        registry = stack.enter_context(closing(Registry.open(store)))
        service = NetworkService(registry, Broadcast(), Limits(), Arrivals(2**20, 60.0), guard)
        stack.enter_context(closing(service))
        listed = await service.list_networks(ListNetworksRequest(), CALL)
    assert len(listed.networks) == len(guard.noted) > 0, "those that every registry has"
    assert {*guard.noted} == {(False, os.getpriority(os.PRIO_PROCESS, os.getpid()))}
