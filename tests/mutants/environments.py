"""The environment of what makes mutants."""

from pathlib import Path

from tests.support.environments import ROOT, Environment, python

REQUIREMENTS = Path(__file__).with_name("requirements.txt")

COSMIC_RAY = Environment(folder=ROOT / ".venv-mutants", files=(REQUIREMENTS,), fill=python(REQUIREMENTS))
