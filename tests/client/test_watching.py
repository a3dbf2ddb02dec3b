"""A watch that fell behind goes on: nothing is lost and nothing is reported twice, whatever happens meanwhile."""

import itertools
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from forwardpass import Client, errors
from forwardpass._requests.watching import WatchedNetworks
from forwardpass.models import NetworkChange, NetworkInfo
from forwardpass.v1.network_service_pb2 import WatchNetworksRequest
from hypothesis import given
from hypothesis import strategies as st

from tests.client.test_retries import overloaded
from tests.support.fake_server import FakeServer
from tests.support.raw_grpc import NETWORKS, decode
from tests.support.server_process import ServerProcess

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.sampled_from("abc")),
        st.tuples(st.just("delete"), st.sampled_from("abc")),
        st.tuples(st.just("fall behind"), st.integers(0, 3)),
    ),
    max_size=30,
)


class Server:
    """Networks, and a watch of them that tells everything or breaks off."""

    def __init__(self) -> None:
        self.networks: dict[str, NetworkInfo] = {}
        self.revision = 0

    def change(self, kind: str, name: str) -> list[NetworkChange]:
        self.revision += 1
        if kind == "set":
            time = datetime.fromtimestamp(self.revision, UTC)
            self.networks[name] = NetworkInfo(
                name=name,
                latest_version=1,
                aliases={"latest": 1},
                version_count=1,
                create_time=time,
                update_time=time,
                description="",
            )
            return [self.event("changed", name)]
        return [self.event("deleted", name)] if self.networks.pop(name, None) else []

    def event(self, event: Any, name: str) -> NetworkChange:
        return NetworkChange(event=event, name=name, network=self.networks.get(name), revision=self.revision)

    def beginning(self) -> list[NetworkChange]:
        return [*(self.event("current", name) for name in sorted(self.networks)), self.event("synced", "")]


@given(STEPS, st.lists(st.sampled_from("abc"), unique=True))
def test_the_caller_knows_what_there_is_and_hears_nothing_twice(steps: list[Any], first: list[str]) -> None:
    server, watched, reported = Server(), WatchedNetworks(), list[NetworkChange]()
    for name in first:
        server.change("set", name)

    def report(changes: list[NetworkChange]) -> None:
        for change in changes:
            reported.extend(watched.report(change))

    report(server.beginning())
    missed = 0
    for kind, argument in [*steps, ("fall behind", 0)]:
        if kind == "fall behind":
            # Perhaps in the middle of its beginning, and again in that of the next one.
            watched.resume()
            report(server.beginning()[:argument])
            missed = 2
        elif missed:
            server.change(kind, argument)
            missed -= 1
            if not missed:
                watched.resume()
                report(server.beginning())
        else:
            report(server.change(kind, argument))
    watched.resume()
    report(server.beginning())
    known: dict[str, NetworkInfo | None] = {}
    for change in reported:
        if change.event == "synced":
            continue
        assert known.get(change.name) != change.network, "it is no news"
        known[change.name] = change.network
    assert {name: network for name, network in known.items() if network is not None} == server.networks
    assert [change.event for change in reported].count("synced") == 1


class TestOfClients:
    def test_it_goes_on_by_itself(self, client: Any, fake: FakeServer) -> None:
        fake.fall_behind(overloaded(0.01), times=2)
        changes = client.watch()
        first = list(itertools.islice(changes, 5))
        assert [change.event for change in first] == ["current"] * 3 + ["synced", "deleted"]
        fake.networks["new"] = fake.networks["article-linear"]
        del fake.networks["article-2-hidden"]
        more = list(itertools.islice(changes, 2))
        assert [(change.event, change.name) for change in more] == [("changed", "new"), ("deleted", "article-2-hidden")]
        changes.close()
        assert fake.methods().count("WatchNetworks") >= 2

    def test_without_retries_the_error_is_raised(self, connect: Any, fake: FakeServer) -> None:
        fake.fall_behind(overloaded(0.01), times=1)
        with pytest.raises(errors.OverloadedError):
            list(connect(fake.address, retries=False).watch())

    def test_it_does_not_go_on_when_its_time_is_over(self, client: Any, fake: FakeServer) -> None:
        fake.fall_behind(overloaded(3_600), times=1)
        with pytest.raises(errors.OverloadedError):
            list(client.watch(timeout=60))


IMPATIENT: Final = """
from forwardpass_server.rpc import broadcast
broadcast.MAX_NAMES = 3
from forwardpass_server.cli import main
main()
"""
"""A server that keeps few names for a watcher."""
NAMES: Final = [f"net-{number}" for number in range(8)]
ROUNDS: Final = 100


@pytest.mark.prove
def test_over_the_wire(tmp_path: Path, engine: str, connect: Any) -> None:
    with (
        ServerProcess(tmp_path, "--engine", engine, python=("-c", IMPATIENT)) as server,
        Client(server.address, timeout=60) as writer,
        grpc.insecure_channel(server.address, options=[("grpc.http2.lookahead_bytes", 1024)]) as channel,
    ):
        raw: grpc.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(f"{NETWORKS}WatchNetworks")
        request = WatchNetworksRequest(name_prefix="net-").SerializeToString()
        unread, changes = raw(request, timeout=120), connect(server.address).watch(prefix="net-", timeout=600)
        next(unread)
        assert next(changes).event == "synced"
        for place in range(ROUNDS):
            for name in NAMES:
                document = {"format": "forwardpass.network/1", "inputs": 1, "layers": [{"weights": [[place + 1.0]]}]}
                writer.register(name, {**document, "description": f"{place} " + "x" * 9_900})
        writer.register("net-last", document)
        with pytest.raises(grpc.RpcError) as error:
            list(unread)
        reported: dict[str, NetworkInfo | None] = {}
        count = 0
        for change in changes:
            assert reported.get(change.name) != change.network, "it is no news"
            reported[change.name] = change.network
            count += 1
            if change.name == "net-last":
                break
        changes.close()
        there = {network.name: network for network in writer.networks()}
    refused = decode(error.value)
    assert (refused.reason, refused.facts["quotaLimit"]) == ("OVERLOADED", "3")
    assert refused.details["RetryInfo"].retry_delay.seconds == 1
    assert {name for name in NAMES if reported.get(name) != there[name]} == set()
    print(f"{engine}: {ROUNDS * len(NAMES) + 1} changes, {count} reported to a client that read late, none lost")
