"""Clients in other languages, as examples/ has them: of one server, and through Envoy."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.clients.environments import NotInstallableError, environment
from tests.deploy.edge.envoy import ROOT, Edge
from tests.deploy.edge.fleet import Fleet

NODE = """\
registered node-bank version 1
predicted 9
hidden: 5,1
output: 9
streamed 100 answers, the last one 102
refused with INVALID_ARGUMENT, SHAPE_MISMATCH: expected [rows, 2]
"""


def test_node_on_its_own_server(fleet: Fleet, descriptors: Path) -> None:
    assert run_node(fleet.addresses[0], descriptors) == NODE


def test_node_through_envoy(edge: Edge, fleet: Fleet, descriptors: Path) -> None:
    for address in fleet.addresses:  # each has a database of its own, and none may lack the network
        run_node(address, descriptors)
    assert run_node(edge.address, descriptors) == NODE


def run_node(address: str, descriptors: Path) -> str:
    """Run the example; return what it prints."""
    try:
        packages = environment("node_example") / "node_modules"
    except NotInstallableError as error:
        pytest.skip(f"the packages of examples/node cannot be installed: {error}")
    ran = subprocess.run(
        ["node", str(ROOT / "examples" / "node" / "client.js"), address],  # noqa: S607 - npm installed the packages for it
        env={**os.environ, "NODE_PATH": str(packages), "FORWARDPASS_DESCRIPTORS": str(descriptors)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
