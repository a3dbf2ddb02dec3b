"""The image and the compose files, run by podman: `make test-compose`. Which images are substitutes is printed."""

import json
import re
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from forwardpass import Client
from forwardpass.errors import NetworkNotFoundError

from tests.containers import images, podman
from tests.containers.composition import Composition
from tests.deploy.test_observability import QUERIES
from tests.support.ports import free_port
from tests.support.sample_networks import tiny
from tests.support.server_process import wait_until

pytestmark = pytest.mark.prove

SINGLE = images.ROOT / "deploy" / "compose.single.yml"
FLEET = images.ROOT / "docker-compose.yml"
ALL = ("postgres", "migrate", "descriptors", "server", "envoy", "prometheus")


@pytest.fixture(scope="module", autouse=True)
def substitutes() -> list[str]:
    reason = podman.obstacle()
    if reason is not None:
        pytest.skip(f"containers cannot run here: {reason}")
    made = images.make_all()
    print(f"\nsubstitutes: {', '.join(made) or 'none'}; not started: grafana")
    return made


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Composition]:
    """Everything of docker-compose.yml but Grafana, with two servers."""
    environment = {"FORWARDPASS_PORT": str(port), "POSTGRES_PASSWORD": secrets.token_hex(16)}
    with Composition(FLEET, tmp_path_factory.mktemp("fleet"), environment) as composition:
        composition.up(*ALL, scale={"server": 2})
        composition.wait("envoy", "service_healthy")
        yield composition


@pytest.fixture
def client(fleet: Composition, port: int) -> Iterator[Client]:  # noqa: ARG001 - it must be there
    with Client(f"127.0.0.1:{port}") as client:
        yield client


