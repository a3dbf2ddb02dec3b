"""The contract of every store."""

from datetime import UTC, datetime, timedelta

import pytest
from forwardpass.errors import (
    AliasNotFoundError,
    NetworkNotFoundError,
    VersionInUseError,
    VersionNotFoundError,
)
from forwardpass_server.registry import Store
from forwardpass_server.registry.storage.store import Seed, StoredState, WriteResult


def add(store: Store, name: str, digest: str, *, keep_latest: bool = False) -> WriteResult:
    return store.register(name, digest * 64, digest.encode(), keep_latest=keep_latest)


def test_new_store_is_empty(store: Store) -> None:
    assert store.read_state() == StoredState(revision=0, networks=(), deleted=frozenset())


def test_registration_is_stored(store: Store) -> None:
    before = datetime.now(UTC)
    written = add(store, "net", "a")
    assert (written.number, written.created, written.revision) == (1, True, 1)
    [network] = store.read_state().networks
    assert network == written.network
    assert dict(network.aliases) == {"latest": 1}
    [version] = network.versions
    assert (version.number, version.digest, version.size_bytes) == (1, "a" * 64, 1)
    assert store.read_content("net", 1) == b"a"
    assert before <= network.create_time <= network.update_time <= before + timedelta(minutes=1)


def test_the_same_content_is_found(store: Store) -> None:
    add(store, "net", "a")
    add(store, "net", "b")
    found = add(store, "net", "a")
    assert (found.number, found.created, found.revision) == (1, False, 2)
    assert dict(found.network.aliases) == {"latest": 2}, "a retry moves nothing"
    assert add(store, "other", "a").created, "content belongs to its network"


@pytest.mark.parametrize("right", [b"right", b"right" * 10**6], ids=["small", "large"])
def test_wrong_content_is_repaired(store: Store, right: bytes) -> None:
    add(store, "net", "a")
    mended = store.register("net", "a" * 64, right, keep_latest=False)
    assert (mended.number, mended.created, mended.revision) == (1, False, 2)
    assert store.read_content("net", 1) == right
    assert store.read_state().networks[0].versions[0].size_bytes == len(right)


def test_keep_latest(store: Store) -> None:
    assert add(store, "net", "a", keep_latest=True).network.aliases["latest"] == 1, "it is the only one"
    assert add(store, "net", "b", keep_latest=True).network.aliases["latest"] == 1
    assert add(store, "net", "c").network.aliases["latest"] == 3


def test_version_numbers_are_not_reused(store: Store) -> None:
    add(store, "net", "a")
    add(store, "net", "b")
    store.delete_version("net", 2)
    again = add(store, "net", "b")
    assert (again.number, again.created) == (3, True)
    assert store.delete_network("net") == 5
    assert store.read_state() == StoredState(revision=5, networks=(), deleted=frozenset({"net"}))
    anew = add(store, "net", "a", keep_latest=True)
    assert (anew.number, anew.revision, dict(anew.network.aliases)) == (4, 6, {"latest": 4})
    assert not store.read_state().deleted


def test_latest_moves_to_the_highest_version_left(store: Store) -> None:
    for digest in "abc":
        add(store, "net", digest)
    store.set_alias("net", "latest", 2)
    assert store.delete_version("net", 1).network.aliases["latest"] == 2
    assert store.delete_version("net", 2).network.aliases["latest"] == 3


def test_version_in_use_cannot_be_deleted(store: Store) -> None:
    add(store, "net", "a")
    with pytest.raises(VersionInUseError, match="the only one") as only:
        store.delete_version("net", 1)
    assert only.value.facts == {"network": "net", "version": "1", "aliases": ""}
    add(store, "net", "b")
    store.set_alias("net", "stable", 1)
    store.set_alias("net", "production", 1)
    with pytest.raises(VersionInUseError, match="production, stable") as named:
        store.delete_version("net", 1)
    assert named.value.facts["aliases"] == "production, stable"
    assert store.read_state().revision == 4, "a rejected write changes nothing"


def test_aliases(store: Store) -> None:
    add(store, "net", "a")
    add(store, "net", "b")
    assert store.set_alias("net", "stable", 1).revision == 3
    assert store.set_alias("net", "stable", 1).revision == 3, "nothing changed"
    moved = store.set_alias("net", "stable", 2)
    assert (moved.revision, dict(moved.network.aliases)) == (4, {"latest": 2, "stable": 2})
    gone = store.delete_alias("net", "stable")
    assert (gone.revision, dict(gone.network.aliases)) == (5, {"latest": 2})


def test_not_found(store: Store) -> None:
    with pytest.raises(NetworkNotFoundError):
        store.delete_network("net")
    with pytest.raises(NetworkNotFoundError):
        store.delete_version("net", 1)
    with pytest.raises(NetworkNotFoundError):
        store.set_alias("net", "stable", 1)
    with pytest.raises(NetworkNotFoundError):
        store.delete_alias("net", "stable")
    assert store.read_content("net", 1) is None
    add(store, "net", "a")
    with pytest.raises(VersionNotFoundError):
        store.delete_version("net", 2)
    with pytest.raises(VersionNotFoundError):
        store.set_alias("net", "stable", 2)
    with pytest.raises(AliasNotFoundError):
        store.delete_alias("net", "stable")
    assert store.read_content("net", 2) is None
    store.delete_network("net")
    with pytest.raises(NetworkNotFoundError):
        store.delete_network("net")
    assert store.read_state().revision == 2


def test_large_content(store: Store) -> None:
    content = bytes(range(256)) * 100_000
    store.register("net", "a" * 64, content, keep_latest=False)
    assert store.read_content("net", 1) == content


def test_changes_since_a_revision(store: Store) -> None:
    for name in ("a", "b", "c"):
        add(store, name, "a")
    assert store.read_state(since=3) == StoredState(revision=3, networks=(), deleted=frozenset())
    store.set_alias("b", "stable", 1)
    store.delete_network("c")
    changed = store.read_state(since=3)
    assert (changed.revision, changed.deleted) == (5, frozenset({"c"}))
    assert [(row.name, row.revision) for row in changed.networks] == [("b", 4)]
    assert {row.name: row for row in store.read_state().networks}["b"] == changed.networks[0]


def test_seeds_need_unused_names(store: Store) -> None:
    add(store, "kept", "a")
    add(store, "deleted", "a")
    store.delete_network("deleted")
    seeds = [Seed(name=name, digest="b" * 64, content=b"b") for name in ("kept", "deleted", "new")]
    for _ in range(2):
        store.seed(seeds)
        stored = store.read_state()
        assert (stored.revision, stored.deleted) == (4, frozenset({"deleted"}))
        assert {row.name: [version.digest for version in row.versions] for row in stored.networks} == {
            "kept": ["a" * 64],
            "new": ["b" * 64],
        }
        assert store.read_content("new", 1) == b"b"
