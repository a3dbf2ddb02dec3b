"""The manifests are valid by Kubernetes' own schemas, and agree with each other, the server's settings and Envoy.

kustomize itself is not run: what its files name is resolved here.
"""

import json
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from forwardpass_server.settings import PREFIX, Settings

from tests.deploy.test_image import parsed

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KEYS = {"apiVersion", "kind", "namespace", "resources", "labels", "images", "configMapGenerator"}


def kustomization(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert document["apiVersion"] == "kustomize.config.k8s.io/v1beta1"
    assert document["kind"] == "Kustomization"
    assert document.keys() <= KEYS
    return document


def resources(folder: Path) -> Iterator[dict[str, Any]]:
    """Every resource that a folder's kustomization names, those of other folders too."""
    for name in kustomization(folder)["resources"]:
        path = (folder / name).resolve()
        # kustomize reads nothing from outside.
        assert path.is_relative_to(folder)
        yield from resources(path) if path.is_dir() else yaml.safe_load_all(path.read_text())


ALL = [*resources(DEPLOY)]
BY_NAME = {(found["kind"], found["metadata"]["name"]): found for found in ALL}
TEMPLATES = {
    found["metadata"]["name"]: found["spec"]["template"] for found in ALL if found["kind"] in {"Deployment", "Job"}
}
CONTAINERS = {
    f"{name} {container['name']}": (template["spec"], container)
    for name, template in TEMPLATES.items()
    for container in chain(template["spec"]["containers"], template["spec"].get("initContainers", []))
}


@pytest.mark.parametrize("found", ALL, ids=[f"{found['kind']} {found['metadata']['name']}" for found in ALL])
def test_a_resource_is_valid(found: dict[str, Any]) -> None:
    kubernetes_validate.validate(found, "1.37", strict=True)


def test_the_validation_finds_what_is_wrong() -> None:
    wrong = json.loads(json.dumps(BY_NAME["Deployment", "server"]))
    wrong["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(jsonschema.ValidationError):
        kubernetes_validate.validate(wrong, "1.37", strict=True)


def test_every_manifest_is_named_and_none_twice() -> None:
    files = {path for path in (DEPLOY / "kubernetes").glob("*.yaml") if path.name != "kustomization.yaml"}
    named = {(DEPLOY / "kubernetes" / name) for name in kustomization(DEPLOY / "kubernetes")["resources"]}
    assert named | {DEPLOY / "kubernetes" / "edge.yaml"} == files
    assert len(BY_NAME) == len(ALL)


@pytest.mark.parametrize("name", CONTAINERS)
def test_no_container_has_more_than_it_needs(name: str) -> None:
    """As the policy `restricted` has it, which the namespace enforces; and root file systems cannot be written."""
    pod, container = CONTAINERS[name]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["requests"].keys() == {"cpu", "memory"}
    assert "memory" in container["resources"]["limits"]
    volumes = {volume["name"] for volume in pod["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} <= volumes


@pytest.mark.parametrize("name", [name for name in CONTAINERS if CONTAINERS[name][1]["image"] == "forwardpass"])
def test_the_server_understands_its_command_and_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pod, container = CONTAINERS[name]
    parsed(container["args"])
    # Else a service's name becomes a variable that is no setting.
    assert pod["enableServiceLinks"] is False
    for variable in container.get("env", []):
        assert variable["name"].removeprefix(PREFIX).lower() in Settings.model_fields
        if "value" in variable:
            monkeypatch.setenv(variable["name"], variable["value"])
        else:
            assert variable["valueFrom"] == {"secretKeyRef": {"name": "database", "key": "url"}}
    settings = Settings()
    if container["args"] == ["serve"]:
        assert settings.insecure, "in the image it listens on all addresses, without tokens"
        assert pod["terminationGracePeriodSeconds"] > settings.lame_duck + settings.drain_timeout
        liveness = container["livenessProbe"]
        assert liveness["periodSeconds"] * liveness["failureThreshold"] > settings.lame_duck + settings.drain_timeout
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert settings.metrics_listen == f"0.0.0.0:{ports['metrics']}"
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert container[probe]["grpc"] == {"port": ports["grpc"]}


def labels_of(name: str) -> dict[str, str]:
    labels: dict[str, str] = TEMPLATES[name]["metadata"]["labels"]
    return labels


def selects(selector: Mapping[str, str], name: str) -> bool:
    return selector.items() <= labels_of(name).items()


@pytest.mark.parametrize("name", ["server", "edge"])
def test_selectors_mean_their_own_pods_and_no_others(name: str) -> None:
    service = "forwardpass" if name == "edge" else name
    selectors = [
        BY_NAME["Deployment", name]["spec"]["selector"]["matchLabels"],
        BY_NAME["PodDisruptionBudget", name]["spec"]["selector"]["matchLabels"],
        BY_NAME["Service", service]["spec"]["selector"],
        BY_NAME["NetworkPolicy", name]["spec"]["podSelector"]["matchLabels"],
        *(each["labelSelector"]["matchLabels"] for each in TEMPLATES[name]["spec"]["topologySpreadConstraints"]),
    ]
    for selector in selectors:
        assert [other for other in TEMPLATES if selects(selector, other)] == [name]
    ports = {port["name"] for port in TEMPLATES[name]["spec"]["containers"][0]["ports"]}
    assert {port["targetPort"] for port in BY_NAME["Service", service]["spec"]["ports"]} <= ports


def test_the_autoscaler_means_the_servers() -> None:
    target = BY_NAME["HorizontalPodAutoscaler", "server"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) in BY_NAME
    assert "replicas" not in BY_NAME["Deployment", "server"]["spec"]


def test_envoy_finds_the_servers_its_configuration_and_the_descriptors() -> None:
    envoy = yaml.safe_load((DEPLOY / "envoy.yaml").read_text())["static_resources"]
    (cluster,) = (found for found in envoy["clusters"] if found["name"] == "server")
    (endpoint,) = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    address = endpoint["endpoint"]["address"]["socket_address"]
    service = BY_NAME["Service", address["address"]]["spec"]
    assert service["clusterIP"] == "None"  # the text, as Kubernetes has it
    assert address["port_value"] in {port["port"] for port in service["ports"]}
    (generated,) = kustomization(DEPLOY)["configMapGenerator"]
    pod, container = CONTAINERS["edge envoy"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert {"name": "config", "configMap": {"name": generated["name"]}} in pod["volumes"]
    assert f"{mounts['config']}/{generated['files'][0]}" in container["args"]
    assert (DEPLOY / generated["files"][0]).is_file()
    _, job = CONTAINERS["edge descriptors"]
    (written,) = (mount["mountPath"] for mount in job["volumeMounts"] if mount["name"] == "descriptors")
    assert job["args"][1] == f"{written}/protos.binpb"
    assert f"{mounts['descriptors']}/protos.binpb" in (DEPLOY / "envoy.yaml").read_text()
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["envoy"]
    assert container["image"] == compose["image"]


def test_the_policies_let_through_what_the_services_need() -> None:
    def ports(name: str, way: str) -> set[int]:
        rules = BY_NAME["NetworkPolicy", name]["spec"][way]
        return {port["port"] for rule in rules for port in rule["ports"]}

    assert BY_NAME["NetworkPolicy", "default"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for name in ("server", "edge"):
        listens = {port["containerPort"] for port in TEMPLATES[name]["spec"]["containers"][0]["ports"]}
        assert ports(name, "ingress") == listens
    assert ports("edge", "egress") == {53, 50051}
    assert ports("database", "egress") == {53, 5432}


def test_the_image_has_the_version_of_this_project() -> None:
    from importlib.metadata import version

    for folder in (DEPLOY, DEPLOY / "kubernetes"):
        assert kustomization(folder)["images"] == [{"name": "forwardpass", "newTag": version("forwardpass")}]
