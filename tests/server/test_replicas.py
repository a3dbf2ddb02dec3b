"""Several server processes on one PostgreSQL database."""

import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import grpc
import pytest
from forwardpass.v1 import network_service_pb2 as networks
from forwardpass.v1.network_service_pb2_grpc import NetworkServiceStub
from forwardpass.v1.prediction_service_pb2 import PredictManyRequest
from forwardpass.v1.prediction_service_pb2_grpc import PredictionServiceStub

from tests.support.postgres import Cluster
from tests.support.raw_grpc import network_spec, predict_request
from tests.support.server_process import ServerProcess


@dataclass(frozen=True)
class Replica:
    """A server and the stubs of its services."""

    address: str
    networks: NetworkServiceStub
    predictions: PredictionServiceStub


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[tuple[Replica, Replica]]:
    """Two servers on one database. They read changes when they are notified or must, and never by polling."""
    url = cluster.new_database()
    with ExitStack() as stack:

        def start() -> Replica:
            flags = ("--database", url, "--database-poll", "3600", "--max-versions", "100000")
            process = stack.enter_context(ServerProcess(tmp_path_factory.mktemp("replica"), *flags))
            channel = stack.enter_context(grpc.insecure_channel(process.address))
            return Replica(process.address, NetworkServiceStub(channel), PredictionServiceStub(channel))

        yield start(), start()


@pytest.mark.parametrize("count", [20, pytest.param(1_000, marks=pytest.mark.prove)])
def test_a_registration_reaches_the_other_replica(
    replicas: tuple[Replica, Replica], count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Register on one server and watch the other: each version arrives there within a moment."""
    one, other = (replica.networks for replica in replicas)
    watch = other.WatchNetworks(networks.WatchNetworksRequest(name_prefix="watched-"), timeout=60 + 5 * count)
    assert next(watch).event == networks.NETWORK_EVENT_SYNCED
    seconds = []
    for value in range(1, count + 1):
        request = networks.RegisterNetworkRequest(network=f"watched-{value % 7}", spec=network_spec([[float(value)]]))
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


def test_a_caller_finds_on_each_server_what_it_wrote_on_one(replicas: tuple[Replica, Replica]) -> None:
    """Write on one server and read from the other at once."""
    one, other = (replica.networks for replica in replicas)
    here, there = (replica.predictions for replica in replicas)
    for value in range(1, 11):
        done = one.RegisterNetwork(
            networks.RegisterNetworkRequest(network="net", spec=network_spec([[float(value)]])), timeout=60
        )
        # By its number, which the other need not know yet.
        known = there.Predict(predict_request("net", [1.0], str(done.version.version)), timeout=60)
        assert known.version == done.version.version
        assert known.revision >= done.revision
        moved = one.SetAlias(
            networks.SetAliasRequest(network="net", alias="stable", version=str(done.version.version)), timeout=60
        )
        request = predict_request("net", [1.0], "stable")
        request.min_revision = moved.revision
        for stub in (there, here):
            response = stub.Predict(request, timeout=60)
            assert (response.version, response.revision) == (done.version.version, moved.revision)
        many = there.PredictMany(PredictManyRequest(requests=[request, predict_request("nothing", [1.0])]), timeout=60)
        assert many.results[0].response.version == done.version.version
        assert many.results[1].error.code == grpc.StatusCode.NOT_FOUND.value[0]
        got = other.GetNetwork(networks.GetNetworkRequest(network="net", min_revision=moved.revision), timeout=60)
        assert (got.version.version, got.revision) == (done.version.version, moved.revision)
        listed = other.ListVersions(
            networks.ListVersionsRequest(network="net", min_revision=moved.revision), timeout=60
        )
        assert listed.versions[0].version == done.version.version
    # A name that was never heard of is looked for, and then is not there.
    one.RegisterNetwork(networks.RegisterNetworkRequest(network="new", spec=network_spec([[1.0]])), timeout=60)
    assert other.GetNetwork(networks.GetNetworkRequest(network="new"), timeout=60).network.name == "new"
    with pytest.raises(grpc.RpcError, match="NOT_FOUND"):
        other.GetNetwork(networks.GetNetworkRequest(network="newer"), timeout=60)
    request.min_revision = 10**6
    with pytest.raises(grpc.RpcError, match="FAILED_PRECONDITION"):
        there.Predict(request, timeout=60)
    with pytest.raises(grpc.RpcError, match="FAILED_PRECONDITION"):
        other.GetNetwork(networks.GetNetworkRequest(network="net", min_revision=10**6), timeout=60)
    revision = one.DeleteNetwork(networks.DeleteNetworkRequest(network="net"), timeout=60).revision
    request.min_revision = revision
    with pytest.raises(grpc.RpcError, match="NOT_FOUND"):
        there.Predict(request, timeout=60)
