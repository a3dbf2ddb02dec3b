"""Envoy itself, with deploy/envoy.yaml: only addresses, paths and the name server are those of the test."""

import json
import re
import subprocess
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import yaml

from tests.support.server_process import wait_until

ROOT: Final = Path(__file__).parents[3]
CONFIGURATION: Final = ROOT / "deploy" / "envoy.yaml"
RESOLVER: Final = "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig"


def configuration() -> Any:
    """The file as it is."""
    return yaml.safe_load(CONFIGURATION.read_text())


def without_comment(text: str, beginning: str) -> str:
    """Take the `# ` from the lines of a comment, from the one that begins so to its end."""
    before, found, rest = text.partition(f"# {beginning}")
    assert found, f"there is no comment that begins with {beginning!r}"
    lines = (found + rest).splitlines(keepends=True)
    count = next(index for index, line in enumerate(lines) if not line.lstrip().startswith("# "))
    return before + "".join(line.replace("# ", "", 1) for line in lines[:count]) + "".join(lines[count:])


def manager(document: Any) -> Any:
    """The settings of the HTTP connection manager."""
    return document["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]


def servers(document: Any) -> Any:
    """The cluster of the servers."""
    (cluster,) = [each for each in document["static_resources"]["clusters"] if each["name"] == "server"]
    return cluster


def located(document: Any, *, descriptors: Path, port: int = 50051, name_server: int | None = None) -> Any:
    """Put the test's places into the document: free ports on loopback, the descriptor set, the servers' port."""
    resources = document["static_resources"]
    for place in (*resources["listeners"], document["admin"]):
        place["address"]["socket_address"] = {"address": "127.0.0.1", "port_value": 0}
    (transcoder,) = [
        each for each in manager(document)["http_filters"] if each["name"].endswith("grpc_json_transcoder")
    ]
    transcoder["typed_config"]["proto_descriptor"] = str(descriptors)
    cluster = servers(document)
    (endpoint,) = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    endpoint["endpoint"]["address"]["socket_address"]["port_value"] = port
    if name_server is not None:
        cluster["cluster_type"]["typed_config"]["typed_dns_resolver_config"] = {
            "name": "envoy.network.dns_resolver.cares",
            "typed_config": {
                "@type": RESOLVER,
                "resolvers": [{"socket_address": {"address": "127.0.0.1", "port_value": name_server}}],
                "dns_resolver_options": {"no_default_search_domain": True},
            },
        }
    return document


class Edge:
    """An Envoy process.

    Attributes:
        address: Where it takes calls, `127.0.0.1:PORT`.
        log: The file with what it wrote to stderr.
        access_log: The file of its access log.
    """

    def __init__(self, binary: Path, folder: Path, document: Any) -> None:
        self.log = folder / "envoy.log"
        self.access_log = folder / "access.log"
        path = folder / "envoy.yaml"
        path.write_text(yaml.safe_dump(document))
        admin = folder / "admin"
        command = [binary, "-c", path, "--admin-address-path", admin, "--disable-hot-restart", "--concurrency", "2"]
        with self.log.open("wb") as log, self.access_log.open("wb") as access_log:
            self.process = subprocess.Popen(
                [*map(str, command), "--log-level", "warning", "--file-flush-interval-msec", "50"],
                stdout=access_log,
                stderr=log,
            )
        wait_until(lambda: self.process.poll() is not None or (admin.exists() and admin.read_text()), 60)
        assert self.process.poll() is None, self.log.read_text()
        self._admin = admin.read_text()
        wait_until(lambda: self._ask("/ready").startswith("LIVE"), 60)
        listeners = json.loads(self._ask("/listeners?format=json"))
        (listener,) = [each for each in listeners["listener_statuses"] if each["name"] == "edge"]
        self.address = "127.0.0.1:{port_value}".format(**listener["local_address"]["socket_address"])

    def _ask(self, path: str) -> str:
        try:
            with urllib.request.urlopen(f"http://{self._admin}{path}", timeout=20) as response:
                return str(response.read().decode())
        except OSError as error:
            return str(error)

    def servers(self) -> dict[str, bool]:
        """The servers' addresses, and whether each is healthy."""
        clusters = json.loads(self._ask("/clusters?format=json"))["cluster_statuses"]
        (cluster,) = [each for each in clusters if each["name"] == "server"]
        hosts = cluster.get("host_statuses", [])
        return {
            "{address}:{port_value}".format(**host["address"]["socket_address"]): host["health_status"]
            == {"eds_health_status": "HEALTHY"}
            for host in hosts
        }

    def wait_for(self, *addresses: str) -> None:
        """Wait until exactly these servers are healthy."""
        wait_until(lambda: {address for address, healthy in self.servers().items() if healthy} == set(addresses), 60)

    def count(self, statistic: str) -> int:
        """The value of one statistic."""
        found = re.fullmatch(rf"{re.escape(statistic)}: (\d+)\n", self._ask(f"/stats?filter=^{re.escape(statistic)}$"))
        assert found, statistic
        return int(found[1])

    def calls(self) -> list[dict[str, Any]]:
        """The lines of the access log, the last one only if it is whole."""
        return [json.loads(line) for line in self.access_log.read_text().splitlines() if line.endswith("}")]

    def wait_for_calls(self, count: int) -> list[dict[str, Any]]:
        """Wait until the access log has at least `count` lines; return them."""
        wait_until(lambda: len(self.calls()) >= count)
        return self.calls()

    def stop(self) -> None:
        """Ask the process to end, and wait."""
        self.process.terminate()
        assert self.process.wait(timeout=60) == 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
