"""A client in JavaScript that learns the protocol from the server by reflection."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.clients.environments import HERE
from tests.clients.place import VARIABLE


def test_a_client_made_by_reflection(environment_of: Callable[[str], Path], place: Path) -> None:
    packages = environment_of("node") / "node_modules"
    ran = subprocess.run(
        ["node", str(HERE / "node" / "client.js")],  # noqa: S607 - npm installed the packages for it
        env={**os.environ, "NODE_PATH": str(packages), VARIABLE: str(place)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {"responses": 50}
