"""docs/reference/rows.md: what its example prints, and that it names what the tests try."""

import re
import subprocess
import sys
from pathlib import Path

from tests.support.server_process import ServerProcess

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "rows.md"


def test_the_example_prints_what_the_page_says(server: ServerProcess) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    command = [sys.executable, "-c", code.replace("localhost:50051", server.address)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr
    printed = ran.stdout.splitlines()
    (outputs, *errors) = re.findall(r"# (.+)", code)
    assert printed == [outputs] * 6 + errors
