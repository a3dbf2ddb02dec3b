"""Several server processes on one PostgreSQL database."""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest
from forwardpass.v1 import network_service_pb2 as networks
from forwardpass.v1.network_service_pb2_grpc import NetworkServiceStub

from tests.postgres import Cluster
from tests.processes import ServerProcess
from tests.wire import network_spec

Start = Callable[..., tuple[ServerProcess, NetworkServiceStub]]


@pytest.fixture
def start_replica(tmp_path: Path, cluster: Cluster) -> Iterator[Start]:
    """Start replicas on a database of the test's own."""
    url = cluster.new_database()
    with ExitStack() as stack:

        def start(*flags: str) -> tuple[ServerProcess, NetworkServiceStub]:
            process = stack.enter_context(ServerProcess(tmp_path, "--database", url, *flags))
            return process, NetworkServiceStub(stack.enter_context(grpc.insecure_channel(process.address)))

        yield start


@pytest.mark.parametrize("count", [50, pytest.param(1_000, marks=pytest.mark.prove)])
def test_a_registration_reaches_the_other_replica(
    start_replica: Start, count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Register on one; watch the other, and see each version there within a moment."""
    (_, one), (_, other) = start_replica(), start_replica()
    watch = other.WatchNetworks(networks.WatchNetworksRequest(name_prefix="net"), timeout=60)
    assert next(watch).event == networks.NETWORK_EVENT_SYNCED
    seconds = []
    for value in range(1, count + 1):
        request = networks.RegisterNetworkRequest(network=f"net-{value % 7}", spec=network_spec([[float(value)]]))
        registered = one.RegisterNetwork(request, timeout=60)
        begun = time.monotonic()
        event = next(watch)
        seconds.append(time.monotonic() - begun)
        assert (event.event, event.network.name) == (networks.NETWORK_EVENT_CHANGED, request.network)
        assert event.network.latest_version == registered.version.version
        assert event.revision == registered.revision
    watch.cancel()
    p99 = statistics.quantiles(seconds, n=100, method="inclusive")[98]
    with capsys.disabled():
        print(
            f"\n{count} registrations seen on another replica: p99 {p99 * 1e3:.1f} ms, max {max(seconds) * 1e3:.1f} ms"
        )
