"""Damage is confined: calls of a damaged version fail, and everything else works."""

import hashlib
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forwardpass import spec
from forwardpass.errors import ForwardpassError, NetworkCorruptError
from forwardpass_server.registry import Registry, SqlStore, StoreOpenError

from tests.support.sample_networks import BUILTINS, tiny

GARBAGE = {
    "text": "'garbage'",
    "integer": "1000000000000000",
    "largest integer": "9223372036854775807",
    "negative": "-1",
    "real": "0.5",
    "bytes": "x'00fffe'",
    "nothing": "x''",
    "not UTF-8": "CAST(x'fffefd' AS TEXT)",
}
"""SQL expressions of values that no column expects."""


def change(database: Path, statement: str, *values: Any) -> None:
    """Change a database behind the registry's back."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(statement, values)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with a network `net` of three versions."""
    database = tmp_path_factory.mktemp("sound") / "registry.db"
    with SqlStore(f"sqlite:///{database}") as store:
        registry = Registry.open(store)
        for weight in (1, 2, 3):
            registry.register("net", tiny(weight))
        registry.rollout.set_alias("net", "stable", "2")
        registry.register("other", tiny(4))
    return database


@pytest.fixture
def damaged(sound: Path, database: Path) -> Path:
    """A copy of the sound database; tests damage the second version."""
    shutil.copy(sound, database)
    return database


def assert_only_the_second_is_corrupt(registry: Registry) -> None:
    state = registry.version("net", "2")
    assert (state.number, registry.read_summary(state), registry.get_loaded(state)) == (2, None, None)
    for call in (registry.load_reference, registry.read_spec):
        for reference in ("2", "stable"):
            with pytest.raises(NetworkCorruptError) as corrupt:
                call("net", reference)
            assert corrupt.value.facts["resourceName"] == "net/2"
    for name, reference in (
        ("net", "1"),
        ("net", "3"),
        ("net", ""),
        ("other", ""),
        *((b, "") for b in BUILTINS),
    ):
        assert registry.load_reference(name, reference).name == name
        assert registry.read_spec(name, reference) is not None


@pytest.mark.parametrize("column", ["content", "digest"])
@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_garbage_in_a_version_row(damaged: Path, column: str, garbage: str) -> None:
    change(damaged, f"UPDATE versions SET {column} = {garbage} WHERE name = 'net' AND number = 2")
    with SqlStore(f"sqlite:///{damaged}") as store:
        assert_only_the_second_is_corrupt(Registry.open(store))


def test_one_flipped_bit(damaged: Path) -> None:
    content = bytearray(spec.to_safetensors(tiny(2)))
    content[-1] ^= 1
    change(damaged, "UPDATE versions SET content = ? WHERE name = 'net' AND number = 2", bytes(content))
    with SqlStore(f"sqlite:///{damaged}") as store:
        assert_only_the_second_is_corrupt(Registry.open(store))


@pytest.mark.parametrize(
    "content",
    [
        b"no network at all",
        spec.to_safetensors(tiny(2)).replace(b"identity", b"identitx"),
        # As a newer version of the program might have registered it.
        spec.to_safetensors(
            spec.parse(
                {
                    "format": spec.FORMAT,
                    "inputs": 1,
                    "layers": [
                        {"name": "one", "weights": [[1]]},
                        {"name": "two", "weights": [[1]], "from": ["inputs", "one"], "merge": "multiply"},
                    ],
                }
            )
        ).replace(b"multiply", b"subtract"),
    ],
    ids=["no network", "unknown activation", "unknown merge"],
)
def test_unusable_content_with_the_right_digest(damaged: Path, content: bytes) -> None:
    digest = hashlib.sha256(content).hexdigest()
    query = "UPDATE versions SET content = ?, digest = ? WHERE name = 'net' AND number = 2"
    change(damaged, query, content, digest)
    with SqlStore(f"sqlite:///{damaged}") as store:
        registry = Registry.open(store)
        assert registry.load_reference("net", "").version == 3
        with pytest.raises(NetworkCorruptError):
            registry.load_reference("net", "2")
        state = registry.version("net", "2")
        assert (registry.read_summary(state), registry.get_loaded(state)) == (None, None)


def test_damage_after_loading(damaged: Path) -> None:
    with SqlStore(f"sqlite:///{damaged}") as store:
        registry = Registry.open(store)
        loaded = registry.load_reference("net", "2")
        change(damaged, "UPDATE versions SET content = x'00' WHERE name = 'net' AND number = 2")
        with pytest.raises(NetworkCorruptError):
            registry.read_spec("net", "2")
        assert registry.load_reference("net", "2").version == 2, "the loaded version is intact"
        assert registry.load_reference("net", "stable") is loaded
        assert not registry.is_damaged(registry.version("net", "2"))
        registry.register("net", tiny(2))
        assert registry.read_spec("net", "2") == tiny(2), "known damage is repaired all the same"


