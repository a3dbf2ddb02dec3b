"""`forwardpass-server migrate` and `descriptors`, as a container's jobs run them."""

import sqlite3
import subprocess
import sys
from pathlib import Path

from forwardpass import __version__
from forwardpass.v1 import network_service_pb2, prediction_service_pb2
from forwardpass_server.registry.storage.schema import HEAD
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool

from tests.support.server_process import ServerProcess


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "forwardpass_server", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_migrate_makes_the_schema_and_then_leaves_it(tmp_path: Path) -> None:
    for _ in range(2):
        ended = run("migrate", f"--database=sqlite:///{tmp_path}/own.db")
        assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
        with sqlite3.connect(tmp_path / "own.db") as connection:
            assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(HEAD,)]
        connection.close()


def test_migrate_refuses_what_serve_refuses(tmp_path: Path) -> None:
    assert run("migrate", "--max-rows=0").returncode == 2
    with ServerProcess(tmp_path) as server:
        ended = run("migrate", f"--database=sqlite:///{server.database}")
        assert ended.returncode == 2
        assert "in use by another forwardpass-server" in ended.stderr


def test_descriptors_are_the_api(tmp_path: Path) -> None:
    path = tmp_path / "protos.binpb"
    assert run("descriptors", str(path)).returncode == 0
    pool = DescriptorPool()
    for file in FileDescriptorSet.FromString(path.read_bytes()).file:
        pool.Add(file)  # refuses a file whose imports are not there yet
    for module in (network_service_pb2, prediction_service_pb2):
        for name, service in module.DESCRIPTOR.services_by_name.items():
            found = pool.FindServiceByName(f"forwardpass.v1.{name}")
            assert [method.name for method in found.methods] == [method.name for method in service.methods]


def test_descriptors_for_a_place_that_is_not_there(tmp_path: Path) -> None:
    ended = run("descriptors", str(tmp_path / "nowhere" / "protos.binpb"))
    assert ended.returncode == 2
    assert "nowhere" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_version() -> None:
    ended = run("--version")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"forwardpass-server {__version__}\n", "")
