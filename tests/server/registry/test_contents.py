"""Contents: when they are read, how long they stay in memory, and how damage is found."""

import sqlite3
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from forwardpass import spec
from forwardpass.errors import (
    NetworkCorruptError,
    NetworkNotFoundError,
    StoreUnavailableError,
    VersionNotFoundError,
)
from forwardpass.spec.forms.safetensors import read_description
from forwardpass_server.core import forward
from forwardpass_server.registry import NetworkChange, Registry, SqlStore
from forwardpass_server.registry.snapshot import network_state
from forwardpass_server.registry.storage.store import NetworkRow, VersionRow

from tests.support.sample_networks import BUILTINS, tiny

NAMES = ("a", "b", "c", "d")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ONLY_LATEST = {"latest": 1}


class CountingStore(SqlStore):
    """A store that records which contents are read, with hooks before and after."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.read: list[str] = []
        self.first: Callable[[str, int], object] = lambda *_: None
        self.then: Callable[[str, int], object] = lambda *_: None

    def read_content(self, name: str, number: int) -> bytes | None:
        self.read.append(f"{name}/{number}")
        self.first(name, number)
        content = super().read_content(name, number)
        self.then(name, number)
        return content


@pytest.fixture
def store(database: Path) -> Iterator[CountingStore]:
    """A store that was just opened, with four networks of 1 KB of weights; `a` has two versions."""
    with SqlStore(f"sqlite:///{database}") as writer:
        registry = Registry.open(writer)
        for name in NAMES:
            registry.register(name, kilobytes(1, name))
        registry.register("a", kilobytes(1, "a again"))
        registry.rollout.set_alias("a", "stable", "1")
    with CountingStore(f"sqlite:///{database}") as opened:
        yield opened


def kilobytes(size: int, seed: str) -> spec.NetworkSpec:
    """Return a network with `size` KB of weights that depend on the seed; the seed is its description."""
    weights = np.random.default_rng([*seed.encode()]).standard_normal((16, 8 * size))
    layers = [{"name": "only", "weights": weights, "activation": "tanh"}]
    return spec.parse({"format": spec.FORMAT, "inputs": 8 * size, "layers": layers, "description": seed})


def bits(registry: Registry, name: str) -> bytes:
    plan = registry.load_reference(name, "").plan
    return forward(plan, np.linspace(-1, 1, 3 * plan.inputs).reshape(3, -1)).tobytes()


def cost(registry: Registry, name: str) -> int:
    """Return the size of a network's loaded version in the cache."""
    return registry._contents.plans._getsizeof(registry.load_reference(name, ""))


def loaded(registry: Registry) -> set[str]:
    """Return the versions in memory."""
    plans = registry._contents.plans
    return {
        f"{network.name}/{version.number}"
        for network in registry.networks()
        for version in network.versions.values()
        if version.runtime in plans
    }


def test_opening_reads_no_content(store: CountingStore) -> None:
    registry = Registry.open(store)
    assert [network.name for network in registry.networks()] == sorted([*NAMES, *BUILTINS])
    version = registry.version("a", "stable")
    assert not registry.is_damaged(version)
    assert registry.get_loaded(version) is None
    assert store.read == []


def test_version_is_read_once(store: CountingStore) -> None:
    registry = Registry.open(store)
    loaded = registry.load_reference("a", "")
    assert store.read == ["a/2"]
    version = registry.version("a", "latest")
    assert registry.load_reference("a", "2") is registry.load(version) is registry.get_loaded(version) is loaded
    assert store.read == ["a/2"]


def test_summary_and_description_are_read_once(store: CountingStore) -> None:
    registry = Registry.open(store)
    version = registry.version("b", "")
    for _ in range(2):
        summary = registry.read_summary(version)
        assert summary is not None
        assert (summary.description, registry.read_description(version)) == ("b", "b")
        assert registry.read_description(registry.version("c", "")) == "c"
    assert store.read == ["b/1", "b/1", "c/1"], "a summary and a description"
    assert loaded(registry) == set()


