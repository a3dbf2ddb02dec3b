"""The compose files agree with the image, the server's settings and each other, and give no service more than it needs.

Their grammar is linted by `make check`; `make test-compose` starts them.
"""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from forwardpass_server.settings import PREFIX, Settings

from tests.deploy.test_image import parsed

ROOT = Path(__file__).parents[2]
FLEET = ROOT / "docker-compose.yml"
SINGLE = ROOT / "deploy" / "compose.single.yml"
DOCUMENTS = {path.name: yaml.safe_load(path.read_text()) for path in (FLEET, SINGLE)}
SERVICES = {
    f"{file}: {name}": service for file, document in DOCUMENTS.items() for name, service in document["services"].items()
}
JOBS = ("migrate", "descriptors")
OF_ALL = ("read_only", "cap_drop", "security_opt", "restart", "logging")


def fleet(name: str) -> dict[str, Any]:
    service: dict[str, Any] = DOCUMENTS[FLEET.name]["services"][name]
    return service


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
def test_no_service_has_more_than_it_needs(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory", "pids"}
    user = service.get("user", "10001")  # our image's own
    assert int(user.partition(":")[0]) > 0
    assert service["restart"]
    for port in service.get("ports", []):
        assert port.startswith(("127.0.0.1:", "${FORWARDPASS_BIND:-127.0.0.1}:"))


@pytest.mark.parametrize("name", SERVICES)
def test_whatever_stays_up_is_asked_for_its_health(name: str) -> None:
    job = name.partition(": ")[2] in JOBS
    assert ("healthcheck" in SERVICES[name]) != job
    assert SERVICES[name]["restart"] == ("on-failure:5" if job else "unless-stopped")


@pytest.mark.parametrize("name", [name for name, service in SERVICES.items() if "build" in service])
def test_the_server_understands_its_command_and_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    service = SERVICES[name]
    parsed([*service.get("command", ["serve"])])
    for variable, value in service.get("environment", {}).items():
        if variable.startswith(PREFIX):
            monkeypatch.setenv(variable, value)
            assert variable.removeprefix(PREFIX).lower() in Settings.model_fields
    # In the image it listens on all addresses, without tokens.
    assert Settings().insecure == name.endswith(": server")


@pytest.mark.parametrize("service", [fleet("server"), DOCUMENTS[SINGLE.name]["services"]["server"]])
def test_a_stop_waits_for_a_whole_drain(service: dict[str, Any]) -> None:
    settings = Settings()
    assert int(service["stop_grace_period"].removesuffix("s")) > settings.lame_duck + settings.drain_timeout


def test_networks_of_a_single_server_are_on_a_volume() -> None:
    single = DOCUMENTS[SINGLE.name]["services"]["server"]
    assert single["ports"] == ["127.0.0.1:${FORWARDPASS_PORT:-50051}:50051"]
    assert single["volumes"] == ["networks:/data"]


def test_only_servers_reach_the_database() -> None:
    networks = DOCUMENTS[FLEET.name]["networks"]
    assert networks["database"] == {"internal": True}
    inside = {name for name in DOCUMENTS[FLEET.name]["services"] if "database" in fleet(name).get("networks", [])}
    assert inside == {"server", "migrate", "postgres"}
    assert not {name for name in inside if "ports" in fleet(name)}


def test_what_must_be_there_first_is_waited_for() -> None:
    waits = {name: fleet(name).get("depends_on", {}) for name in DOCUMENTS[FLEET.name]["services"]}
    assert waits["server"] == {"migrate": {"condition": "service_completed_successfully"}}
    assert waits["migrate"] == {"postgres": {"condition": "service_healthy"}}
    assert waits["envoy"]["server"] == {"condition": "service_healthy"}
    assert waits["envoy"]["descriptors"] == {"condition": "service_completed_successfully"}


def test_there_is_no_secret_in_the_file_and_the_example_has_every_variable() -> None:
    text = FLEET.read_text()
    assert {value for _, value in re.findall(r"^\s*(\w*PASSWORD): (.*)$", text, flags=re.MULTILINE)} == {
        "${POSTGRES_PASSWORD:?copy .env.example to .env and put a password into it}"
    }
    example = (ROOT / ".env.example").read_text()
    for variable in set(re.findall(r"\$\{(\w+)", text)):
        assert re.search(rf"^(# )?{variable}=", example, flags=re.MULTILINE), variable
    assert re.search(r"^POSTGRES_PASSWORD=$", example, flags=re.MULTILINE)
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()


def test_files_that_are_mounted_are_there() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            if source.startswith("."):
                assert (ROOT / source).exists(), source
