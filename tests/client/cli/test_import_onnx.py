"""`forwardpass import model.onnx`: the recipes of the pages on ONNX, as they stand there."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

from forwardpass import Client
from forwardpass.importers import Certificate

from tests.client.cli.conftest import Run
from tests.support.server_process import ServerProcess

DOCS = Path(__file__).parents[3] / "docs"
PAGES = (DOCS / "importing" / "onnx.md", DOCS / "how-to" / "export-onnx.md")


def blocks(language: str) -> list[str]:
    text = "".join(page.read_text() for page in PAGES)
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def test_the_recipe_in_the_docs(run: Run, tmp_path: Path, server: ServerProcess) -> None:
    make, from_python = blocks("python")
    (console,) = blocks("console")
    python(make, tmp_path)
    lines = [shlex.split(line.removeprefix("$ forwardpass ")) for line in console.splitlines()]
    said, shown, _ = (" ".join(run(*line, cwd=tmp_path).stdout.split()) for line in lines)
    assert "parity: onnxruntime" in said
    assert "scores version 1, digest" in said
    assert "ONNX graph, 6 nodes: differs by at most" in shown
    assert python(from_python, tmp_path).splitlines()[-1] == "True"
    with Client(server.address) as client:
        version = client.version("scores")
        certificate = Certificate.of(version.metadata)
        assert certificate is not None
        assert certificate.covers(client.spec("scores"))
        assert client.predict("scores", [4, 0.5, -1, 2]).outputs.shape == (1, 1)


def python(code: str, folder: Path) -> str:
    """Run a program in a folder and return what it says."""
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=180, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
