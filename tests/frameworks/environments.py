"""The environment of each framework: this project as it stands here, and the framework's pinned versions."""

from pathlib import Path

from tests.support.environments import ROOT, Environment, python

HERE = Path(__file__).parent


def _environment(name: str) -> Environment:
    ours, theirs = HERE / "requirements.txt", HERE / name / "requirements.txt"
    return Environment(
        folder=ROOT / f".venv-frameworks-{name}",
        files=(ROOT / "pyproject.toml", ours, theirs),
        fill=python(ours, theirs),
    )


ENVIRONMENTS = {name: _environment(name) for name in ("scikit_learn", "keras", "pytorch", "onnx", "agents")}
"""By the name of the folder with the framework's `cases.py`, `requirements.txt` and perhaps `prove_*.py`."""
