"""A recipe names files that exist; where it follows a real example, each of its files has the example."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATHS = re.compile(r"`((?:client|server|protos|tests|docs|deploy|benchmarks)/[\w./-]*\w)`")
RECIPES = sorted((ROOT / "docs" / "recipes").glob("[!i]*.md"))


def recipe_id(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("recipe", RECIPES, ids=recipe_id)
def test_the_files_exist(recipe: Path) -> None:
    named = PATHS.findall(recipe.read_text())
    assert named
    for name in named:
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("recipe", RECIPES, ids=recipe_id)
def test_each_file_has_the_example(recipe: Path) -> None:
    text = recipe.read_text()
    example = re.search(r"^Examples?: (.*)\.$", text, flags=re.MULTILINE)
    if example is None:
        pytest.skip("the recipe follows no example")
    words = re.findall(r"`([^`]+)`", example[1])
    files = re.findall(r"^\| `([\w./-]+\.\w+)` \|", text, flags=re.MULTILINE)
    assert files
    for name in files:
        content = (ROOT / name).read_text()
        assert any(word in content for word in words), f"{name} has none of {words}"


def test_every_recipe_is_listed() -> None:
    index = (ROOT / "docs" / "recipes" / "index.md").read_text()
    assert set(re.findall(r"\]\(([\w-]+\.md)\)", index)) == {recipe.name for recipe in RECIPES}