def test_registered_version_is_loaded(store: CountingStore) -> None:
    registry = Registry.open(store)
    done = registry.register("new", kilobytes(1, "new"))
    assert registry.get_loaded(done.version) is not None
    assert registry.read_summary(done.version) == done.summary
    assert not registry.register("new", kilobytes(1, "new")).created
    registry.register("new", kilobytes(1, "not kept"), validate_only=True)
    assert loaded(registry) == {"new/1"}
    assert store.read == []


def test_registering_existing_content_compiles_nothing(store: CountingStore) -> None:
    registry = Registry.open(store)
    revision = registry.revision
    done = registry.register("b", kilobytes(1, "b"))
    assert (done.version, done.created, done.revision) == (registry.version("b", ""), False, revision)
    assert done.summary == registry.read_summary(done.version)
    assert loaded(registry) == set()


def test_least_recently_used_version_is_evicted(store: CountingStore) -> None:
    size = cost(Registry.open(store), "a")
    registry = Registry.open(store, plan_cache_bytes=3 * size + 10)
    for name in ("a", "b", "c"):
        registry.load_reference(name, "")
    assert loaded(registry) == {"a/2", "b/1", "c/1"}
    assert registry.get_loaded(registry.version("a", "")) is not None
    registry.load_reference("d", "")
    assert loaded(registry) == {"c/1", "a/2", "d/1"}
    registry.load_reference("c", "")
    registry.register("e", kilobytes(1, "e"))
    assert loaded(registry) == {"d/1", "c/1", "e/1"}


def test_version_larger_than_the_cache(store: CountingStore) -> None:
    size = cost(Registry.open(store), "a")
    registry = Registry.open(store, plan_cache_bytes=3 * size)
    registry.register("large", kilobytes(100, "large"))
    assert loaded(registry) == {"large/1"}
    assert registry.load_reference("large", "") is registry.load_reference("large", "")
    registry.load_reference("a", "")
    assert loaded(registry) == {"a/2"}, "the bound holds again"
    assert registry.load_reference("large", "").version == 1
    assert loaded(registry) == {"large/1"}


def test_the_same_bits_after_eviction(store: CountingStore) -> None:
    registry = Registry.open(store, plan_cache_bytes=1)
    before = [bits(registry, name) for name in NAMES]
    assert len(loaded(registry)) == 1
    assert [bits(registry, name) for name in NAMES] == before
    assert len(store.read) == 2 * len(NAMES)


def test_threads_compile_once(store: CountingStore) -> None:
    registry = Registry.open(store)
    store.first = lambda *_: time.sleep(0.05)
    together = threading.Barrier(16)

    def call(_: int) -> object:
        together.wait()
        return registry.load_reference("a", "")

    with ThreadPoolExecutor(16) as threads:
        assert len({*threads.map(call, range(16))}) == 1
    assert store.read == ["a/2"]


def test_versions_do_not_wait_for_each_other(store: CountingStore) -> None:
    registry = Registry.open(store)
    begun, go_on = threading.Event(), threading.Event()

    def wait(name: str, _: int) -> None:
        if name == "a":
            begun.set()
            assert go_on.wait(30)

    store.first = wait
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(registry.load_reference, "a", "")
        assert begun.wait(30)
        assert registry.load_reference("b", "").version == 1
        assert registry.register("new", tiny()).created, "a writer does not wait either"
        go_on.set()
        assert slow.result().version == 2


def test_preloaded_versions_stay(store: CountingStore) -> None:
    preload = [("a", ""), ("a", "stable"), ("b", "1"), ("none", "")]
    registry = Registry.open(store, plan_cache_bytes=1, preload=preload)
    pinned = {"a/1", "a/2", "b/1"}
    assert loaded(registry) == pinned
    for name in ("c", "d"):
        registry.load_reference(name, "")
        assert loaded(registry) == {*pinned, f"{name}/1"}


