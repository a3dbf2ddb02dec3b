"""`forwardpass import model.onnx`: the recipes of the pages on ONNX, as they stand there."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

from forwardpass import Client
from forwardpass.importers import Certificate
from onnx.parser import parse_model

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


def test_the_axis_of_the_rows_is_said_by_an_option(run: Run, tmp_path: Path) -> None:
    """The error names the option."""
    graph = parse_model('<ir_version: 8, opset_import: ["" : 17]> g (float[3,N] x) => (float[3,N] y) { y = Tanh(x) }')
    (tmp_path / "columns.onnx").write_bytes(graph.SerializeToString())
    arguments = ["import", "columns.onnx", "--out", "columns.json"]
    rejected = run(*arguments, cwd=tmp_path, code=1)
    assert "--rows-axis 1" in " ".join(rejected.stderr.split())
    assert "parity: onnxruntime" in run(*arguments, "--rows-axis", "1", cwd=tmp_path).stdout
