"""Backups while a server writes, their way back, and versions that are cleaned up."""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from forwardpass import Client, spec
from forwardpass_server.registry import BackupError, Registry, SqlStore, back_up

from tests.support.sample_networks import tiny
from tests.support.server_process import ServerProcess


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "forwardpass_server", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def large(seed: int) -> spec.NetworkSpec:
    weights = np.random.default_rng(seed).standard_normal((300, 400))
    return spec.parse({"format": spec.FORMAT, "inputs": 400, "layers": [{"weights": weights}]})


def test_a_backup_while_the_server_writes(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server, Client(server.address, timeout=60) as client:
        before = [client.register("large", large(seed)) for seed in range(8)]
        done = threading.Event()
        acknowledged = [registered.version for registered in before]

        def write() -> None:
            with Client(server.address, timeout=60) as other:
                while not done.is_set():
                    acknowledged.append(other.register("large", large(len(acknowledged))).version)

        writer = threading.Thread(target=write)
        writer.start()
        ended = run("backup", f"--database=sqlite:///{server.database}", str(tmp_path / "copy.db"))
        done.set()
        writer.join()
        assert ended.returncode == 0, ended.stderr
        assert "every digest was compared" in ended.stdout
    with SqlStore(f"sqlite:///{tmp_path}/copy.db") as store:
        kept = Registry.open(store).network("large")
        assert {*acknowledged[:8]} <= kept.versions.keys() <= {*acknowledged}
        assert [kept.versions[number].digest for number in acknowledged[:8]] == [
            registered.digest for registered in before
        ]
    assert not list(tmp_path.glob("*.part*"))


def test_a_restored_backup_is_the_same_registry(tmp_path: Path) -> None:
    with SqlStore(f"sqlite:///{tmp_path}/old.db") as store:
        registry = Registry.open(store)
        registry.register("net", tiny(1))
        registry.register("net", tiny(2))
        registry.rollout.set_alias("net", "stable", "1")
        before = store.read_state()
    assert run("backup", f"--database=sqlite:///{tmp_path}/old.db", f"{tmp_path}/copy.db").returncode == 0
    restored = run("restore", f"--database=sqlite:///{tmp_path}/new.db", f"{tmp_path}/copy.db")
    assert restored.returncode == 0, restored.stderr
    assert "every row and digest was compared" in restored.stdout
    with SqlStore(f"sqlite:///{tmp_path}/new.db") as store:
        assert store.read_state() == before
    again = run("restore", f"--database=sqlite:///{tmp_path}/new.db", f"{tmp_path}/copy.db")
    assert again.returncode == 2
    assert "has networks already" in again.stderr
    nowhere = run("restore", f"--database=sqlite:///{tmp_path}/new.db", f"{tmp_path}/nowhere.db")
    assert nowhere.returncode == 2
    assert "does not exist" in nowhere.stderr


def test_damage_is_told_and_kept(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/old.db"
    with SqlStore(url) as store:
        Registry.open(store).register("net", tiny(1))
        with store.database.writing() as connection:
            connection.exec_driver_sql("UPDATE versions SET content = zeroblob(10) WHERE name = 'net'")
    found = back_up(url, tmp_path / "copy.db")
    assert found.damaged == ("net/1",)
    assert (tmp_path / "copy.db").exists()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://localhost/forwardpass", "pg_dump"),
        ("sqlite://", "in memory"),
    ],
)
def test_what_cannot_be_backed_up(url: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match=words):
        back_up(url, tmp_path / "copy.db")


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / "copy.db").write_text("mine")
    with SqlStore(f"sqlite:///{tmp_path}/old.db"), pytest.raises(BackupError, match="is there already"):
        back_up(f"sqlite:///{tmp_path}/old.db", tmp_path / "copy.db")
    assert (tmp_path / "copy.db").read_text() == "mine"


def test_old_versions_that_nobody_names_are_deleted(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/own.db"
    with SqlStore(url) as store:
        registry = Registry.open(store)
        for weight in range(1, 8):
            registry.register("net", tiny(weight))
        registry.rollout.set_alias("net", "stable", "1")
        registry.rollout.set_shadow("net", "2", "3", share=0.5)
    said = run("gc", f"--database={url}", "--keep=2", "--dry-run")
    assert said.stdout.splitlines() == ["net/4", "net/5", "2 versions would be deleted"], said.stderr
    assert run("gc", f"--database={url}", "--keep=2").stdout.splitlines()[-1] == "2 versions were deleted"
    with SqlStore(url) as store:
        network = Registry.open(store).network("net")
        assert [*network.versions] == [1, 2, 3, 6, 7]
        assert network.aliases["stable"] == 1
    assert run("gc", f"--database={url}", "--keep=0").returncode == 2
