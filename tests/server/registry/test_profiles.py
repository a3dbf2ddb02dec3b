"""Profiles beside versions: kept, replaced, deleted, copied, backed up, verified, and cached."""

from collections.abc import Callable
from pathlib import Path

import pytest
from forwardpass.errors import (
    InvalidFieldError,
    NetworkCorruptError,
    NetworkNotFoundError,
    ProfileNotFoundError,
    VersionNotFoundError,
)
from forwardpass.profiles import to_message
from forwardpass.v1.profile_pb2 import Profile as ProfileMessage
from forwardpass_server.registry import (
    CopyError,
    Registry,
    SqlStore,
    VersionState,
    back_up,
    collect_garbage,
    copy_registry,
    verify,
)
from forwardpass_server.registry.storage.tables import profiles
from sqlalchemy import create_engine, func, select, text

from tests.server.registry.conftest import Place
from tests.support.profile_messages import profile_message
from tests.support.sample_networks import tiny


def message(registry: Registry, number: int = 1, rows: int = 5) -> ProfileMessage:
    return profile_message(registry, "net", number, rows)


@pytest.fixture
def net(registry: Registry) -> Registry:
    for weight in (1, 2, 3):
        registry.register("net", tiny(weight))
    return registry


def version(registry: Registry, number: int = 1) -> VersionState:
    return registry.version("net", str(number))


def test_a_profile_is_kept_and_replaced(net: Registry) -> None:
    with pytest.raises(ProfileNotFoundError, match="network 'net' version 1 has no profile"):
        net.profiles.read(version(net))
    before = net.revision
    network, number = net.profiles.set("net", "1", message(net))
    assert (number, net.revision, network.profiles[1].rows) == (1, before + 1, 5)
    assert to_message(net.profiles.read(version(net))) == message(net)
    again, _ = net.profiles.set("net", "1", message(net))
    assert (again, net.revision) == (network, before + 1), "a retry changes nothing"
    replaced, _ = net.profiles.set("net", "1", message(net, rows=7))
    assert [row.rows for row in replaced.profiles.values()] == [7]
    assert net.profiles.read(version(net)).rows == 7
    assert net.profiles.delete("net", "1")[0].profiles == {}
    with pytest.raises(ProfileNotFoundError, match="network 'net' version 1 has no profile"):
        net.profiles.delete("net", "1")
    assert net.revision == before + 3
    with pytest.raises(ProfileNotFoundError):
        net.profiles.read(version(net))


def test_a_profile_changes_neither_content_nor_memory(net: Registry) -> None:
    state = version(net)
    loaded = net.load(state)
    net.profiles.set("net", "1", message(net))
    assert version(net) is state, "its plan, statistics and damage stay"
    assert net.get_loaded(state) is loaded
    assert net.register("net", tiny(1)).version.digest == state.digest


def test_loaded_with_its_profile(net: Registry) -> None:
    state = version(net)
    assert net.get_profiled(state) is net.get_loaded(state), "a version without a profile is complete"
    net.profiles.set("net", "1", message(net))
    assert net.get_profiled(state) is None, "it has to be read"
    loaded = net.load_profiled(state)
    assert loaded.profile is not None
    ready = net.get_profiled(state)
    assert ready is not None
    assert ready.profile is loaded.profile, "cached"
    assert ready.plan is loaded.plan
    net.profiles.set("net", "1", message(net, rows=9))
    assert net.get_profiled(state) is None, "the cached one is out of date"
    again = net.load_profiled(state).profile
    assert again is not None
    assert again.rows == 9
    net.profiles.delete("net", "1")
    assert net.load_profiled(state).profile is None


def test_deleted_with_its_version(net: Registry, store: SqlStore) -> None:
    for number in (1, 2, 3):
        net.profiles.set("net", str(number), message(net, number))
    net.delete_version("net", 2)
    assert [*net.network("net").profiles] == [1, 3]
    assert store.read_profile("net", 2) is None
    net.delete_network("net")
    with store.database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(profiles)).scalar_one() == 0


def test_collected_with_its_version(net: Registry, store: SqlStore) -> None:
    for number in (1, 3):
        net.profiles.set("net", str(number), message(net, number))
    assert collect_garbage(store, 1, dry_run=False) == ["net/1", "net/2"], "a profile keeps no version"
    assert [row.number for row in store.read_state().networks[-1].profiles] == [3]


def test_it_lasts(lasting_place: Place) -> None:
    registry = Registry.open(lasting_place.open())
    registry.register("net", tiny(1))
    registry.profiles.set("net", "", message(registry))
    before = registry.network("net").profiles
    registry = Registry.open(lasting_place.open())
    assert registry.network("net").profiles == before
    assert to_message(registry.profiles.read(version(registry))) == message(registry)


