"""The reference pages that people write list what the code has, all of it."""

import re
from pathlib import Path

from forwardpass.reasons import REASONS
from forwardpass_server.rpc.status import CODES

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"


def test_the_page_of_errors_is_the_error_table() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| `(\w+)` \|", (REFERENCE / "errors.md").read_text(), flags=re.MULTILINE)
    assert {reason: (code, name) for reason, code, name in rows} == {
        reason: (CODES[error].name, error.__name__) for reason, error in REASONS.items()
    }


def test_the_source_tree_lists_files_that_exist() -> None:
    text = (ROOT / "docs" / "explanation" / "source-tree.md").read_text()
    folder = ROOT
    for cell in re.findall(r"^\| ([^|]*`[^|]*) \|", text, flags=re.MULTILINE):
        names = re.findall(r"`([\w./]+)`", cell)
        if cell.startswith("in "):
            folder = ROOT / names[0]
        elif "/" in cell or "." in cell:
            for name in names:
                assert (folder / name).exists() or (ROOT / name).exists(), name
