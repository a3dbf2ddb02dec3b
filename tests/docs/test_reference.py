"""The reference pages that people write list what the code has, all of it."""

import re
from pathlib import Path

from forwardpass.reasons import REASONS
from forwardpass_server.rpc.status import CODES

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def test_the_page_of_errors_is_the_error_table() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| `(\w+)` \|", (REFERENCE / "errors.md").read_text(), flags=re.MULTILINE)
    assert {reason: (code, name) for reason, code, name in rows} == {
        reason: (CODES[error].name, error.__name__) for reason, error in REASONS.items()
    }
