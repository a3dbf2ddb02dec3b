"""The convolutional network of the tutorial, as a user makes it."""

from pathlib import Path

from tests.support.environments import ROOT
from tests.support.server_process import ServerProcess
from tests.support.snippets import follow

PAGE = ROOT / "docs" / "tutorial" / "mnist.md"


def test_the_page(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        follow(PAGE, tmp_path, server.address, "torch")
        server.stop()
