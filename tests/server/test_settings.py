"""Settings: their sources and precedence, and the error of a bad one."""

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import forwardpass_server
import pytest
from forwardpass_server.settings import CONFIG_VARIABLE, PREFIX, BadSettingsError, Settings, load, table

from tests.support import fork_server


def test_precedence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "server.toml"
    config.write_text("max_rows = 1\nmax_in_flight = 1\nmax_layers = 1\n")
    monkeypatch.setenv(CONFIG_VARIABLE, str(config))
    monkeypatch.setenv(f"{PREFIX}MAX_IN_FLIGHT", "2")
    monkeypatch.setenv(f"{PREFIX}MAX_LAYERS", "2")
    settings = load({"max_layers": "3"})
    assert (settings.max_rows, settings.max_in_flight, settings.max_layers) == (1, 2, 3)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--max-rows=0"], "max_rows"),
        (["--max-rows=many"], "max_rows"),
        (["--listen=nowhere"], "HOST:PORT"),
        (["--listen=127.0.0.1:70000"], "65535"),
        (["--log-level=loud"], "log_level"),
        (["--preload=net,No Name"], "setting preload is 'net,No Name': must be NAME or NAME/VERSION"),
        (["--preload=net/"], "alias"),
        (["--preload=net/01"], "alias"),
        (["--tls-key=key.pem"], "tls_certificate and tls_key"),
        (["--config=/no/such/file.toml"], "does not exist"),
        (["--database=mysql://localhost/x"], "sqlite:///FILE"),
        (["--database=postgresql://127.0.0.1:1/x", "--database-connect-timeout=0"], "x at 127.0.0.1:1 cannot be used"),
        (["--database=sqlite:////no/such/folder/file.db"], "/no/such/folder"),
        (["--database=nonsense"], "sqlite:///FILE"),
        (["--tokens-file=/no/such/file"], "tokens file"),
        (["--listen=256.0.0.1:1", "--database=sqlite://"], "listen"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_bad_setting_ends_with_one_sentence_and_code_2(flags: list[str], words: str) -> None:
    ended = fork_server.run("forwardpass-server", ["serve", *flags], environment=os.environ)
    assert ended.returncode == 2
    assert words in ended.stderr
    assert ended.stderr.count("forwardpass-server: ") == 1
    assert "Traceback" not in ended.stderr
    assert not ended.stdout


def test_unknown_names_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "server.toml"
    config.write_text("max_row = 1\n")
    monkeypatch.setenv(CONFIG_VARIABLE, str(config))
    with pytest.raises(BadSettingsError, match="no setting 'max_row'"):
        load({})
    monkeypatch.delenv(CONFIG_VARIABLE)
    monkeypatch.setenv(f"{PREFIX}MAX_ROW", "1")
    with pytest.raises(BadSettingsError, match="FORWARDPASS_SERVER_MAX_ROW"):
        load({})


def test_the_documented_table_is_this_class() -> None:
    text = (Path(__file__).parents[2] / "docs" / "reference" / "settings.md").read_text()
    assert table() in text


def test_every_setting_is_used() -> None:
    """In app.py, by itself or by a property of the class."""
    folder = Path(forwardpass_server.__file__).parent
    used = set(re.findall(r"\bsettings\.(\w+)", "".join(path.read_text() for path in folder.glob("*.py"))))
    properties = {name: vars(Settings)[name].fget for name in used if isinstance(vars(Settings).get(name), property)}
    used |= {name for method in properties.values() for name in re.findall(r"\bself\.(\w+)", inspect.getsource(method))}
    assert set(Settings.model_fields) <= used


def test_health_command() -> None:
    command = [sys.executable, "-m", "forwardpass_server", "health", "127.0.0.1:1"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert "UNAVAILABLE" in ended.stderr


@pytest.mark.parametrize(
    ("preload", "references"),
    [
        (None, []),
        ("", []),
        ("net", [("net", "")]),
        ("net, net/stable,other/12", [("net", ""), ("net", "stable"), ("other", "12")]),
    ],
)
def test_preload(preload: str | None, references: list[tuple[str, str]]) -> None:
    assert Settings(preload=preload).preload_references == references


def test_defaults_are_valid() -> None:
    assert Settings().spec_limits.max_layers >= 1
