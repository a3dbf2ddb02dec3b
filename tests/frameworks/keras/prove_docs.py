"""The recipe in docs/importing/keras.md, as a user runs it."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from forwardpass import Client
from forwardpass.importers import Certificate

from tests.support.environments import ROOT
from tests.support.server_process import ServerProcess


def test_the_recipe(tmp_path: Path) -> None:
    section = (ROOT / "docs" / "importing" / "keras.md").read_text()
    code, console = (
        re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)[0] for language in ("python", "console")
    )
    (tmp_path / "digits.py").write_text(code)
    said = []
    with ServerProcess(tmp_path) as server:
        settings = {"FORWARDPASS_TARGET": server.address, "FORWARDPASS_TIMEOUT": "60", "COLUMNS": "200"}
        for line in console.splitlines():
            arguments = shlex.split(line.removeprefix("$ forwardpass "))
            command = [sys.executable, "-c", "from forwardpass.cli import main; main()", *arguments]
            ran = subprocess.run(
                command, cwd=tmp_path, env={**os.environ, **settings}, capture_output=True, text=True, check=False
            )
            assert ran.returncode == 0, ran.stderr
            said.append(ran.stdout)
        with Client(server.address, timeout=60) as client:
            trained, loaded = client.version("digits", version=1), client.version("digits", version=2)
        server.stop()
    assert "parity: keras 3." in said[0]
    assert "on 0 given and 1,000 random rows" in said[0]
    assert "on 1,797 given and 1,000 random rows" in said[1]
    assert "Functional(Rescaling, Dense, LayerNormalization, Dense, Add, Dropout, Dense): differs by" in said[2]
    certificates = [Certificate.of(version.metadata) for version in (trained, loaded)]
    assert len({certificate.digest for certificate in certificates if certificate}) == 1
