"""The floors that `make test-floors` installs are those that pyproject.toml says."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def script() -> ModuleType:
    specification = importlib.util.spec_from_file_location("floors", Path(__file__).with_name("floors.py"))
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_every_dependency_and_extra_is_pinned_to_its_floor(script: ModuleType) -> None:
    text = """
    [project]
    dependencies = ["numpy>=1.26", "grpcio >= 1.66, <2"]
    [project.optional-dependencies]
    cli = ["typer[all]>=0.15"]
    """
    assert script.floors(text) == ["grpcio==1.66", "numpy==1.26", "typer==0.15"]


def test_the_highest_floor_of_a_dependency_counts(script: ModuleType) -> None:
    text = """
    [project]
    dependencies = ["grpcio>=1.66"]
    [project.optional-dependencies]
    server = ["grpcio>=1.100"]
    """
    assert script.floors(text) == ["grpcio==1.100"]


def test_a_dependency_without_a_floor_is_refused(script: ModuleType) -> None:
    with pytest.raises(ValueError, match="numpy: has no floor"):
        script.floors('[project]\ndependencies = ["numpy"]')


def test_this_project_has_floors(script: ModuleType) -> None:
    pins = script.floors(script.PYPROJECT.read_text())
    assert {"numpy", "grpcio", "sqlalchemy", "typer"} <= {pin.split("==")[0] for pin in pins}
