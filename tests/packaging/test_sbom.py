"""The list of the image's packages (`make sbom`) has what server/requirements.lock pins, and is the same each time."""

import json
import re
import subprocess

import pytest

from tests.support.environments import ROOT

PINNED = re.compile(r"^(?P<name>[a-z0-9._-]+)(\[[^]]*\])?==(?P<version>[^ ;\\]+)", re.MULTILINE)
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def make_sbom() -> bytes:
    subprocess.run(["make", "sbom"], cwd=ROOT, check=True, capture_output=True, timeout=600)  # noqa: S607 - of the path
    return (ROOT / "build" / "sbom.cdx.json").read_bytes()


@pytest.mark.prove
def test_the_sbom_has_the_pinned_packages_and_hashes() -> None:
    made = make_sbom()
    assert make_sbom() == made, "it is reproducible"
    sbom = json.loads(made)
    lock = (ROOT / "server" / "requirements.lock").read_text()
    pinned = {(found["name"], found["version"]) for found in PINNED.finditer(lock)}
    listed = {(component["name"], component["version"]) for component in sbom["components"]}
    assert listed == pinned
    assert sbom["metadata"]["component"]["name"] == "forwardpass"
    hashes = {
        each["content"]
        for component in sbom["components"]
        for reference in component["externalReferences"]
        for each in reference["hashes"]
    }
    assert hashes == set(HASH.findall(lock))
    print(f"{len(listed)} packages with {len(hashes)} hashes, as the lock file has; made twice, the same bytes")
