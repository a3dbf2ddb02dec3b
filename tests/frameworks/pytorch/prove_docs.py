"""The recipe in docs/importing/pytorch.md, as a user runs it."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from forwardpass import Client
from forwardpass.importers import Certificate

from tests.support.server_process import ServerProcess

DOCS = Path(__file__).parents[3] / "docs" / "importing" / "pytorch.md"


def test_the_recipe(tmp_path: Path) -> None:
    section = DOCS.read_text()
    code, console = (
        re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)[0] for language in ("python", "console")
    )
    (tmp_path / "wine.py").write_text(code)
    with ServerProcess(tmp_path) as server:
        settings = {"FORWARDPASS_TARGET": server.address, "FORWARDPASS_TIMEOUT": "60", "COLUMNS": "200"}
        said = []
        for line in console.splitlines():
            arguments = shlex.split(line.removeprefix("$ forwardpass "))
            command = [sys.executable, "-c", "from forwardpass.cli import main; main()", *arguments]
            ran = subprocess.run(
                command, cwd=tmp_path, env={**os.environ, **settings}, capture_output=True, text=True, check=False
            )
            assert ran.returncode == 0, ran.stderr
            assert ran.stderr == ""
            said.append(ran.stdout)
        with Client(server.address, timeout=60) as client:
            trained, loaded = client.version("wine", version=1), client.version("wine", version=2)
            network = client.spec("wine", version=2)
        server.stop()
    assert "on 0 given and 1,000 random rows" in said[0]
    assert "on 178 given and 1,000 random rows" in said[1]
    assert "Wine: differs by at most" in said[2]
    # Both commands read the same numbers.
    digests = [Certificate.of(version.metadata) for version in (trained, loaded)]
    assert None not in digests
    assert len({certificate.digest for certificate in digests if certificate}) == 1
    assert network.classes == ("Barolo", "Grignolino", "Barbera")
    assert [layer.name for layer in network.layers] == ["normal", "stem", "block.0", "block.1", "head"]
