"""The metrics that Prometheus scrapes and the dashboard queries exist in what real servers export."""

import json
import re
import shutil
import subprocess
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import yaml
from forwardpass import Client
from forwardpass.reasons import REASONS
from prometheus_client.parser import text_string_to_metric_families

from tests.support.server_process import ServerProcess

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "observability"
SCRAPE = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
DASHBOARD = json.loads((FOLDER / "grafana" / "dashboards" / "forwardpass.json").read_text())
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
DOCUMENTED = re.findall(
    r"^\| [^|]+ \| `([^`]+)` \|$", (ROOT / "docs" / "reference" / "metrics.md").read_text(), flags=re.MULTILINE
)

# Prometheus' own, and those of Envoy that are kept, which `make test-compose` asks Envoy for.
OF_PROMETHEUS = {"up"}
OF_ENVOY = re.compile(r"envoy_\w+")


def queries() -> dict[str, str]:
    """Every query by its place, with Grafana's variables filled in as Grafana does."""
    found = {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in DASHBOARD["panels"]
        for target in panel["targets"]
    }
    found |= {f"docs {number}": query for number, query in enumerate(DOCUMENTED)}
    return {place: query.replace("$__rate_interval", "1m").replace("$network", ".*") for place, query in found.items()}


QUERIES = queries()
ALERTS = {
    rule["alert"]: rule["expr"]
    for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
}
ASKED = QUERIES | ALERTS


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """The labels of every metric of a real server that was called."""
    folder = tmp_path_factory.mktemp("metrics")
    with ServerProcess(folder, "--metrics-listen", "127.0.0.1:0") as server:
        with Client(server.address) as client:
            client.predict("article-linear", [1, 2])
        connection = HTTPConnection(server.metrics.removeprefix("http://").partition("/")[0], timeout=60)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
    labels: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    return labels


def names(query: str) -> set[str]:
    """The metrics that a query is about."""
    without = re.sub(r"\{[^}]*\}|by \([^)]*\)", "", query)
    return set(re.findall(r"\b(?:forwardpass|process|python|envoy|up)\w*(?![\w(])", without))


@pytest.mark.parametrize("place", ASKED)
def test_a_query_asks_for_what_is_exported(place: str, exported: dict[str, set[str]]) -> None:
    query = ASKED[place]
    queried = names(query)
    assert queried
    known = {"instance", "job"}
    for name in queried - OF_PROMETHEUS:
        if OF_ENVOY.fullmatch(name):
            kept = next(job for job in SCRAPE if job["job_name"] == "envoy")["metric_relabel_configs"][0]["regex"]
            assert re.fullmatch(kept, name)
            known |= {"le", "envoy_cluster_name", "envoy_response_code_class"}
        else:
            assert name in exported
            known |= exported[name]
    labels = set(re.findall(r"(\w+)\s*(?:=~|=)\s*\"", query))
    for grouped in re.findall(r"by \(([^)]*)\)", query):
        labels |= {label.strip() for label in grouped.split(",")}
    assert labels <= known


def test_every_metric_is_on_the_dashboard_or_about_the_build() -> None:
    from forwardpass_server.metrics.families import FAMILIES

    shown = set().union(*map(names, QUERIES.values()))
    missing = {family.name for family in FAMILIES if not any(name.startswith(family.name) for name in shown)}
    assert missing == {
        "forwardpass_build",
        "forwardpass_compiled_versions",
        "forwardpass_failed_calls",
        "forwardpass_registry_versions",
        "forwardpass_serving",
    }


def test_prometheus_finds_the_servers_by_the_name_and_port_that_compose_gives_them() -> None:
    found = {job["job_name"]: job for job in SCRAPE}
    (by_dns,) = found["server"]["dns_sd_configs"]
    assert by_dns["names"] == ["server"]
    listen = COMPOSE["server"]["environment"]["FORWARDPASS_SERVER_METRICS_LISTEN"]
    assert listen == f"0.0.0.0:{by_dns['port']}"
    (target,) = found["envoy"]["static_configs"][0]["targets"]
    envoy = yaml.safe_load((ROOT / "deploy" / "envoy.yaml").read_text())
    (listener,) = [each for each in envoy["static_resources"]["listeners"] if each["name"] == "metrics"]
    assert target == f"envoy:{listener['address']['socket_address']['port_value']}"
    assert (
        set(COMPOSE["prometheus"]["networks"]) & set(COMPOSE["envoy"]["networks"]) & set(COMPOSE["server"]["networks"])
    )


def test_grafana_has_the_dashboard_and_where_its_data_is() -> None:
    mounted = dict(volume.split(":")[:2] for volume in COMPOSE["grafana"]["volumes"])
    provisioning = FOLDER / "grafana" / "provisioning"
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "forwardpass.yml").read_text())["providers"]
    folders = {inside: ROOT / outside for outside, inside in mounted.items()}
    assert (folders[provider["options"]["path"]] / "forwardpass.json").is_file()
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]} == {source["uid"]}


def test_queries_and_configuration_are_valid_for_prometheus(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool, of Debian's package prometheus, is not here")
    rules: list[dict[str, Any]] = [
        {"record": f"query:{number}", "expr": query} for number, query in enumerate(QUERIES.values())
    ]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    subprocess.run([promtool, "check", "rules", tmp_path / "rules.yml"], check=True, timeout=60)
    subprocess.run([promtool, "check", "config", FOLDER / "prometheus.yml"], check=True, timeout=60)
    subprocess.run([promtool, "test", "rules", FOLDER / "alerts.test.yml"], check=True, timeout=60)


def test_reasons_that_alerts_are_about_are_reasons() -> None:
    queried = re.findall(r'reason=~?"([^"]*)"', " ".join(ALERTS.values()))
    assert {reason for each in queried for reason in each.split("|")} <= REASONS.keys()
