"""Executes the notebooks: `python -m examples.notebooks` writes each source with its outputs as a notebook beside it.

A source is a Python file whose cells begin with `# %%`, Jupytext's percent format. With `--check` nothing is written.
Needs the dependency group `notebooks`.
"""

import argparse
import hashlib
from pathlib import Path
from typing import Any, Final

import jupytext
import nbclient
import nbformat

FOLDER: Final = Path(__file__).parent
SOURCES: Final = ("article.py", "scikit_learn.py", "why_no.py")
DIGEST: Final = "source_sha256"
"""The key of a notebook's metadata that has the SHA-256 of its source."""

_SECONDS: Final = 300
"""The longest time for a cell."""


def main() -> None:
    """Execute each notebook, and write it unless it is only checked."""
    parser = argparse.ArgumentParser(prog="python -m examples.notebooks", description=__doc__)
    parser.add_argument("--check", action="store_true", help="execute, and write nothing")
    only_check = parser.parse_args().check
    for name in SOURCES:
        source = FOLDER / name
        notebook = executed(source)
        if not only_check:
            nbformat.write(notebook, source.with_suffix(".ipynb"))
        print(f"{name}: {len(notebook.cells)} cells")


def executed(source: Path) -> Any:
    """Return the notebook of a source, with the outputs of its cells.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell raises an error.
    """
    notebook = jupytext.read(source)
    for place, cell in enumerate(notebook.cells):
        cell.id = f"cell-{place}"  # the same at each run, as all else
    notebook.metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        DIGEST: hashlib.sha256(source.read_bytes()).hexdigest(),
    }
    client = nbclient.NotebookClient(notebook, timeout=_SECONDS, resources={"metadata": {"path": str(FOLDER)}})
    client.execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when it was executed
    notebook.metadata.pop("language_info", None)  # the Python that executed it
    return notebook


if __name__ == "__main__":
    main()