def test_what_is_not_of_the_version_is_rejected(net: Registry) -> None:
    wrong = message(net)
    wrong.layers[0].name = "another"
    large = message(net)
    large.inputs.nodes[0] = "x" * 2**20
    revision = net.revision
    for bad, words in (
        (wrong, "no layer of the network"),
        (large, "1,048,576 are kept"),
        (ProfileMessage(), "rows"),
    ):
        with pytest.raises(InvalidFieldError, match=words):
            net.profiles.set("net", "1", bad)
    with pytest.raises(VersionNotFoundError):
        net.profiles.set("net", "9", message(net))
    with pytest.raises(NetworkNotFoundError):
        net.profiles.set("nobody", "1", message(net))
    with pytest.raises(NetworkNotFoundError):
        net.profiles.delete("nobody", "1")
    assert net.revision == revision


def test_other_servers_follow(migrated: Callable[[], str]) -> None:
    url = migrated()
    with SqlStore(url) as one, SqlStore(url) as two:
        writer, reader = Registry.open(one), Registry.open(two)
        writer.register("net", tiny(1))
        for rows in (5, 6):
            writer.profiles.set("net", "1", message(writer, rows=rows))
            reader.refresh(lambda _: None)
            loaded = reader.load_profiled(version(reader))
            assert loaded.profile is not None
            assert loaded.profile.rows == rows
        assert version(reader).runtime is not version(writer).runtime


@pytest.fixture
def damaged(database: Path) -> str:
    url = f"sqlite:///{database}"
    with SqlStore(url) as store:
        registry = Registry.open(store)
        registry.register("net", tiny(1))
        registry.profiles.set("net", "1", message(registry))
        with store.database.writing() as connection:
            connection.exec_driver_sql("UPDATE profiles SET content = zeroblob(10)")
    return url


def test_damage_is_that_of_the_profile_alone(damaged: str, migrated: Callable[[], str], tmp_path: Path) -> None:
    assert back_up(damaged, tmp_path / "copy.db").damaged == ("net/1 (profile)",)
    with SqlStore(damaged) as store:
        errors = {name: error for name, error in verify(store, numerics="exact") if error}
        assert list(errors) == ["net/1"]
        assert errors["net/1"].startswith("the stored profile of network 'net' version 1 is damaged; profile the")
        with SqlStore(migrated()) as target, pytest.raises(CopyError, match="profile of network 'net' version 1 is"):
            copy_registry(store, target)
        registry = Registry.open(store)
        with pytest.raises(NetworkCorruptError):
            registry.profiles.read(version(registry))
        with pytest.raises(NetworkCorruptError):
            registry.load_profiled(version(registry))
        assert registry.load(version(registry)).profile is None, "the version itself is served"
        assert not registry.is_damaged(version(registry))
        registry.profiles.set("net", "1", message(registry))
        assert registry.profiles.read(version(registry)).rows == 5, "the remedies of the error: profile again"
        registry.profiles.delete("net", "1")


@pytest.mark.parametrize("column", ["content", "digest", "rows", "set_us", "number"])
def test_damaged_columns(database: Path, column: str) -> None:
    url = f"sqlite:///{database}"
    with SqlStore(url) as store:
        registry = Registry.open(store)
        registry.register("net", tiny(1))
        registry.profiles.set("net", "1", message(registry))
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE profiles SET {column} = 'nonsense'"))
    engine.dispose()
    with SqlStore(url) as store:
        registry = Registry.open(store)
        try:
            registry.profiles.read(version(registry))
        except NetworkCorruptError:
            assert column in {"content", "digest"}
        except ProfileNotFoundError:
            assert column == "number"
        assert registry.load(version(registry)).plan is not None


def test_copies_and_backups_have_it(database: Path, migrated: Callable[[], str], tmp_path: Path) -> None:
    url = f"sqlite:///{database}"
    with SqlStore(url) as store:
        registry = Registry.open(store)
        for weight in (1, 2):
            registry.register("net", tiny(weight))
            registry.profiles.set("net", "", message(registry, weight))
        before = store.read_state()
        with SqlStore(migrated()) as target:
            copy_registry(store, target)
            assert target.read_state() == before
            assert target.read_profile("net", 2) == store.read_profile("net", 2)
    assert back_up(url, tmp_path / "copy.db").damaged == ()
    with SqlStore(f"sqlite:///{tmp_path / 'copy.db'}") as copied:
        assert copied.read_state() == before
        assert to_message(Registry.open(copied).profiles.read(version(Registry.open(copied)))).rows == 5


def test_upgrade(lasting_place: Place) -> None:
    Registry.open(lasting_place.open()).register("net", tiny(1))
    lasting_place.close()
    engine = create_engine(lasting_place.url)
    with engine.begin() as connection:
        profiles.drop(connection)
        connection.execute(text("UPDATE alembic_version SET version_num = '0004'"))
    engine.dispose()
    registry = Registry.open(lasting_place.open())
    registry.profiles.set("net", "1", message(registry))
    assert registry.network("net").profiles[1].rows == 5
