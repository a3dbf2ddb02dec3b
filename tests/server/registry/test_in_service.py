"""Versions out of service: they keep their aliases, and cannot be called."""

from pathlib import Path

import pytest
from forwardpass.errors import NetworkNotFoundError, VersionOutOfServiceError
from forwardpass_server.registry import NetworkChange, Registry, SqlStore, Store
from forwardpass_server.registry.storage import schema, sqlite
from forwardpass_server.registry.storage.tables import alias_moves, profiles, shadows, withdrawn
from sqlalchemy import inspect, select
from sqlalchemy.engine import make_url

from tests.server.registry.conftest import Place
from tests.support.sample_networks import tiny


def two_versions(registry: Registry) -> None:
    registry.register("net", tiny(1))
    registry.register("net", tiny(2))
    registry.rollout.set_alias("net", "best", "1")


def test_out_of_service_and_back_into_it(registry: Registry) -> None:
    two_versions(registry)
    changes: list[NetworkChange] = []
    registry.subscribe(changes.append)
    network = registry.set_in_service("net", in_service=False)
    assert [version.in_service for version in network.versions.values()] == [False, False]
    for reference, number in (("", 2), ("latest", 2), ("best", 1), ("1", 1)):
        assert registry.version("net", reference).number == number, "aliases do not change"
        with pytest.raises(VersionOutOfServiceError, match=f"version {number} is out of service") as error:
            registry.snapshot.resolve("net", reference)
        assert error.value.facts == {"network": "net", "version": f"{number}"}
    network = registry.set_in_service("net", in_service=True)
    assert registry.snapshot.resolve("net", "best") is network.versions[1]
    assert [change.network and change.network.versions[2].in_service for change in changes] == [False, True]
    assert [change.revision for change in changes] == [registry.revision - 1, registry.revision]


def test_setting_again_changes_nothing(registry: Registry) -> None:
    two_versions(registry)
    before = registry.set_in_service("net", in_service=True)
    revision = registry.revision
    registry.set_in_service("net", in_service=False)
    assert registry.set_in_service("net", in_service=False) == registry.network("net") != before
    assert registry.revision == revision + 1


def test_version_out_of_service_is_not_loaded(registry: Registry) -> None:
    registry.register("net", tiny(1))
    assert registry.get_loaded(registry.version("net", "")) is not None
    registry.set_in_service("net", in_service=False)
    assert registry.get_loaded(registry.version("net", "")) is None
    registry.set_in_service("net", in_service=True)
    assert registry.load_reference("net", "").version == 1


def test_statistics_stay(registry: Registry) -> None:
    registry.register("net", tiny(1))
    registry.version("net", "").runtime.statistics.count_error(0.0)
    registry.set_in_service("net", in_service=False)
    registry.set_in_service("net", in_service=True)
    assert registry.version("net", "").runtime.statistics.collect().errors == 1


def test_new_versions_are_in_service(registry: Registry) -> None:
    registry.register("net", tiny(1))
    registry.set_in_service("net", in_service=False)
    found = registry.register("net", tiny(1))
    assert (found.created, found.version.in_service) == (False, False), "an existing version does not change"
    assert registry.register("net", tiny(2)).version.in_service
    assert registry.snapshot.resolve("net", "").number == 2


def test_missing_network(registry: Registry, store: Store) -> None:
    for where in (registry, store):
        with pytest.raises(NetworkNotFoundError):
            where.set_in_service("net", in_service=False)


def test_kept_over_a_restart(lasting_place: Place) -> None:
    two_versions(Registry.open(lasting_place.open()))
    registry = Registry.open(lasting_place.open())
    registry.set_in_service("net", in_service=False)
    registry.register("net", tiny(3))
    network = Registry.open(lasting_place.open()).network("net")
    assert {number: version.in_service for number, version in network.versions.items()} == {1: False, 2: False, 3: True}


def test_deletion_leaves_no_rows(tmp_path: Path) -> None:
    with SqlStore(f"sqlite:///{tmp_path}/registry.db") as store:
        registry = Registry.open(store)
        two_versions(registry)
        registry.set_in_service("net", in_service=False)
        registry.delete_version("net", 2)
        with store.database._engine.connect() as connection:
            assert connection.execute(select(withdrawn.c.number)).scalars().all() == [1]
        registry.delete_network("net")
        with store.database._engine.connect() as connection:
            assert connection.execute(select(withdrawn)).all() == []
        registry.register("net", tiny(1))
        assert registry.snapshot.resolve("net", "3").in_service


def test_upgrade(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/registry.db"
    with SqlStore(url) as store:
        two_versions(Registry.open(store))
    engine = sqlite.make_engine(sqlite.resolved(make_url(url)), lock_timeout=1)
    with engine.begin() as connection:
        for later in (withdrawn, alias_moves, shadows, profiles):
            later.drop(connection)
        connection.exec_driver_sql("DROP INDEX networks_by_revision")
        connection.exec_driver_sql("ALTER TABLE networks DROP COLUMN revision")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    with SqlStore(url) as store:
        registry = Registry.open(store)
        assert registry.snapshot.resolve("net", "best").number == 1
        registry.set_in_service("net", in_service=False)
    with engine.connect() as connection:
        assert withdrawn.name in inspect(connection).get_table_names()
        assert schema.is_current(connection)
    engine.dispose()
