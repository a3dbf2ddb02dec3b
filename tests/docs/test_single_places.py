"""Every activation and every kind of layer has its facts in the files that the recipes list, and nowhere else."""

import re
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest
from forwardpass.spec.activations import ACTIVATIONS
from forwardpass.spec.layers import KINDS
from forwardpass.spec.network import DENSE

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "docs" / "recipes"
WORDS: dict[str, Collection[str]] = {"add-an-activation": ACTIVATIONS, "add-a-layer-kind": set(KINDS) - {DENSE}}


def sources() -> Iterator[Path]:
    """Every source file that people write."""
    for folder, pattern in (("client", "*.py"), ("server", "*.py"), ("protos", "*.proto")):
        yield from (path for path in (ROOT / folder).rglob(pattern) if not path.stem.endswith("_pb2"))


def listed(recipe: str) -> set[str]:
    """The source files that a recipe lists."""
    files = re.findall(r"^\| `([\w./-]+\.\w+)` \|", (RECIPES / f"{recipe}.md").read_text(), flags=re.MULTILINE)
    return {file for file in files if not file.startswith("tests/")}


@pytest.mark.parametrize("recipe", WORDS)
def test_the_files_that_name_all_of_them_are_those_that_the_recipe_lists(recipe: str) -> None:
    complete = {
        path.relative_to(ROOT).as_posix()
        for path in sources()
        if set(WORDS[recipe]) <= set(re.findall(r"\w+", path.read_text()))
    }
    assert complete == listed(recipe)


def test_an_activation_that_no_framework_has_is_in_three_source_files() -> None:
    named = {path.relative_to(ROOT).as_posix() for path in sources() if re.search(r"\bgaussian\b", path.read_text())}
    assert named == listed("add-an-activation")
    assert len(named) == 3


def test_a_layer_kind_is_in_four_source_files_and_its_proto() -> None:
    files = listed("add-a-layer-kind")
    assert sum(file.endswith(".py") for file in files) == 4
    assert sum(file.endswith(".proto") for file in files) == 1