def test_pin_moves_with_its_alias(store: CountingStore) -> None:
    registry = Registry.open(store, plan_cache_bytes=1, preload=[("a", "stable"), ("b", ""), ("new", "")])
    registry.load_reference("c", "")
    registry.rollout.set_alias("a", "stable", "2")
    assert registry.get_loaded(registry.version("a", "stable")) is not None, "loaded before the alias names it"
    registry.register("b", kilobytes(1, "b again"))
    registry.register("new", tiny())
    registry.load_reference("c", "")
    assert loaded(registry) == {"a/2", "b/2", "new/1", "c/1"}


def test_damaged_version_does_not_prevent_the_start(store: CountingStore, database: Path) -> None:
    damage(database, "a", 2)
    registry = Registry.open(store, preload=[("a", ""), ("b", "")])
    assert loaded(registry) == {"b/1"}
    assert registry.is_damaged(registry.version("a", ""))


def damage(database: Path, name: str, number: int) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE versions SET content = x'00' WHERE name = ? AND number = ?", (name, number))


def test_descriptions_of_many_versions_are_read_together(store: CountingStore) -> None:
    registry = Registry.open(store)
    versions = [network.versions[network.aliases["latest"]] for network in registry.networks()]
    registry.cache_descriptions(versions)
    described = {version.network: registry.read_description(version) for version in versions}
    assert described.items() >= {"a": "a again", "b": "b", "c": "c"}.items()
    assert store.read == [], "none by itself"
    assert loaded(registry) == set()


@pytest.mark.parametrize(
    "description", ["", "a b", 'é \u2028 "\\" \n', "x" * 1_000], ids=["none", "plain", "odd", "long"]
)
def test_a_description_alone_is_that_of_the_spec(description: str) -> None:
    network = replace(kilobytes(1, "x"), description=description)
    assert read_description(spec.to_safetensors(network)) == description


def test_a_network_that_is_not_called_takes_little_memory() -> None:
    """Its objects; the goal of 1 KiB has the rest of the process too."""
    rows = [
        NetworkRow(
            name=f"network-{index}",
            next_version=2,
            create_time=EPOCH,
            update_time=EPOCH,
            versions=(VersionRow(number=1, digest="0" * 64, create_time=EPOCH, size_bytes=1_000),),
            aliases=ONLY_LATEST,
            revision=index,
        )
        for index in range(500)
    ]
    tracemalloc.start()
    try:
        states = [network_state(row, {}) for row in rows]
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken / len(states) < 640


def test_damage_is_found_where_many_descriptions_are_read(
    store: CountingStore, database: Path, caplog: pytest.LogCaptureFixture
) -> None:
    registry = Registry.open(store)
    damage(database, "a", 2)
    version, deleted = registry.version("a", ""), registry.version("c", "")
    registry.delete_network("c")
    registry.cache_descriptions([version, deleted, registry.version("b", "")])
    assert (registry.read_description(version), registry.read_description(registry.version("b", ""))) == ("", "b")
    assert registry.is_damaged(version)
    assert "network a version 2 is damaged" in caplog.text
    with pytest.raises(NetworkNotFoundError):
        registry.read_description(deleted)


def test_damage_is_found_at_first_use(store: CountingStore, database: Path, caplog: pytest.LogCaptureFixture) -> None:
    registry = Registry.open(store)
    damage(database, "a", 2)
    version = registry.version("a", "")
    assert not registry.is_damaged(version)
    changes: list[NetworkChange] = []
    registry.subscribe(changes.append)
    for _ in range(3):
        with pytest.raises(NetworkCorruptError) as corrupt:
            registry.load_reference("a", "")
        assert corrupt.value.facts["resourceName"] == "a/2"
    assert registry.is_damaged(version)
    assert (registry.read_summary(version), registry.read_description(version)) == (None, "")
    assert store.read == ["a/2"], "known damage is not read again"
    assert "network a version 2 is damaged" in caplog.text
    assert [(change.name, change.revision) for change in changes] == [("a", registry.revision)], "announced once"
    assert registry.load_reference("a", "1").version == 1


