"""An environment is made once, and says why where it cannot be made."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.environments import Environment, NotInstallableError, made, run


@pytest.fixture
def filled_by(tmp_path: Path) -> Callable[[Callable[[Path], None]], Environment]:
    """Make an environment that is filled in this way, of packages that `packages.txt` names."""
    (tmp_path / "packages.txt").write_text("one")

    def fill_by(fill: Callable[[Path], None]) -> Environment:
        return Environment(folder=tmp_path / "some-client", files=(tmp_path / "packages.txt",), fill=fill)

    return fill_by


def test_it_is_made_again_only_when_its_packages_change(
    filled_by: Callable[[Callable[[Path], None]], Environment], tmp_path: Path
) -> None:
    filled: list[Path] = []
    environment = filled_by(filled.append)
    folder = made(environment)
    assert made(environment) == folder
    assert filled == [folder]
    (tmp_path / "packages.txt").write_text("two")
    made(environment)
    assert filled == [folder, folder]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["sh", "-c", "echo there is no such package >&2; exit 1"], "sh failed: there is no such package"),
        (["no-such-program"], "no-such-program is not on this machine"),
    ],
)
def test_what_cannot_be_installed_says_why(
    filled_by: Callable[[Callable[[Path], None]], Environment], command: list[str], words: str
) -> None:
    environment = filled_by(lambda folder: print(run(*command, at=folder)))
    for _ in range(2):
        with pytest.raises(NotInstallableError, match=words):
            made(environment)
