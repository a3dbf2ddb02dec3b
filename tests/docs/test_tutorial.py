"""The tutorial is followed page by page against one server, and prints what it shows."""

import re
from collections.abc import Callable
from pathlib import Path

from tests.support.server_process import ServerProcess
from tests.support.snippets import follow

FOLDER = Path(__file__).parents[2] / "docs" / "tutorial"


def pages() -> list[str]:
    """The pages in the order in which the first one lists them."""
    return re.findall(r"^\d\. \[[^]]+\]\(([^)]+)\)$", (FOLDER / "index.md").read_text(), flags=re.MULTILINE)


def test_every_page_is_listed() -> None:
    assert {*pages(), "index.md"} == {path.name for path in FOLDER.glob("*.md")}


def test_the_tutorial(start_server: Callable[..., ServerProcess], tmp_path: Path) -> None:
    address = start_server().address
    for page in pages():
        follow(FOLDER / page, tmp_path, address)
