"""Any history of the registry behaves like a model of plain dictionaries."""

from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from forwardpass.errors import (
    AliasMovedError,
    AliasNotFoundError,
    InvalidFieldError,
    NetworkNotFoundError,
    NoEarlierVersionError,
    ProfileNotFoundError,
    QuotaExceededError,
    VersionInUseError,
    VersionNotFoundError,
)
from forwardpass.v1.profile_pb2 import Profile as ProfileMessage
from forwardpass_server.registry import NetworkChange, Registry, SqlStore
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.support.memory_folder import memory_folder
from tests.support.profile_messages import profile_message
from tests.support.sample_networks import BUILTINS, tiny

MAX_VERSIONS = 4
NAMES = st.sampled_from(["a", "b", "c"])
WEIGHTS = st.integers(min_value=1, max_value=6)
NUMBERS = st.integers(min_value=1, max_value=9)
ALIASES = st.sampled_from(["stable", "canary", "latest"])
REFERENCES = st.one_of(ALIASES, NUMBERS.map(str))


class Model:
    """The expected registry: weights by version number, aliases, and the next number of every name."""

    def __init__(self) -> None:
        self.weights: dict[str, dict[int, int]] = {}
        self.aliases: dict[str, dict[str, int]] = {}
        self.next: dict[str, int] = {}
        # The versions that each alias named, as rollbacks see them; the last one is current.
        self.named: dict[tuple[str, str], list[int]] = {}
        # The rows of each profile, by name and number.
        self.profiles: dict[tuple[str, int], int] = {}
        self.revision = len(BUILTINS)

    def point(self, name: str, alias: str, number: int) -> None:
        if self.aliases[name].get(alias) != number:
            self.named.setdefault((name, alias), []).append(number)
        self.aliases[name][alias] = number

    def forget(self, name: str, alias: str) -> None:
        del self.aliases[name][alias], self.named[name, alias]

    def before(self, name: str, alias: str) -> list[int]:
        """Return `named` after a rollback; empty if there is no version to return to."""
        *left, now = self.named[name, alias]
        while left and (left[-1] == now or left[-1] not in self.weights[name]):
            left.pop()
        return left

    def resolve(self, name: str, reference: str) -> int | type[Exception]:
        if name not in self.weights:
            return NetworkNotFoundError
        if reference.isdecimal():
            return int(reference) if int(reference) in self.weights[name] else VersionNotFoundError
        return self.aliases[name].get(reference, AliasNotFoundError)


