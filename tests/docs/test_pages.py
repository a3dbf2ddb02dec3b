"""The snippets of the README and of pages that need only a server run, and print what the page shows."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.server_process import ServerProcess
from tests.support.snippets import follow

ROOT = Path(__file__).parents[2]
PAGES = [
    "README.md",
    "docs/how-to/explain.md",
    "docs/how-to/pictures.md",
    "docs/how-to/profile.md",
    "docs/how-to/python-client.md",
    "docs/explanation/batch-invariance.md",
]


@pytest.fixture(scope="session", params=["native"])
def engine(request: pytest.FixtureRequest) -> str:
    """One engine is enough, that of a reader's server: the pages are what is tried."""
    return str(request.param)


@pytest.mark.parametrize("page", PAGES)
def test_the_snippets(page: str, start_server: Callable[..., ServerProcess], tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    follow(ROOT / page, tmp_path, start_server().address)


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 120
