"""`make demo` ends well and shows what it promises."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_demo_shows_what_it_promises() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "examples.demo"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stderr
    for words in (
        "accounts 3 -> 9 transactions",
        "accounts 5 -> 182 transactions",
        "registered breast-cancer version 1: 30 -> 16 -> 8 -> 1",
        "breast-cancer: 569 predictions, the same bits as before",
        "diabetes: 442 predictions, the same bits as before",
        'did you mean "relu"?',
        "make serve",
    ):
        assert words in ran.stdout
