"""Servers are restarted and killed under load: what callers see of it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest
from forwardpass._errors import is_stream_reset

from tests.deploy.edge.envoy import Edge
from tests.deploy.edge.fleet import Fleet
from tests.deploy.edge.load import Kind, load, ours, over_json, stock

LONG = pytest.mark.prove
GENTLY = 0.05
"""Seconds between calls in the quick form, which shares its machine with other tests."""

LAME_DUCK = "--lame-duck=2"
"""The default, which `ServerProcess` leaves out."""


def all_kinds(fleet: Fleet, edge: Edge) -> Mapping[str, Kind]:
    """Clients that know the servers, and clients that know the edge."""
    return {
        "stock client, round_robin and health check": (stock, fleet.target),
        "our client": (ours, fleet.target),
        "stock client behind Envoy": (stock, edge.address),
        "our client behind Envoy": (ours, edge.address),
        "JSON behind Envoy": (over_json, edge.address),
    }


@pytest.mark.parametrize(
    ("engine", "servers", "rounds"),
    [("native", 2, 1), pytest.param("native", 3, 4, marks=LONG), pytest.param("grpcio", 3, 4, marks=LONG)],
    indirect=["engine"],
)
def test_a_rolling_restart_loses_no_call(
    start_before: Callable[..., Edge],
    tmp_path: Path,
    engine: str,
    servers: int,
    rounds: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Fleet(tmp_path, "--engine", engine, LAME_DUCK) as fleet:
        fleet.add_marked(servers)
        edge = start_before(fleet)
        with load(all_kinds(fleet, edge), threads=1, pause=GENTLY if rounds == 1 else 0) as running:
            for _ in range(rounds):
                for server in fleet.servers:
                    running.wait_for_all(servers)
                    assert server.stop() == 0
                    server.start()
                    edge.wait_for(*fleet.addresses)
            running.wait_for_all(servers)
    with capsys.disabled():
        print(f"\n{engine}, {servers} servers, each restarted {rounds} times\n{running.report()}")
    assert running.failures() == []


@pytest.mark.parametrize(
    ("engine", "kills"),
    [pytest.param("native", 20, marks=LONG), pytest.param("grpcio", 20, marks=LONG)],
    indirect=["engine"],
)
def test_a_kill_costs_only_what_the_server_had_in_its_hands(
    start_before: Callable[..., Edge], tmp_path: Path, engine: str, kills: int, capsys: pytest.CaptureFixture[str]
) -> None:
    threads = 2
    with Fleet(tmp_path, "--engine", engine, LAME_DUCK) as fleet:
        fleet.add_marked(2)
        edge = start_before(fleet)
        kinds = all_kinds(fleet, edge)
        with load(kinds, threads=threads, pause=0) as running:
            for number in range(kills):
                running.wait_for_all(2)
                server = fleet.servers[number % 2]
                server.kill()
                server.start()
                edge.wait_for(*fleet.addresses)
            running.wait_for_all(2)
    with capsys.disabled():
        print(f"\n{engine}, 2 servers, {kills} kills\n{running.report()}")
    # Nobody tries again for a stock client of two servers, nor for one behind Envoy when its response has begun.
    allowed = {"stock client, round_robin and health check": kills * threads, "stock client behind Envoy": kills}
    for kind in kinds:
        lost = [error for caller in running.callers if caller.kind == kind for error in caller.failures]
        # A thread has one call in flight, which at worst was in the hands of the server that died.
        assert len(lost) <= allowed.get(kind, 0), (kind, lost)
        assert all(by_the_kill(error) for error in lost), lost


def by_the_kill(error: Any) -> bool:
    """Whether a call failed since its server's connections ended."""
    return isinstance(error, grpc.RpcError) and (error.code() is grpc.StatusCode.UNAVAILABLE or is_stream_reset(error))
