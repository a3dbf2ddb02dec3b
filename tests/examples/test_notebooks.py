"""The notebooks are those of their sources; `make prove` executes them."""

import hashlib
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "notebooks"
SOURCES = sorted(path for path in FOLDER.glob("*.py") if not path.stem.startswith("__"))


def cells(source: Path) -> list[tuple[str, str]]:
    """The kind and text of each cell of a source."""
    found: list[tuple[str, str]] = []
    for cell in source.read_text().split("# %%")[1:]:
        head, _, text = cell.partition("\n")
        is_text = head.strip() == "[markdown]"
        lines = [line.removeprefix("#").removeprefix(" ") if is_text else line for line in text.strip().splitlines()]
        found.append(("markdown" if is_text else "code", "\n".join(lines)))
    return found


def notebook_of(source: Path) -> Any:
    return json.loads(source.with_suffix(".ipynb").read_text())


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.stem))
def test_a_notebook_is_that_of_its_source(source: Path) -> None:
    notebook = notebook_of(source)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    assert notebook["metadata"]["source_sha256"] == digest, "run make notebooks"
    assert [(cell["cell_type"], "".join(cell["source"])) for cell in notebook["cells"]] == cells(source)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.stem))
def test_a_notebook_has_its_outputs(source: Path) -> None:
    outputs = [output for cell in notebook_of(source)["cells"] for output in cell.get("outputs", ())]
    assert not [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"]
    pictures = [output["data"]["image/svg+xml"] for output in outputs if "image/svg+xml" in output.get("data", {})]
    assert pictures
    assert all("".join(picture).lstrip().startswith("<svg") for picture in pictures)
    assert str(ROOT) not in source.with_suffix(".ipynb").read_text(), "no path of the machine that executed it"


@pytest.mark.prove
def test_they_are_executed() -> None:
    if find_spec("nbclient") is None or find_spec("jupytext") is None or find_spec("ipykernel") is None:
        pytest.skip("the dependency group `notebooks` is not installed")
    ran = subprocess.run(
        [sys.executable, "-m", "examples.notebooks", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    print(ran.stdout)
    assert len(ran.stdout.splitlines()) == len(SOURCES)
