"""The history of aliases: the target of a rollback, the expected version, and the moves that are kept."""

import threading
from datetime import UTC, datetime

import pytest
from forwardpass.errors import AliasMovedError, NoEarlierVersionError, NotFoundError
from forwardpass_server.registry import Registry, SqlStore, Store
from forwardpass_server.registry.storage import alias_history
from forwardpass_server.registry.storage.tables import alias_moves, profiles, shadows
from sqlalchemy import create_engine, delete, func, select, text, update

from tests.server.registry.conftest import Place
from tests.support.sample_networks import tiny

MAX_MOVES = 12
"""Fewer than the server keeps, so that the test is fast."""


@pytest.fixture
def net(registry: Registry) -> Registry:
    for weight in range(1, 5):
        registry.register("net", tiny(weight))
    return registry


def named(registry: Registry, alias: str = "production") -> list[int]:
    return [move.number for move in registry.rollout.list_alias_moves("net", alias)]


def test_rollbacks_go_further_back(net: Registry) -> None:
    for number in (1, 2, 3):
        net.rollout.set_alias("net", "production", str(number))
    network, before = net.rollout.rollback_alias("net", "production")
    assert (before, network.aliases["production"]) == (3, 2)
    network, before = net.rollout.rollback_alias("net", "production")
    assert (before, network.aliases["production"]) == (2, 1), "further back, not forward"
    with pytest.raises(NoEarlierVersionError, match="never named another"):
        net.rollout.rollback_alias("net", "production")
    assert named(net) == [1, 2, 3, 2, 1]
    assert [move.is_rollback for move in net.rollout.list_alias_moves("net", "production")] == [
        True,
        True,
        False,
        False,
        False,
    ]
    net.rollout.set_alias("net", "production", "4")
    assert net.rollout.rollback_alias("net", "production")[0].aliases["production"] == 1, (
        "the version before the fourth"
    )


def test_moves_have_times(net: Registry) -> None:
    begun = datetime.now(UTC)
    net.rollout.set_alias("net", "production", "1")
    net.rollout.set_alias("net", "production", "2")
    second, first = [move.time for move in net.rollout.list_alias_moves("net", "production")]
    assert first is not None
    assert second is not None
    assert begun.replace(microsecond=0) <= first <= second <= datetime.now(UTC)


def test_rollback_skips_deleted_versions(net: Registry) -> None:
    for number in (1, 2, 3, 4):
        net.rollout.set_alias("net", "production", str(number))
    net.delete_version("net", 3)
    net.delete_version("net", 2)
    assert net.rollout.rollback_alias("net", "production")[0].aliases["production"] == 1
    net.rollout.set_alias("net", "production", "4")
    net.delete_version("net", 1)
    with pytest.raises(NoEarlierVersionError, match=r"before \(1\) were deleted") as refused:
        net.rollout.rollback_alias("net", "production")
    assert refused.value.facts["deleted"] == "1"
    assert net.version("net", "production").number == 4


def test_latest_has_a_history(net: Registry) -> None:
    assert named(net, "latest") == [4, 3, 2, 1]
    assert net.rollout.rollback_alias("net", "latest")[0].aliases["latest"] == 3
    net.delete_version("net", 3)
    assert named(net, "latest") == [4, 3, 4, 3, 2, 1], "a deletion moves it to the highest one left"


def test_expected_version(net: Registry) -> None:
    net.rollout.set_alias("net", "production", "1", expected=0)
    with pytest.raises(AliasMovedError, match="names version 1, though it should not exist"):
        net.rollout.set_alias("net", "production", "2", expected=0)
    net.rollout.set_alias("net", "production", "2", expected=1)
    with pytest.raises(AliasMovedError, match="names version 2, and not version 1") as refused:
        net.rollout.set_alias("net", "production", "3", expected=1)
    assert (refused.value.facts["expected"], refused.value.facts["actual"]) == ("1", "2")
    again = net.rollout.set_alias("net", "production", "2", expected=1)
    assert again == net.network("net"), "a retry succeeds"
    with pytest.raises(AliasMovedError):
        net.rollout.rollback_alias("net", "production", expected=1)
    with pytest.raises(AliasMovedError, match="does not exist, and not version 3"):
        net.rollout.set_alias("net", "canary", "1", expected=3)


