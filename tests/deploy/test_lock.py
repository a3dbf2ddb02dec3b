"""The image's lock files hold what pyproject.toml asks for, each pinned to hashes; `make lock` writes them."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = ("metrics", "postgres", "rest", "server", "view")
WANTED = {
    "requirements.lock": [
        *PROJECT["project"]["dependencies"],
        *(requirement for extra in EXTRAS for requirement in PROJECT["project"]["optional-dependencies"][extra]),
    ],
    "build.lock": PROJECT["dependency-groups"]["build"],
}
PIN = re.compile(
    r"(?P<requirement>[a-z0-9][a-z0-9._-]*==[^\\]+) \\\n(?P<hashes>(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)"
)


def lock(name: str) -> str:
    return (ROOT / "server" / name).read_text()


@pytest.mark.parametrize("name", WANTED)
def test_whatever_is_asked_for_is_pinned(name: str) -> None:
    pinned: dict[str, list[str]] = {}
    for found in PIN.finditer(lock(name)):
        requirement = Requirement(found["requirement"])
        pinned.setdefault(requirement.name, []).append(str(requirement.specifier).removeprefix("=="))
    for requirement in map(Requirement, WANTED[name]):
        versions = pinned.get(requirement.name, [])
        assert versions, f"{requirement.name} is not in {name}: make lock"
        assert all(requirement.specifier.contains(version) for version in versions), (
            f"{requirement} is not in {name}: make lock"
        )


@pytest.mark.parametrize("name", WANTED)
def test_nothing_comes_without_a_hash_or_from_a_place_of_its_own(name: str) -> None:
    rest = PIN.sub("", lock(name))
    assert all(re.fullmatch(r"\s*#.*|", line) for line in rest.splitlines())
    assert "://" not in lock(name)


def test_the_image_has_what_is_pinned_and_nothing_else() -> None:
    dockerfile = (ROOT / "server" / "Dockerfile").read_text()
    installs = re.findall(r"pip (?:--python \S+ )?install (?P<options>(?:[^&\\]|\\\n)+)", dockerfile)
    assert len(installs) == 3
    assert all("--require-hashes" in options or "--no-index --no-compile /wheels/" in options for options in installs)
    assert f"EXTRAS := {' '.join(EXTRAS)}\n" in (ROOT / "Makefile").read_text()
