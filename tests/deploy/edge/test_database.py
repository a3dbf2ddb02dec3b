"""Servers on one PostgreSQL database, behind Envoy: what callers see of restarts, and of a database that goes away."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from forwardpass import Client, errors, spec

from tests.deploy.edge.envoy import Edge
from tests.deploy.edge.fleet import MARKED, Fleet
from tests.deploy.edge.http import ask
from tests.deploy.edge.load import Turns, load, over_json, stock
from tests.support.postgres import Cluster
from tests.support.server_process import wait_until

pytestmark = pytest.mark.prove

WRITES = "registrations by our client, each computed at once"


@pytest.fixture
def mortal() -> Iterator[Cluster]:
    """A cluster of the test's own."""
    with Cluster() as cluster:
        yield cluster


def one_layer(value: float) -> dict[str, object]:
    """A network that multiplies by a number."""
    return {"format": spec.FORMAT, "inputs": 1, "layers": [{"weights": [[value]]}]}


def register_for_all(fleet: Fleet) -> None:
    """Register what is read, and wait until every server knows it."""
    for server in fleet.servers:  # the first one writes, the others find it there
        with Client(server.address) as client:
            client.register(MARKED, one_layer(1.0))
            wait_until(lambda client=client: any(info.name == MARKED for info in client.networks()))


@contextmanager
def writer(address: str) -> Iterator[Turns]:
    """Registers one version after the other, and computes each at once, wherever that call may go."""
    values = count(1)
    with Client(address, timeout=60) as client:

        def write() -> None:
            value = float(next(values))
            registered = client.register("written", one_layer(value))
            response = client.predict("written", [[2.0]], version=registered.version)
            assert response.outputs == 2 * value

        yield (write,)


def test_a_rolling_restart_loses_no_write_and_no_read(
    start_before: Callable[..., Edge], mortal: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Fleet(tmp_path, "--lame-duck=2", "--database", mortal.new_database()) as fleet:
        fleet.add(3)
        edge = start_before(fleet)
        register_for_all(fleet)
        kinds = {
            "reads by a stock client": (stock, edge.address),
            "reads as JSON": (over_json, edge.address),
            WRITES: (writer, edge.address),
        }
        with load(kinds, threads=1) as running:
            for server in fleet.servers * 2:
                running.wait_for_more(20)
                assert server.stop() == 0
                server.start()
                edge.wait_for(*fleet.addresses)
            running.wait_for_more(20)
        with capsys.disabled():
            print(f"\n3 servers on one database, each restarted twice\n{running.report()}")
        assert running.failures() == []
        sent = next(caller.sent for caller in running.callers if caller.kind == WRITES)
        expected = list(range(1, sent + 1))
        # None is missing, and none was made twice by a second try. Any server may be called, some moments later.
        with Client(edge.address) as client:
            wait_until(lambda: sorted(info.number for info in client.versions("written")) == expected)


def test_the_database_stops_and_starts(
    start_before: Callable[..., Edge], mortal: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Fleet(tmp_path, "--database", mortal.new_database()) as fleet:
        fleet.add(2)
        edge = start_before(fleet)
        with Client(edge.address) as client, Client(edge.address, retries=False) as impatient:
            register_for_all(fleet)
            kinds = {"reads by a stock client": (stock, edge.address), "reads as JSON": (over_json, edge.address)}
            with load(kinds) as running:
                running.wait_for_more(20)  # so that both servers have compiled what is read
                for round_number in (1.0, 2.0):
                    mortal.stop()
                    running.wait_for_more(100)
                    with pytest.raises(errors.StoreUnavailableError) as caught:
                        impatient.register("late", one_layer(round_number))
                    assert caught.value.retry_after
                    # Nobody is taken out of service for it.
                    assert all(edge.servers().values())
                    assert ask(edge.address, "/healthz").status == 200
                    mortal.start()
                    wait_until(lambda value=round_number: registers(client, value))
            assert running.failures() == []
            assert client.predict("late", [[3.0]], version=2).outputs == 6
        with capsys.disabled():
            print(f"\nthe database stopped and started twice\n{running.report()}")


def registers(client: Client, value: float) -> bool:
    """Whether registrations are taken again."""
    try:
        client.register("late", one_layer(value))
    except errors.StoreUnavailableError:
        return False
    return True
