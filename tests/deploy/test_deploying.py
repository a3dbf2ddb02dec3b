"""docs/how-to/deploying.md names files, targets, settings and services that there are."""

import re
from pathlib import Path

import yaml
from forwardpass_server.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "deploying.md").read_text()
COMMANDS = "".join(re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL))


def test_files_that_it_names_are_there() -> None:
    for name in re.findall(r"`((?:deploy|server|tests)/[\w./-]+|docker-compose\.yml|\.env\.example)`", PAGE):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"-[fk] ([\w./-]+)", COMMANDS):
        assert (ROOT / name).exists(), name


def test_targets_of_make_are_there() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert set(re.findall(r"\bmake ([a-z-]+)[`\n]", PAGE)) <= {*targets}


def test_settings_are_settings() -> None:
    named = set(re.findall(rf"`(?:{PREFIX})?([A-Z]+(?:_[A-Z]+)+)`", PAGE)) - {"FORWARDPASS_PORT"}
    named |= {name.upper() for name in re.findall(r"`(lame_duck|drain_timeout)`", PAGE)}
    assert {name.lower() for name in named} <= Settings.model_fields.keys()


def test_its_table_has_every_service() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| ", PAGE, flags=re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == {*services}