class RegistryMachine(RuleBasedStateMachine):
    """Each rule calls the registry and the model, and compares the results."""

    @initialize()
    def start(self) -> None:
        self.folder = ExitStack()
        self.url = f"sqlite:///{self.folder.enter_context(memory_folder())}/registry.db"
        self.model = Model()
        self.store: SqlStore | None = None
        self.open()

    def open(self) -> None:
        if self.store is not None:
            self.store.close()
        self.store = SqlStore(self.url)
        self.registry = Registry.open(self.store, max_versions=MAX_VERSIONS)
        self.changes: list[NetworkChange] = []
        self.registry.subscribe(self.changes.append)

    def expect(self, error: type[Exception], method: Any, *arguments: Any) -> None:
        before = self.registry.networks()
        with pytest.raises(error):
            method(*arguments)
        assert self.registry.networks() == before
        assert not self.changes

    def changed(self, name: str) -> None:
        self.model.revision += 1
        [change] = self.changes
        self.changes.clear()
        now = self.registry.network(name) if name in self.model.weights else None
        assert change == NetworkChange(name=name, network=now, revision=self.model.revision)

    @rule(name=NAMES, weight=WEIGHTS, keep_latest=st.booleans(), validate_only=st.booleans())
    def register(self, name: str, weight: int, *, keep_latest: bool, validate_only: bool) -> None:
        model = self.model
        weights = model.weights.get(name, {})
        found = next((number for number, other in weights.items() if other == weight), None)
        if found is None and len(weights) >= MAX_VERSIONS:
            self.expect(QuotaExceededError, self.registry.register, name, tiny(weight))
            return
        done = self.registry.register(name, tiny(weight), keep_latest=keep_latest, validate_only=validate_only)
        created = found is None and not validate_only
        number = found or (0 if validate_only else model.next.get(name, 1))
        assert (done.version.number, done.created) == (number, created)
        if created:
            model.next[name] = number + 1
            model.weights.setdefault(name, {})[number] = weight
            aliases = model.aliases.setdefault(name, {})
            if not keep_latest or not aliases:
                model.point(name, "latest", number)
            self.changed(name)
        assert done.revision == model.revision

    @rule(name=NAMES)
    def delete_network(self, name: str) -> None:
        if name not in self.model.weights:
            self.expect(NetworkNotFoundError, self.registry.delete_network, name)
            return
        revision = self.registry.delete_network(name)
        for alias in [*self.model.aliases[name]]:
            self.model.forget(name, alias)
        for number in self.model.weights[name]:
            self.model.profiles.pop((name, number), None)
        del self.model.weights[name], self.model.aliases[name]
        self.changed(name)
        assert revision == self.model.revision

    @rule(name=NAMES, number=NUMBERS)
    def delete_version(self, name: str, number: int) -> None:
        known = self.model.resolve(name, str(number))
        if not isinstance(known, int):
            self.expect(known, self.registry.delete_version, name, number)
            return
        weights, aliases = self.model.weights[name], self.model.aliases[name]
        others = [alias for alias, named in aliases.items() if named == number and alias != "latest"]
        if others or len(weights) == 1:
            self.expect(VersionInUseError, self.registry.delete_version, name, number)
            return
        self.registry.delete_version(name, number)
        del weights[number]
        self.model.profiles.pop((name, number), None)
        if aliases["latest"] == number:
            self.model.point(name, "latest", max(weights))
        self.changed(name)

    @rule(name=NAMES, alias=ALIASES, reference=REFERENCES)
    def set_alias(self, name: str, alias: str, reference: str) -> None:
        number = self.model.resolve(name, reference)
        if not isinstance(number, int):
            self.expect(number, self.registry.rollout.set_alias, name, alias, reference)
            return
        now = self.model.aliases[name].get(alias, 0)
        if now != number:
            self.expect(
                AliasMovedError, partial(self.registry.rollout.set_alias, expected=now + 1), name, alias, reference
            )
        self.registry.rollout.set_alias(name, alias, reference, expected=now)
        if now != number:
            self.model.point(name, alias, number)
            self.changed(name)

    @rule(name=NAMES, alias=ALIASES)
    def rollback_alias(self, name: str, alias: str) -> None:
        now = self.model.resolve(name, alias)
        if not isinstance(now, int):
            self.expect(now, self.registry.rollout.rollback_alias, name, alias)
            return
        self.expect(AliasMovedError, partial(self.registry.rollout.rollback_alias, expected=now + 1), name, alias)
        left = self.model.before(name, alias)
        if not left:
            self.expect(NoEarlierVersionError, self.registry.rollout.rollback_alias, name, alias)
            return
        assert self.registry.rollout.rollback_alias(name, alias, expected=now)[1] == now
        self.model.named[name, alias] = left
        self.model.aliases[name][alias] = left[-1]
        self.changed(name)

    @rule(name=NAMES, alias=ALIASES)
    def delete_alias(self, name: str, alias: str) -> None:
        number = self.model.resolve(name, alias)
        if not isinstance(number, int):
            self.expect(number, self.registry.rollout.delete_alias, name, alias)
        elif alias == "latest":
            self.expect(InvalidFieldError, self.registry.rollout.delete_alias, name, alias)
        else:
            self.registry.rollout.delete_alias(name, alias)
            self.model.forget(name, alias)
            self.changed(name)

    @rule(name=NAMES, number=NUMBERS, rows=st.integers(1, 3))
    def set_profile(self, name: str, number: int, rows: int) -> None:
        known = self.model.resolve(name, str(number))
        if not isinstance(known, int):
            self.expect(known, self.registry.profiles.set, name, str(number), ProfileMessage())
            return
        self.registry.profiles.set(name, str(number), profile_message(self.registry, name, number, rows))
        if self.model.profiles.get((name, number)) != rows:
            self.model.profiles[name, number] = rows
            self.changed(name)

    @rule(name=NAMES, reference=REFERENCES)
    def delete_profile(self, name: str, reference: str) -> None:
        number = self.model.resolve(name, reference)
        if not isinstance(number, int):
            self.expect(number, self.registry.profiles.delete, name, reference)
            return
        if (name, number) not in self.model.profiles:
            self.expect(ProfileNotFoundError, self.registry.profiles.delete, name, reference)
            return
        assert self.registry.profiles.delete(name, reference)[1] == number
        del self.model.profiles[name, number]
        self.changed(name)

    @rule()
    def reopen(self) -> None:
        self.open()

    @invariant()
    def agrees(self) -> None:
        registry, model = self.registry, self.model
        networks = [network for network in registry.networks() if network.name not in BUILTINS]
        assert registry.revision == model.revision
        assert [network.name for network in networks] == sorted(model.weights)
        for network in networks:
            name, weights = network.name, model.weights[network.name]
            assert dict(network.aliases) == model.aliases[name]
            assert all(
                registry.rollout.list_alias_moves(name, alias)[0].number == number
                for alias, number in network.aliases.items()
            )
            assert list(network.versions) == sorted(weights)
            for version in network.versions.values():
                rows = model.profiles.get((name, version.number))
                row = network.profiles.get(version.number)
                assert rows == (row.rows if row else None)
                if rows is not None:
                    assert registry.profiles.read(version).outputs.maxima.tolist() == [rows]
            for reference in ("", *network.aliases, *map(str, weights)):
                number = model.resolve(name, reference or "latest")
                assert isinstance(number, int)
                loaded = registry.load_reference(name, reference)
                assert loaded is registry.get_loaded(network.versions[number])
                assert loaded.plan.dense[0].weights.tolist() == [[weights[number]]]
                assert (loaded.name, loaded.version) == (name, number)
        assert not self.changes

    def teardown(self) -> None:
        if hasattr(self, "registry"):
            for name, weights in self.model.weights.items():
                for number, weight in weights.items():
                    assert self.registry.read_spec(name, str(number)) == tiny(weight)
            assert self.store is not None
            self.store.close()
            self.folder.close()


STEPS = settings(stateful_step_count=30, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize(
    "examples", [pytest.param(10, id="quick"), pytest.param(400, id="long", marks=pytest.mark.prove)]
)
def test_any_history(examples: int) -> None:
    run_state_machine_as_test(RegistryMachine, settings=settings(STEPS, max_examples=examples))
