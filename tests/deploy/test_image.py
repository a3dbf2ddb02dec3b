"""The Dockerfile agrees with the server. Its grammar is linted by `make check`; `make test-compose` builds it."""

import argparse
import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from forwardpass_server import cli
from forwardpass_server.settings import load

ROOT = Path(__file__).parents[2]
# The instructions, a line that ends in a backslash going on in the next one.
LINES = re.sub(r"\\\n\s*", "", (ROOT / "server" / "Dockerfile").read_text()).splitlines()
FINAL = LINES[max(index for index, line in enumerate(LINES) if line.startswith("FROM ")) :]


def last(instruction: str) -> str:
    """What the last such instruction of the final image says."""
    return [line.removeprefix(instruction).strip() for line in FINAL if line.startswith(f"{instruction} ")][-1]


def parsed(arguments: list[str]) -> argparse.Namespace:
    return cli._parser(arguments).parse_args(arguments)


@pytest.fixture
def service() -> dict[str, Any]:
    compose = yaml.safe_load((ROOT / "deploy" / "compose.single.yml").read_text())
    server: dict[str, Any] = compose["services"]["server"]
    return server


def environment() -> dict[str, str]:
    """The environment of the final image."""
    return dict(re.findall(r"(\w+)=(\S+)", last("ENV")))


def test_the_server_understands_the_command_and_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    options = vars(parsed(json.loads(last("CMD"))))
    assert options.pop("command") == "serve"
    settings = load(options)
    assert settings.listen.endswith(f":{last('EXPOSE')}")
    # A named volume there has the owner of the image's folder.
    assert settings.database.startswith("sqlite:////data/")
    assert any("install --directory --owner forwardpass --group forwardpass /data" in line for line in FINAL)


def test_the_health_check_asks_where_the_server_listens(service: dict[str, Any]) -> None:
    program, *arguments = json.loads(last("HEALTHCHECK").partition(" CMD ")[2])
    assert [program] == json.loads(last("ENTRYPOINT"))
    options = parsed(arguments)
    assert (options.command, options.address) == ("health", f"127.0.0.1:{last('EXPOSE')}")
    assert service["healthcheck"]["test"] == ["CMD", program, *arguments]


def test_a_health_check_imports_no_more_than_it_needs() -> None:
    code = "import sys; from forwardpass_server import cli; print({'numpy', 'pydantic'} & {*sys.modules})"
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert printed.stdout == "set()\n"


def test_the_labels_say_the_version_and_the_base() -> None:
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\S+)="([^"]*)"', last("LABEL")))
    assert labels["version"] == version("forwardpass")
    assert labels["base.name"] == f"docker.io/library/{FINAL[0].split()[1]}"
    assert labels["licenses"] == "Apache-2.0"


def test_the_final_image_has_no_root_and_no_build_tools() -> None:
    user, _, group = last("USER").partition(":")
    assert int(user) > 0
    assert int(group) > 0
    words = " ".join(FINAL)
    assert not re.search(r"\b(apt-get|gcc|pip)\b", words)
    assert "venv --without-pip /opt/forwardpass" in " ".join(LINES)


def test_the_build_context_has_what_the_image_copies() -> None:
    kept = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] == "!"}
    copied = [line.split()[1:-1] for line in LINES if line.startswith("COPY ") and "--from" not in line]
    assert {path.partition("/")[0] for paths in copied for path in paths} == kept
