"""The table of extras is that of pyproject.toml, and what is missing is named."""

import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from forwardpass import extras
from forwardpass.extras import EXTRAS, MissingExtraError
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PYPROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
DECLARED: dict[str, list[str]] = PYPROJECT["optional-dependencies"]


def _names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(text).name) for text in requirements}


@pytest.mark.parametrize("extra", DECLARED)
def test_every_distribution_of_an_extra_is_in_the_table(extra: str) -> None:
    providers = packages_distributions()
    listed = {canonicalize_name(name) for package in EXTRAS[extra] for name in providers[package]}
    everywhere = [text for text in DECLARED[extra] if Requirement(text).marker is None]
    assert listed == _names(everywhere) - _names(PYPROJECT["dependencies"])


def test_the_table_has_no_other_extras() -> None:
    assert set(EXTRAS) == set(DECLARED)


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "EXTRAS", {"onnx": ("no_such_package", "json", "nor_this")})
    with pytest.raises(MissingExtraError) as caught:
        extras.require("onnx", needed_by="an ONNX model")
    assert str(caught.value) == (
        "an ONNX model needs the extra `onnx`, whose no_such_package, nor_this are not installed; "
        "pip install 'forwardpass[onnx]'"
    )
    assert caught.value.facts == {"extra": "onnx", "packages": "no_such_package, nor_this"}
    with pytest.raises(MissingExtraError, match=r"whose no_such_package is not installed"):
        extras.load("no_such_package.inner", needed_by="this")


def test_a_package_that_is_broken_is_not_called_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_package.py").write_text("import no_such_dependency")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(extras, "EXTRAS", {"onnx": ("broken_package",)})
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency"):
        extras.load("broken_package", needed_by="this")
