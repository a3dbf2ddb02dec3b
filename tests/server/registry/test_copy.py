"""Copies of a registry to another database, and reports of damage."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from forwardpass.spec import FORMAT, parse
from forwardpass_server.registry import CopyError, Registry, SqlStore, copy_registry, verify

from tests.support.sample_networks import BUILTINS, tiny


def fill(store: SqlStore) -> None:
    """Write something of every kind that a registry can contain."""
    registry = Registry.open(store)
    for weight in (1, 2, 3):
        registry.register("net", tiny(weight))
    registry.rollout.set_alias("net", "stable", "1")
    registry.rollout.set_alias("net", "stable", "2")
    registry.rollout.set_shadow("net", "stable", "3", share=0.5)
    registry.delete_version("net", 1)
    registry.register("away", tiny(1))
    registry.delete_network("away")
    registry.register("out", tiny(1))
    registry.set_in_service("out", in_service=False)
    for seed, name in enumerate(("large", "larger")):
        weights = np.random.default_rng(seed).standard_normal((400, 400))
        registry.register(name, parse({"format": FORMAT, "inputs": 400, "layers": [{"weights": weights}]}))


@pytest.fixture
def source(database: Path) -> str:
    url = f"sqlite:///{database}"
    with SqlStore(url) as store:
        fill(store)
    return url


def test_copy_to_postgresql_and_back(source: str, migrated: Callable[[], str], tmp_path: Path) -> None:
    there, back = migrated(), f"sqlite:///{tmp_path}/back.db"
    with SqlStore(source) as old:
        before = old.read_state()
        large = old.read_content("large", 1)
        assert large is not None
        assert len(large) > 2**20
        with SqlStore(there) as new:
            report = copy_registry(old, new)
            assert (report.networks, report.versions, report.revision) == (len(BUILTINS) + 5, 8, before.revision)
            assert new.read_state() == before
            assert new.read_content("large", 1) == large
            assert new.list_alias_moves("net", "stable") == old.list_alias_moves("net", "stable")
    with SqlStore(there) as new, SqlStore(back) as again:
        copy_registry(new, again)
        assert again.read_state() == before
        assert [error for _, error in verify(again, numerics="exact")] == [None] * 8
        registry = Registry.open(again)
        assert registry.register("net", tiny(9)).version.number == 4, "version numbers continue"


def test_target_must_be_empty(source: str, migrated: Callable[[], str]) -> None:
    with SqlStore(source) as old, SqlStore(migrated()) as new:
        Registry.open(new)
        before = new.read_state()
        with pytest.raises(CopyError, match="has networks already"):
            copy_registry(old, new)
        assert new.read_state() == before


def test_damaged_content_is_not_copied(database: Path, source: str, migrated: Callable[[], str]) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE versions SET content = 'x' WHERE name = 'net' AND number = 3")
    with SqlStore(source) as old, SqlStore(migrated()) as new:
        errors = {name: error for name, error in verify(old, numerics="exact") if error}
        assert list(errors) == ["net/3"]
        with pytest.raises(CopyError, match="network 'net' version 3 is damaged"):
            copy_registry(old, new)
        assert not new.read_state().networks


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "forwardpass_server", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_commands(database: Path, source: str, migrated: Callable[[], str]) -> None:
    there = migrated()
    moved = run("move", f"--database={source}", f"--to={there}")
    assert moved.returncode == 0, moved.stderr
    assert moved.stdout.startswith("moved 8 networks with 8 versions of ")
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE versions SET content = 'x' WHERE name = 'out'")
    checked = run("check", f"--database={source}")
    assert checked.returncode == 1
    assert checked.stdout.startswith("out/1: the stored content of network 'out' version 1 is damaged")
