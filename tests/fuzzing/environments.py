"""The environment of the fuzzer: this project as it stands here, and atheris."""

from pathlib import Path

from tests.support.environments import ROOT, Environment, python

REQUIREMENTS = Path(__file__).with_name("requirements.txt")

ATHERIS = Environment(
    folder=ROOT / ".venv-fuzzing",
    files=(ROOT / "pyproject.toml", REQUIREMENTS),
    fill=python(REQUIREMENTS),
)
