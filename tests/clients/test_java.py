"""The HTTP client of Java's standard library, as it is without any setting."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.clients.place import Place


@pytest.mark.skipif(shutil.which("javac") is None, reason="a JDK is not on this machine")
def test_javas_http_client(place: Path) -> None:
    command = ["java", str(Path(__file__).parent / "java" / "Infer.java"), f"http://{Place.load(place).rest}"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout.splitlines()
    assert len(said) == 3
    for line in said:
        assert line.startswith("200 HTTP_1_1 "), line
        assert '"data":[182.0]' in line