@pytest.mark.parametrize("known", [True, False])
def test_repair(store: CountingStore, database: Path, *, known: bool) -> None:
    registry = Registry.open(store, plan_cache_bytes=1)
    damage(database, "a", 2)
    if known:
        assert registry.read_summary(registry.version("a", "")) is None
    revision = registry.revision
    mended = registry.register("a", kilobytes(1, "a again"))
    assert (mended.version.number, mended.created, mended.revision) == (2, False, revision + 1)
    assert registry.version("a", "") is mended.version
    assert not registry.is_damaged(mended.version)
    assert loaded(registry) == {"a/2"}
    registry.load_reference("b", "")
    assert registry.load_reference("a", "").version == 2, "read from the store"


def test_repaired_by_a_restore(store: CountingStore, database: Path) -> None:
    """A version that is intact again is announced, although nothing was written."""
    registry = Registry.open(store)
    content = spec.to_safetensors(kilobytes(1, "a again"))
    damage(database, "a", 2)
    assert registry.read_summary(registry.version("a", "")) is None
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE versions SET content = ? WHERE name = 'a' AND number = 2", (content,))
    changes: list[NetworkChange] = []
    registry.subscribe(changes.append)
    assert not registry.register("a", kilobytes(1, "a again")).created
    assert [change.name for change in changes] == ["a"]
    assert not registry.is_damaged(registry.version("a", ""))


def test_deleted_while_not_loaded(store: CountingStore) -> None:
    registry = Registry.open(store)
    first, second = registry.version("a", "1"), registry.version("a", "2")
    registry.rollout.delete_alias("a", "stable")
    registry.delete_version("a", 1)
    for read in (registry.load, registry.read_summary, registry.read_description):
        with pytest.raises(VersionNotFoundError):
            read(first)
    registry.delete_network("a")
    for read in (registry.load, registry.read_summary, registry.read_description):
        with pytest.raises(NetworkNotFoundError):
            read(second)
    assert loaded(registry) == set()


def test_deleted_before_its_content_is_read(store: CountingStore) -> None:
    registry = Registry.open(store)
    store.first = lambda name, _: registry.delete_network(name)
    with pytest.raises(NetworkNotFoundError):
        registry.load_reference("b", "")


def test_deleted_after_its_content_is_read(store: CountingStore) -> None:
    registry = Registry.open(store)
    store.then = lambda name, _: registry.delete_network(name)
    assert registry.load_reference("b", "").name == "b", "a call that came in time succeeds"
    assert registry.plan_cache_size == (0, 0), "and nothing stays in memory"


def test_store_unavailable_for_a_while(store: CountingStore) -> None:
    registry = Registry.open(store)
    registry.load_reference("a", "")

    def fail(*_: object) -> None:
        raise StoreUnavailableError("busy")

    store.first = fail
    version = registry.version("b", "")
    for read in (registry.load, registry.read_summary, registry.read_description):
        with pytest.raises(StoreUnavailableError):
            read(version)
    assert registry.load_reference("a", "").version == 2, "loaded versions continue"
    assert not registry.is_damaged(version)
    store.first = lambda *_: None
    assert registry.load(version).version == 1


def test_each_change_creates_a_snapshot(store: CountingStore) -> None:
    registry = Registry.open(store)
    before = registry.snapshot
    registry.load_reference("a", "")
    registry.register("a", kilobytes(1, "a"))
    assert registry.snapshot is before
    registry.rollout.set_alias("a", "stable", "2")
    assert registry.snapshot is not before
    assert before.version("a", "stable").number == 1