def test_the_image_is_small_and_is_not_root(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = json.loads(podman.run("podman", "image", "inspect", images.OWN))[0]
    base = json.loads(podman.run("podman", "image", "inspect", images.PYTHON))[0]
    with capsys.disabled():
        print(f"\nthe image has {(image['Size'] - base['Size']) / 1e6:.0f} MB beside its base")
    assert image["Config"]["User"] == "10001:10001"
    inside = ["podman", "run", "--rm", "--network=none", "--entrypoint=python", images.OWN, "-c"]
    packages = "import grpc, pygrpc_native, psycopg, prometheus_client, uvicorn"
    code = f"{packages}; from importlib.util import find_spec; print(find_spec('pip'))"
    assert podman.run(*inside, code, environment=podman.settings(tmp_path)) == "None"


def test_a_single_server_keeps_its_networks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    with Composition(SINGLE, tmp_path, {"FORWARDPASS_PORT": str(port)}) as composition:
        begun = time.monotonic()
        composition.up("server")
        (container,) = composition.containers("server")
        wait_until(lambda: "ready on" in composition.log(container))
        with capsys.disabled():
            print(f"\na server is ready {time.monotonic() - begun:.1f} s after podman-compose was called")
        composition.wait("server", "service_healthy")
        with Client(f"127.0.0.1:{port}") as client:
            client.register("kept", tiny(3.0))
        assert composition.stop(container) == 0  # drained
        composition.start(container)
        composition.wait("server", "service_healthy")
        podman.run("podman", "kill", container)
        composition.down()
        composition.up("server")
        composition.wait("server", "service_healthy")
        with Client(f"127.0.0.1:{port}") as client:
            assert client.predict("kept", [2]).outputs.tolist() == [[6.0]]


def test_no_container_can_do_more_than_it_must(fleet: Composition) -> None:
    for name in ("envoy", "server", "postgres", "prometheus"):
        for container in fleet.containers(name):
            status = dict(
                re.findall(r"^(\w+):\s+(\S+)", fleet.execute(container, "cat", "/proc/1/status"), re.MULTILINE)
            )
            assert int(status["Uid"]) > 0
            assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
            assert status["NoNewPrivs"] == "1"
            with pytest.raises(AssertionError, match="Read-only file system"):
                fleet.execute(container, "touch", "/opt/mine")
            limits = json.loads(podman.run("podman", "inspect", container))[0]["HostConfig"]
            assert limits["Memory"] > 0
            assert limits["PidsLimit"] > 0
            assert limits["NanoCpus"] > 0 or limits["CpuQuota"] > 0


def test_one_port_has_grpc_and_json(client: Client, port: int) -> None:
    client.register("edge", tiny(2.0))
    wait_until(lambda: seen_by_all(client, "edge"))
    assert client.predict("edge", [4]).outputs.tolist() == [[8.0]]
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", "/v1/networks/edge")
        response = connection.getresponse()
        assert response.status == 200
        assert json.loads(response.read())["network"]["name"] == "edge"


def seen_by_all(client: Client, name: str) -> bool:
    """Whether many calls in a row, spread over all servers, find a network."""
    try:
        return all(client.network(name).name == name for _ in range(20))
    except NetworkNotFoundError:
        return False


def test_every_server_answers_and_a_further_one_joins(fleet: Composition, client: Client) -> None:
    fleet.up("server", scale={"server": 3})
    assert len(fleet.containers("server")) == 3
    fleet.wait("server", "service_healthy")

    def completed() -> int:
        for _ in range(100):
            client.predict("article-linear", [1, 2])
        found = ask(fleet, 'forwardpass_call_seconds_count{network="article-linear"} > 0')
        return len({sample["metric"]["instance"] for sample in found})

    wait_until(lambda: completed() == 3, 120)


def test_servers_are_stopped_in_turn_and_no_call_is_lost(
    fleet: Composition, port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    servers = fleet.containers("server")
    wait_until(lambda: healthy_for_envoy(fleet) == len(servers), 120)
    stop = threading.Event()
    outcomes: Counter[str] = Counter()

    def call() -> None:
        with Client(f"127.0.0.1:{port}") as client:
            while not stop.is_set():
                try:
                    client.predict("article-linear", [1, 2])
                    outcomes["completed"] += 1
                except Exception as error:  # noqa: BLE001 - counted
                    outcomes[repr(error)] += 1

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for container in servers:
            assert fleet.stop(container) == 0
            fleet.start(container)
            # Its own word is not enough: Envoy must have found it again.
            wait_until(lambda: healthy_for_envoy(fleet) == len(servers), 120)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    with capsys.disabled():
        print(f"\nservers restarted in turn: {outcomes}")
    assert [*outcomes] == ["completed"]


def healthy_for_envoy(fleet: Composition) -> int:
    """How many servers Envoy has found healthy, as it says at this moment."""
    (container,) = fleet.containers("prometheus")
    figures = fleet.execute(container, "wget", "-q", "-O", "-", "http://envoy:9902/stats/prometheus")
    name = r'envoy_cluster_membership_healthy\{envoy_cluster_name="server"\}'
    (found,) = re.findall(rf"^{name} (\d+)", figures, flags=re.MULTILINE)
    return int(found)


def test_every_query_of_the_dashboard_has_an_answer(fleet: Composition, client: Client) -> None:
    client.predict("article-linear", [[1, 2]] * 10)
    missing = set(QUERIES)

    def completed() -> bool:
        # Rates look a minute back, and on a busy machine asking everything takes as long.
        client.predict("article-linear", [1, 2])
        with pytest.raises(NetworkNotFoundError):
            client.predict("nowhere", [1])
        for place in list(missing):
            if ask(fleet, QUERIES[place]):
                missing.discard(place)
        return not missing

    try:
        wait_until(completed, 120)
    except AssertionError:
        pytest.fail(f"no response to {missing}")
    assert ask(fleet, 'ALERTS{alertstate="firing"}') == []


def ask(fleet: Composition, query: str) -> Any:
    """Ask Prometheus for the samples of a query."""
    (container,) = fleet.containers("prometheus")
    url = f"http://127.0.0.1:9090/api/v1/query?query={quote(query)}"
    response = json.loads(fleet.execute(container, "wget", "-q", "-O", "-", url))
    assert response["status"] == "success"
    return response["data"]["result"]


def test_networks_outlive_every_container(fleet: Composition, port: int) -> None:
    # Closed before its connection's other end is taken away without a word, as the network of a container is.
    with Client(f"127.0.0.1:{port}") as client:
        client.register("lasting", tiny(5.0))
    fleet.down()
    fleet.up(*ALL)
    fleet.wait("envoy", "service_healthy")
    with Client(f"127.0.0.1:{port}", timeout=60) as again:
        assert again.predict("lasting", [2]).outputs.tolist() == [[10.0]]


def test_without_a_password_nothing_starts(tmp_path: Path) -> None:
    composition = Composition(FLEET, tmp_path, {"POSTGRES_PASSWORD": ""})
    with pytest.raises(AssertionError, match=r"copy \.env\.example to \.env"):
        composition.up("postgres")
