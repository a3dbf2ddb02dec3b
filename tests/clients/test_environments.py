"""An environment is made once, and says why where it cannot be made."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients import environments
from tests.clients.environments import Environment, NotInstallableError, environment


@pytest.fixture
def filled_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Path], None]], None]:
    """Let `some-client` be an environment that is filled in this way, of packages that `packages.txt` names."""
    (tmp_path / "packages.txt").write_text("one")
    monkeypatch.setattr(environments, "ROOT", tmp_path)

    def fill_by(fill: Callable[[Path], None]) -> None:
        parts = Environment(files=(tmp_path / "packages.txt",), fill=fill)
        monkeypatch.setattr(environments, "ENVIRONMENTS", {"some-client": parts})

    return fill_by


def test_it_is_made_again_only_when_its_packages_change(
    filled_by: Callable[[Callable[[Path], None]], None], tmp_path: Path
) -> None:
    made: list[Path] = []
    filled_by(made.append)
    folder = environment("some-client")
    assert environment("some-client") == folder
    assert made == [folder]
    (tmp_path / "packages.txt").write_text("two")
    environment("some-client")
    assert made == [folder, folder]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["sh", "-c", "echo there is no such package >&2; exit 1"], "sh failed: there is no such package"),
        (["no-such-program"], "no-such-program is not on this machine"),
    ],
)
def test_what_cannot_be_installed_says_why(
    filled_by: Callable[[Callable[[Path], None]], None], command: list[str], words: str
) -> None:
    filled_by(lambda folder: print(environments._run(*command, at=folder)))
    for _ in range(2):
        with pytest.raises(NotInstallableError, match=words):
            environment("some-client")