def test_one_of_several_racing_writers_wins(net: Registry) -> None:
    net.rollout.set_alias("net", "production", "1")
    outcomes: list[object] = []

    def move(number: int) -> None:
        try:
            outcomes.append(net.rollout.set_alias("net", "production", str(number), expected=1).aliases["production"])
        except AliasMovedError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=move, args=(number,)) for number in (2, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [winner] = [outcome for outcome in outcomes if isinstance(outcome, int)]
    assert net.version("net", "production").number == winner
    assert named(net) == [winner, 1]


def test_only_the_last_moves_are_kept(net: Registry, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alias_history, "MAX_MOVES", MAX_MOVES)
    for turn in range(MAX_MOVES + 7):
        net.rollout.set_alias("net", "production", str(1 + turn % 2))
    moves = store.list_alias_moves("net", "production")
    assert [move.move for move in moves] == list(range(MAX_MOVES + 7, 7, -1))
    with pytest.raises(NoEarlierVersionError):
        for _ in range(MAX_MOVES):  # each is a move itself, and lets go of an old one
            net.rollout.rollback_alias("net", "production")
    assert len(store.list_alias_moves("net", "production")) == MAX_MOVES


def test_deleting_an_alias_deletes_its_history(net: Registry, store: Store) -> None:
    net.rollout.set_alias("net", "production", "1")
    net.rollout.delete_alias("net", "production")
    assert store.list_alias_moves("net", "production") == ()
    with pytest.raises(NotFoundError):
        net.rollout.list_alias_moves("net", "production")
    net.rollout.set_alias("net", "production", "2")
    assert named(net) == [2]
    net.delete_network("net")
    assert store.list_alias_moves("net", "production") == store.list_alias_moves("net", "latest") == ()


def test_upgrade(lasting_place: Place) -> None:
    registry = Registry.open(lasting_place.open())
    registry.register("net", tiny(1))
    registry.register("net", tiny(2))
    registry.rollout.set_alias("net", "production", "1")
    lasting_place.close()
    engine = create_engine(lasting_place.url)
    with engine.begin() as connection:
        for later in (alias_moves, shadows, profiles):
            later.drop(connection)
        connection.execute(text("UPDATE alembic_version SET version_num = '0003'"))
    engine.dispose()
    registry = Registry.open(lasting_place.open())
    [move] = registry.rollout.list_alias_moves("net", "production")
    assert (move.number, move.time, move.is_rollback) == (1, None, False)
    registry.rollout.set_alias("net", "production", "2")
    assert registry.rollout.rollback_alias("net", "production", expected=2)[0].aliases["production"] == 1


@pytest.mark.parametrize("damage", ["number", "rollback_to", "set_us", "move", "all"])
def test_damaged_rows(lasting_place: Place, damage: str) -> None:
    if not lasting_place.url.startswith("sqlite"):
        pytest.skip("PostgreSQL holds columns to their types")
    registry = Registry.open(lasting_place.open())
    for weight in (1, 2, 3):
        registry.register("net", tiny(weight))
        registry.rollout.set_alias("net", "production", str(weight))
    lasting_place.close()
    engine = create_engine(lasting_place.url)
    with engine.begin() as connection:
        middle = alias_moves.c.alias == "production"
        if damage == "all":
            connection.execute(delete(alias_moves).where(middle))
        else:
            connection.execute(
                update(alias_moves).where(middle, alias_moves.c.move == 2).values({damage: text("'nonsense'")})
            )
        left = connection.execute(select(func.count()).select_from(alias_moves).where(middle)).scalar_one()
    engine.dispose()
    registry = Registry.open(lasting_place.open())
    assert len(registry.rollout.list_alias_moves("net", "production")) <= left
    try:
        assert registry.rollout.rollback_alias("net", "production")[0].aliases["production"] in {1, 2}
    except NoEarlierVersionError:
        assert damage in {"number", "move", "all"}
    assert registry.rollout.set_alias("net", "production", "1").aliases["production"] == 1


def test_store_in_memory() -> None:
    with SqlStore("sqlite://") as store:
        registry = Registry.open(store)
        registry.register("net", tiny(1))
        assert named(registry, "latest") == [1]