def test_registering_again_repairs(damaged: Path) -> None:
    change(damaged, "UPDATE versions SET content = x'00' WHERE name = 'net' AND number = 2")
    with SqlStore(f"sqlite:///{damaged}") as store:
        registry = Registry.open(store, max_versions=3)
        before = registry.revision
        assert registry.register("net", tiny(2), validate_only=True).version.number == 2
        with pytest.raises(NetworkCorruptError):
            registry.load_reference("net", "2")
        mended = registry.register("net", tiny(2))
        assert (mended.version.number, mended.created, mended.revision) == (2, False, before + 1)
        assert registry.load_reference("net", "stable").version == 2
        assert registry.version("net", "").number == 3
    with SqlStore(f"sqlite:///{damaged}") as store:
        assert Registry.open(store).read_spec("net", "2") == tiny(2)


def test_damaged_version_can_be_deleted(damaged: Path) -> None:
    change(damaged, "UPDATE versions SET content = x'00' WHERE name = 'net' AND number = 2")
    with SqlStore(f"sqlite:///{damaged}") as store:
        registry = Registry.open(store)
        registry.rollout.delete_alias("net", "stable")
        assert list(registry.delete_version("net", 2).versions) == [1, 3]
        assert registry.register("net", tiny(2)).version.number == 4


COLUMNS = {
    "registry": ["revision"],
    "networks": ["name", "next_version", "create_us", "update_us"],
    "versions": ["name", "number", "digest", "create_us", "size_bytes", "content"],
    "aliases": ["name", "alias", "number"],
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
@pytest.mark.parametrize(
    ("table", "column"), [(table, column) for table, columns in COLUMNS.items() for column in columns]
)
def test_garbage_in_any_column(damaged: Path, table: str, column: str, garbage: str) -> None:
    where = {"registry": "1", "networks": "name = 'net'"}.get(table, "name = 'net' AND number = 2")
    change(damaged, f"UPDATE {table} SET {column} = {garbage} WHERE {where}")
    with SqlStore(f"sqlite:///{damaged}") as store:
        registry = Registry.open(store)
        for name in ("other", *BUILTINS):
            assert registry.load_reference(name, "").version == 1
        assert registry.register("other", tiny(9)).version.number == 2
        with suppress(ForwardpassError):  # a typed error is as good
            done = registry.register("net", tiny(9))
            assert registry.load_reference("net", "").version == done.version.number
            assert done.version.number >= 4 or column == "name", "numbers are not reused"
    with SqlStore(f"sqlite:///{damaged}") as store:
        assert Registry.open(store).load_reference("other", "").version == 2


@pytest.mark.parametrize("inputs", [1, 10], ids=["read whole", "read in pieces"])
def test_garbage_in_pages(damaged: Path, inputs: int) -> None:
    size = 4096
    with SqlStore(f"sqlite:///{damaged}") as store:
        registry = Registry.open(store)
        weights = np.repeat(np.arange(20_000.0)[:, np.newaxis], inputs, axis=1)
        wide = {"name": "wide", "weights": weights}
        registry.register("wide", spec.parse({"format": spec.FORMAT, "inputs": inputs, "layers": [wide]}))
    with closing(sqlite3.connect(damaged)) as connection:
        query = "SELECT content FROM versions WHERE name = 'wide'"
        [content] = connection.execute(query).fetchone()
    pages = damaged.read_bytes()
    somewhere = pages.index(content[100_000:100_100]) // size
    with damaged.open("r+b") as file:
        file.seek(somewhere * size)
        file.write(b"\xff" * size)
    with SqlStore(f"sqlite:///{damaged}") as store:
        registry = Registry.open(store)
        with pytest.raises(NetworkCorruptError):
            registry.load_reference("wide", "")
        for reference in ("1", "2", "3"):
            assert registry.load_reference("net", reference) is not None


def test_garbage_behind_the_header_of_the_file(damaged: Path) -> None:
    content = damaged.read_bytes()
    damaged.write_bytes(content[:100] + b"\xff" * (len(content) - 100))
    with (
        pytest.raises(StoreOpenError, match="cannot be used: its file is"),
        SqlStore(f"sqlite:///{damaged}") as store,
    ):
        Registry.open(store)
