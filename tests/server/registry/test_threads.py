"""Many threads at once: only typed errors, no torn reads, changes in one order."""

import contextlib
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from forwardpass.errors import NotFoundError, QuotaExceededError, VersionInUseError
from forwardpass_server.registry import NetworkChange, Registry, Store

from tests.server.registry.conftest import Place
from tests.support.sample_networks import tiny

NAMES = ("a", "b", "c")
EXPECTED = (NotFoundError, VersionInUseError, QuotaExceededError)


def hammer(times: int, work: list[Callable[[random.Random], object]]) -> None:
    """Repeat each piece of work some times in a thread of its own."""

    def repeat(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(times):
            with contextlib.suppress(*EXPECTED):
                work[seed](chance)

    with ThreadPoolExecutor(len(work)) as threads:
        list(threads.map(repeat, range(len(work))))


def test_all_methods_at_once(place: Place) -> None:  # noqa: C901 - five kinds of work, each defined here
    store = place.open()
    registry = Registry.open(store, max_versions=5)
    changes: list[NetworkChange] = []
    registry.subscribe(changes.append)
    start = registry.revision
    given: dict[str, list[int]] = {name: [] for name in NAMES}
    noting = threading.Lock()

    def register(chance: random.Random) -> None:
        name = chance.choice(NAMES)
        done = registry.register(name, tiny(chance.randrange(1, 9)), keep_latest=chance.random() < 0.5)
        if done.created:
            with noting:
                given[name].append(done.version.number)

    def alias(chance: random.Random) -> None:
        name = chance.choice(NAMES)
        if chance.random() < 0.5:
            registry.rollout.set_alias(name, "stable", chance.choice(["latest", "1", "2", "7"]))
        else:
            registry.rollout.delete_alias(name, "stable")

    def delete(chance: random.Random) -> None:
        name = chance.choice(NAMES)
        if chance.random() < 0.1:
            registry.delete_network(name)
        else:
            registry.delete_version(name, chance.choice([*registry.network(name).versions]))

    def read(chance: random.Random) -> None:
        name = chance.choice(NAMES)
        loaded = registry.load_reference(name, chance.choice(["", "stable", "1"]))
        assert loaded.name == name
        network = registry.network(name)
        for reference in ("", *network.aliases):
            version = network.references[reference]
            assert version is network.versions[version.number]
            with contextlib.suppress(NotFoundError):  # deleted meanwhile
                assert registry.load(version) is not None
        names = [state.name for state in registry.networks()]
        assert names == sorted(names)

    def read_store(chance: random.Random) -> None:
        registry.read_spec(chance.choice(NAMES), "")

    hammer(60, [register, register, alias, delete, read, read, read_store])
    assert [change.revision for change in changes] == [*range(start + 1, registry.revision + 1)]
    for name, numbers in given.items():
        assert sorted(numbers) == [*range(1, len(numbers) + 1)], "every number once"
        states = [change.network for change in changes if change.name == name]
        assert len(states) >= len(numbers), "each registration is a change"
        assert name in {network.name for network in registry.networks()} or not states or states[-1] is None
    stored = store.read_state()
    assert stored.revision == registry.revision
    assert {row.name: (dict(row.aliases), [v.number for v in row.versions]) for row in stored.networks} == {
        network.name: (dict(network.aliases), [*network.versions]) for network in registry.networks()
    }


def test_many_threads_register_one_content(store: Store) -> None:
    registry = Registry.open(store)
    start = registry.revision
    together = threading.Barrier(8)

    def register(_: int) -> tuple[int, bool]:
        together.wait()
        done = registry.register("net", tiny(1))
        return done.version.number, done.created

    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(register, range(8)))
    assert sorted(results) == [(1, False)] * 7 + [(1, True)]
    assert registry.revision == start + 1
