"""What can be said of deploy/envoy.yaml without servers, and whether Envoy accepts it."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from forwardpass._transport.methods import SERVICES, repeatability_of
from forwardpass.method_options import has_no_side_effects
from forwardpass_server.oip.v2 import inference_pb2
from forwardpass_server.settings import Settings

from tests.deploy.edge.envoy import CONFIGURATION, ROOT, configuration, located, manager, servers, without_comment
from tests.support.certificates import self_signed

DOCUMENT = configuration()
ROUTES = manager(DOCUMENT)["route_config"]["virtual_hosts"][0]["routes"]
INFERENCE = inference_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
METHODS = [method for service in (*SERVICES, INFERENCE) for method in service.methods]
ALWAYS = {"connect-failure", "refused-stream"}


def path_of(method: Any) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


def route_of(path: str) -> Any:
    """The first route that takes a gRPC call without an `origin`."""
    for route in ROUTES:
        match = route["match"]
        if any(header["name"] == "origin" for header in match.get("headers", ())):
            continue
        regex = match.get("safe_regex", {}).get("regex")
        if regex is not None:
            found = re.fullmatch(regex, path) is not None
        else:
            found = match["path"] == path if "path" in match else path.startswith(match["prefix"])
        if found:
            return route
    raise AssertionError(path)


def tried_again_for(method: Any) -> set[str]:
    """The status codes for which our own client tries a method again, and by the same rule Envoy."""
    if method.containing_service is INFERENCE:
        # Our client does not call it; its reads are retried as those of our own services are.
        return {"unavailable", "cancelled"} if has_no_side_effects(method) and not method.client_streaming else set()
    if method.server_streaming or method.client_streaming:
        return set()  # Envoy would have to keep all that was sent
    return {code.name.lower() for code in repeatability_of(method).codes}


@pytest.mark.parametrize("method", METHODS, ids=path_of)
def test_a_method_is_tried_again_as_its_idempotency_says(method: Any) -> None:
    route = route_of(path_of(method))["route"]
    codes = tried_again_for(method)
    assert set(route["retry_policy"]["retry_on"].split(",")) == ALWAYS | codes | ({"reset"} if codes else set())


@pytest.mark.parametrize("method", METHODS, ids=path_of)
def test_a_stream_may_be_silent_and_a_call_ends(method: Any) -> None:
    route = route_of(path_of(method))["route"]
    streaming = method.client_streaming or method.server_streaming
    # Longer than the server's own limit, so that its typed error comes first.
    longest = 0 if streaming else Settings().call_timeout + 5
    assert route["timeout"] == "0s"  # it knows of no grpc-timeout
    assert route["max_stream_duration"] == {
        "max_stream_duration": f"{longest:.0f}s",
        "grpc_timeout_header_max": "0s",
    }
    assert route.get("idle_timeout") == ("0s" if streaming else None)
    assert float(manager(DOCUMENT)["stream_idle_timeout"].removesuffix("s")) > Settings().call_timeout


def test_every_route_is_of_use() -> None:
    paths = [path_of(method) for method in METHODS]
    paths += [f"/grpc.health.v1.Health/{name}" for name in ("Check", "List", "Watch")]
    paths += ["/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "/other"]
    assert {route_of(path)["name"] for path in paths} | {"foreign_page"} == {route["name"] for route in ROUTES}


def test_only_this_machine_administers() -> None:
    place = {"address": "127.0.0.1", "port_value": 9901}
    assert DOCUMENT["admin"]["address"]["socket_address"] == place
    # What others may see of it is one page.
    (metrics,) = [each for each in DOCUMENT["static_resources"]["listeners"] if each["name"] == "metrics"]
    (host,) = metrics["filter_chains"][0]["filters"][0]["typed_config"]["route_config"]["virtual_hosts"]
    (route,) = host["routes"]
    assert route["match"]["path"] == "/stats/prometheus"
    (admin,) = [each for each in DOCUMENT["static_resources"]["clusters"] if each["name"] == "admin"]
    (endpoint,) = admin["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert endpoint["endpoint"]["address"]["socket_address"] == place


def test_a_drain_is_seen_before_the_lame_duck_ends() -> None:
    cluster = servers(DOCUMENT)
    (check,) = cluster["health_checks"]
    times = [check["no_traffic_interval"], check["interval_jitter"], check["timeout"]]
    times.append(cluster["common_lb_config"]["update_merge_window"])
    assert sum(float(seconds.removesuffix("s")) for seconds in times) < Settings().lame_duck


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_envoy_accepts_it_without_a_warning(binary: Path, descriptors: Path, tmp_path: Path, *, tls: bool) -> None:
    text = CONFIGURATION.read_text()
    if tls:
        text = without_comment(text, "transport_socket:")
        self_signed(tmp_path)
        text = text.replace("/etc/envoy/tls", str(tmp_path))
    path = tmp_path / "envoy.yaml"
    path.write_text(yaml.safe_dump(located(yaml.safe_load(text), descriptors=descriptors)))
    command = [binary, "--mode", "validate", "-c", path, "--log-level", "warning"]
    ran = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr
    assert ran.stdout.strip().endswith("OK")


def test_the_compose_file_and_this_file_mean_the_same_server() -> None:
    cluster = servers(DOCUMENT)
    (endpoint,) = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    place = endpoint["endpoint"]["address"]["socket_address"]
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert place["address"] in services
    assert place["port_value"] == 50051
