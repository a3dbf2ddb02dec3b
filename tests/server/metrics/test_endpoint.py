"""The metrics of a real server, as Prometheus reads them, against calls whose number is known."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from itertools import chain
from pathlib import Path

import pytest
from forwardpass import Client
from forwardpass.errors import ForwardpassError
from forwardpass.reasons import REASONS
from forwardpass_server.metrics import families, table
from forwardpass_server.metrics.families import FAMILIES
from prometheus_client.parser import text_string_to_metric_families

from tests.support import fork_server
from tests.support.ports import free_port
from tests.support.postgres import Cluster
from tests.support.sample_networks import BUILTINS, tiny
from tests.support.server_process import ServerProcess, wait_until

METRICS = ("--metrics-listen", "127.0.0.1:0")
DOCS = Path(__file__).parents[3] / "docs" / "reference" / "metrics.md"
WITHOUT_EXTRA = """
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "prometheus_client" else find(name, *rest)
from forwardpass_server.cli import main
main(sys.argv[1:])
"""

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(server: ServerProcess) -> Samples:
    """Every sample by its name and labels."""
    host, _, path = server.metrics.removeprefix("http://").partition("/")
    connection = HTTPConnection(host, timeout=60)
    connection.request("GET", f"/{path}")
    text = connection.getresponse().read().decode()
    connection.close()
    samples = chain.from_iterable(family.samples for family in text_string_to_metric_families(text))
    return {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[f"forwardpass_{name}", frozenset(labels.items())]


@pytest.fixture
def measured(start_server: Callable[..., ServerProcess]) -> ServerProcess:
    return start_server(*METRICS)


@pytest.fixture
def client(measured: ServerProcess) -> Iterator[Client]:
    with Client(measured.address) as client:
        yield client


def test_what_is_counted_is_what_was_called(measured: ServerProcess, client: Client, engine: str) -> None:
    for count in (1, 3, 300):
        client.predict("article-linear", [[1, 2]] * count)
    client.trace("article-linear", [1, 2])
    client.predict("article-2-hidden", [3, 5])
    wrong: list[tuple[str, list[float]]] = [
        ("article-linear", [1, 2, 3]),
        ("article-linear", [float("nan"), 1]),
        ("nowhere", [1]),
        ("nowhere", [1]),
    ]
    reasons = []
    for name, row in wrong:
        with pytest.raises(ForwardpassError) as caught:
            client.predict(name, row)
        reasons.append(next(reason for reason, kind in REASONS.items() if kind is type(caught.value)))
    client.register("mine", tiny(1.0))
    client.register("mine", tiny(2.0))
    client.predict("mine", [1])

    # A call is counted out after its response is sent.
    wait_until(lambda: value(scrape(measured), "calls_in_flight") == 0)
    samples = scrape(measured)
    calls = {"article-linear": 4, "article-2-hidden": 1, "mine": 1}
    rows = {"article-linear": 305, "article-2-hidden": 1, "mine": 1}
    for name, number in calls.items():
        assert value(samples, "call_seconds_count", network=name) == number
        assert value(samples, "batch_rows_sum", network=name) == rows[name]
        assert value(samples, "batch_rows_count", network=name) == number
        assert value(samples, "call_seconds_sum", network=name) > 0
        assert value(samples, "stage_seconds_total", network=name, stage="execute") > 0
    buckets = {
        bound: value(samples, "batch_rows_bucket", network="article-linear", le=bound) for bound in ("1", "4", "256")
    }
    assert buckets == {"1": 2, "4": 3, "256": 3}
    assert value(samples, "failed_calls_total", network="article-linear") == 2
    assert {reason: value(samples, "errors_total", reason=reason) for reason in REASONS} == {
        reason: reasons.count(reason) for reason in REASONS
    }
    assert value(samples, "build_info", engine=engine, version="0.1.0") == 1
    assert value(samples, "serving") == 1
    assert value(samples, "calls_in_flight") == 0
    assert value(samples, "calls_in_flight_limit") == 1000
    assert value(samples, "waiting_work_seconds") == 0
    assert value(samples, "registry_networks") == len(BUILTINS) + 1
    assert value(samples, "registry_versions", state="in_service") == len(BUILTINS) + 2
    assert value(samples, "registry_versions", state="out_of_service") == 0
    assert value(samples, "registry_revision") == len(BUILTINS) + 2
    assert value(samples, "latest_version", network="mine") == 2
    assert value(samples, "compiled_versions") >= 3
    assert value(samples, "compiled_bytes") > 0
    assert samples["process_resident_memory_bytes", frozenset()] > 0
    assert labels_of(samples) == {family.name: {*family.labels} for family in FAMILIES}


def labels_of(samples: Samples) -> dict[str, set[str]]:
    """The labels of each family of our own."""
    found: dict[str, set[str]] = {}
    for name, labels in samples:
        if name.startswith("forwardpass_"):
            family = re.sub(r"_(total|info|count|sum|bucket)$", "", name)
            found.setdefault(family, set()).update(label for label, _ in labels)
    return found


def test_metrics_are_read_while_calls_are_answered(measured: ServerProcess, client: Client) -> None:
    def counted() -> float:
        return value(scrape(measured), "call_seconds_count", network="article-linear")

    client.predict("article-linear", [1, 2])
    with ThreadPoolExecutor(8) as threads:
        calls = [threads.submit(client.predict, "article-linear", [1, 2]) for _ in range(200)]
        seen = [read.result() for read in [threads.submit(counted) for _ in range(8)]]
        for call in calls:
            call.result()
    wait_until(lambda: counted() >= 201)
    assert max(seen) <= counted() == 201


def test_a_drain_is_seen(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server(*METRICS, "--lame-duck", "60")
    server.process.terminate()
    wait_until(lambda: value(scrape(server), "serving") == 0)
    server.kill()


def test_the_port_is_the_servers_until_it_ends(start_server: Callable[..., ServerProcess], tmp_path: Path) -> None:
    measured = start_server(f"--metrics-listen=127.0.0.1:{free_port()}")
    address = measured.metrics.removeprefix("http://").removesuffix("/metrics")
    arguments = ["serve", "--listen=127.0.0.1:0", f"--metrics-listen={address}"]
    arguments += [f"--database=sqlite:///{tmp_path}/second.db"]
    ended = fork_server.run("forwardpass-server", arguments, environment=os.environ)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert f"cannot listen on {address}: " in ended.stderr
    assert measured.stop() == 0
    host, _, port = address.rpartition(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=60)


def test_without_the_extra_the_start_ends_with_a_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_EXTRA, "serve", "--listen=127.0.0.1:0", *METRICS]
    command += [f"--database=sqlite:///{tmp_path}/own.db"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("forwardpass-server: setting metrics_listen needs the extra `metrics`")
    assert "prometheus_client is not installed; pip install 'forwardpass[metrics]'" in ended.stderr


def test_every_family_is_exported() -> None:
    assert set(FAMILIES) == {value for value in vars(families).values() if isinstance(value, families.Family)}


def test_the_documented_table_is_fresh() -> None:
    assert table() in DOCS.read_text()


def test_a_database_that_is_away_is_seen(tmp_path: Path) -> None:
    with Cluster() as own, ServerProcess(tmp_path, "--database", own.new_database(), *METRICS) as server:

        def reachable() -> float:
            return value(scrape(server), "database_reachable")

        assert reachable() == 1
        own.stop()
        wait_until(lambda: reachable() == 0)
        own.start()
        wait_until(lambda: reachable() == 1)
