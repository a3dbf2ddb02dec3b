#!/usr/bin/env python3
"""Print the oldest allowed version of every dependency, as constraints for pip.

Reads `>=` in the base dependencies and extras of pyproject.toml and prints `==`; the highest where there are several.
Dependencies of tests and tools are not pinned: users never install them.
"""

import re
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"
REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(\[[^]]*\])?>=(?P<floor>[0-9][0-9.]*)([,;].*)?")


def floors(text: str) -> list[str]:
    """Return `name==floor` for each dependency and extra in the text of a pyproject.toml.

    Raises:
        ValueError: A dependency has no floor.
    """
    project = tomllib.loads(text)["project"]
    extras = project.get("optional-dependencies", {}).values()
    highest: dict[str, str] = {}
    for requirement in sorted({*project["dependencies"], *(name for extra in extras for name in extra)}):
        if not (found := REQUIREMENT.fullmatch(requirement.replace(" ", ""))):
            raise ValueError(f"{requirement}: has no floor, say for example name>=1.2")
        name, floor = found["name"], found["floor"]
        highest[name] = max(highest.get(name, "0"), floor, key=_numbers)
    return [f"{name}=={floor}" for name, floor in highest.items()]


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


if __name__ == "__main__":
    print(*floors(PYPROJECT.read_text()), sep="\n")
