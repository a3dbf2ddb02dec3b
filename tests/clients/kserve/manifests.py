"""The manifests are valid by KServe's and Kubernetes' own models, which are generated from their OpenAPI schemas."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from kserve import models as kserve_models
from kubernetes import client as kubernetes

MANIFESTS = Path(__file__).parents[3] / "deploy" / "kserve"
DOCUMENTS = {
    f"{path.name}: {document['kind']}": document
    for path in sorted(MANIFESTS.glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text())
}
MODELS = {
    ("serving.kserve.io/v1alpha1", "ServingRuntime"): "V1alpha1ServingRuntime",
    ("serving.kserve.io/v1beta1", "InferenceService"): "V1beta1InferenceService",
    ("v1", "PersistentVolumeClaim"): "V1PersistentVolumeClaim",
}
PLAIN: dict[str, Any] = {"str": str, "int": int, "bool": bool, "float": (int, float)}
# Texts or numbers that the schemas call by names of their own: 1Gi, or a port by number or name.
NUMBER_OR_TEXT = {"ResourceQuantity", "IntOrString", "object"}


def check(value: Any, expected: str, path: str) -> Any:
    """Make of a document the model that it must be: no unknown field, no wrong type, nothing missing."""
    if of := re.fullmatch(r"[Ll]ist\[(.*)\]", expected):
        assert isinstance(value, list), path
        return [check(item, of[1], f"{path}[{index}]") for index, item in enumerate(value)]
    if of := re.fullmatch(r"[Dd]ict[(\[]str, (.*)[)\]]", expected):
        assert isinstance(value, dict), path
        return {key: check(item, of[1], f"{path}.{key}") for key, item in value.items()}
    if expected in PLAIN:
        assert isinstance(value, PLAIN[expected]), f"{path} is no {expected}"
        assert expected == "bool" or not isinstance(value, bool), f"{path} is no {expected}"
        return value
    if expected in NUMBER_OR_TEXT:
        assert isinstance(value, str | int | float), path
        return value
    # KServe's names of Kubernetes' own types begin with their package.
    name = expected.removeprefix("K8sIoApiApps")
    model = getattr(kserve_models, name, None) or getattr(kubernetes, name)
    assert isinstance(value, dict), path
    fields = {key: attribute for attribute, key in model.attribute_map.items()}
    unknown = value.keys() - fields.keys()
    assert not unknown, f"{path} has no {', '.join(unknown)}"
    types = model.openapi_types
    # The models' own checks refuse what is missing or not among the values of an enum.
    return model(**{fields[key]: check(item, types[fields[key]], f"{path}.{key}") for key, item in value.items()})


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_manifests_are_valid(name: str) -> None:
    document = DOCUMENTS[name]
    model = MODELS[document["apiVersion"], document["kind"]]
    check(document, model, document["kind"])


def test_both_kinds_are_there() -> None:
    assert {document["kind"] for document in DOCUMENTS.values()} >= {"ServingRuntime", "InferenceService"}


@pytest.mark.parametrize(
    ("place", "value"),
    [("predictor.modle", {}), ("predictor.minReplicas", "one"), ("predictor.model.modelFormat", {"version": 1})],
)
def test_a_faulty_manifest_is_refused(place: str, value: object) -> None:
    document: dict[str, Any] = yaml.safe_load((MANIFESTS / "inference-service.yaml").read_text().split("---\n")[1])
    *parts, last = place.split(".")
    at = document["spec"]
    for part in parts:
        at = at[part]
    at[last] = value
    with pytest.raises(AssertionError):
        check(document, "V1beta1InferenceService", "InferenceService")


def test_the_service_runs_what_the_runtime_offers() -> None:
    runtime, service = (
        next(document for document in DOCUMENTS.values() if document["kind"] == kind)
        for kind in ("ServingRuntime", "InferenceService")
    )
    model = service["spec"]["predictor"]["model"]
    assert model["runtime"] == runtime["metadata"]["name"]
    formats = [{key: one[key] for key in ("name", "version")} for one in runtime["spec"]["supportedModelFormats"]]
    assert model["modelFormat"] in formats
    assert model["protocolVersion"] in runtime["spec"]["protocolVersions"]
