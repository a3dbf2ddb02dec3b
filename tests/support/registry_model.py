"""What a registry is, as plain values: the state after each call, and the response to it."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from forwardpass.errors import (
    AliasNotFoundError,
    NetworkNotFoundError,
    VersionInUseError,
    VersionNotFoundError,
)

NO_NETWORK: Final = NetworkNotFoundError.__name__
NO_VERSION: Final = VersionNotFoundError.__name__
NO_ALIAS: Final = AliasNotFoundError.__name__
IN_USE: Final = VersionInUseError.__name__

Call = tuple[str, ...]
"""A method's name and its arguments, as texts."""

READS: Final = frozenset({"read", "predict"})
"""The methods that change nothing."""


def random_call(rng: random.Random, names: Sequence[str]) -> Call:
    """Return a call of one of the networks."""
    name, number, alias = rng.choice(names), str(rng.randint(1, 3)), rng.choice(["stable", "canary"])
    return rng.choice(
        [
            ("register", name, str(float(rng.randint(1, 3)))),
            ("register", name, str(float(rng.randint(1, 3)))),
            ("set_alias", name, alias, number),
            ("set_alias", name, "latest", number),
            ("delete_alias", name, alias),
            ("delete_version", name, number),
            ("delete_network", name),
            ("read", name),
            ("read", name),
            ("predict", name, rng.choice([alias, "latest"])),
            ("predict", name, "latest"),
            ("predict", name, "latest"),
        ]
    )


@dataclass(frozen=True, slots=True)
class Network:
    """Weights by version's number, numbers by alias, and the number that is next; without versions it is deleted."""

    next: int = 1
    versions: tuple[tuple[int, str], ...] = ()
    aliases: tuple[tuple[str, int], ...] = ()
    revision: int = 0


@dataclass(frozen=True, slots=True)
class State:
    """The networks by name, and how many changes there were."""

    revision: int
    networks: tuple[tuple[str, Network], ...] = ()

    def network(self, name: str) -> Network:
        return dict(self.networks).get(name, Network())

    def changed(self, name: str, network: Network) -> "State":
        revision = self.revision + 1
        networks = {**dict(self.networks), name: replace(network, revision=revision)}
        return State(revision, tuple(sorted(networks.items())))


def apply(state: State, call: Call) -> tuple[State, object]:
    """Do what a call asks for; return the state after it and the response, which is a name where it is an error."""
    method, name, *arguments = call
    network = state.network(name)
    if method == "read":
        return state, (state.revision, dict(network.aliases))
    if method == "predict":
        if not network.versions:
            return state, (state.revision, NO_NETWORK)
        number = dict(network.aliases).get(arguments[0])
        return state, (state.revision, NO_ALIAS if number is None else dict(network.versions)[number])
    if method == "register":
        return _register(state, name, network, arguments[0])
    if not network.versions:
        return state, NO_NETWORK
    if method == "delete_network":
        state = state.changed(name, Network(next=network.next))
        return state, state.revision
    return _CHANGES[method](state, name, network, arguments)


def _register(state: State, name: str, network: Network, weight: str) -> tuple[State, object]:
    for number, other in network.versions:
        if other == weight:
            return state, (number, False, state.revision)
    number = network.next
    aliases = {**dict(network.aliases), "latest": number}
    versions = (*network.versions, (number, weight))
    after = state.changed(name, Network(number + 1, versions, tuple(sorted(aliases.items()))))
    return after, (number, True, after.revision)


def _set_alias(state: State, name: str, network: Network, arguments: list[str]) -> tuple[State, object]:
    alias, number = arguments[0], int(arguments[1])
    if number not in dict(network.versions):
        return state, NO_VERSION
    if dict(network.aliases).get(alias) == number:
        return state, network.revision
    aliases = {**dict(network.aliases), alias: number}
    after = state.changed(name, replace(network, aliases=tuple(sorted(aliases.items()))))
    return after, after.revision


def _delete_alias(state: State, name: str, network: Network, arguments: list[str]) -> tuple[State, object]:
    aliases = dict(network.aliases)
    if aliases.pop(arguments[0], None) is None:
        return state, NO_ALIAS
    after = state.changed(name, replace(network, aliases=tuple(sorted(aliases.items()))))
    return after, after.revision


def _delete_version(state: State, name: str, network: Network, arguments: list[str]) -> tuple[State, object]:
    number, versions, aliases = int(arguments[0]), dict(network.versions), dict(network.aliases)
    if versions.pop(number, None) is None:
        return state, NO_VERSION
    if not versions or number in {named for alias, named in aliases.items() if alias != "latest"}:
        return state, IN_USE
    if aliases["latest"] == number:
        aliases["latest"] = max(versions)
    after = state.changed(
        name, replace(network, versions=tuple(sorted(versions.items())), aliases=tuple(sorted(aliases.items())))
    )
    return after, after.revision


_CHANGES: Final = {"set_alias": _set_alias, "delete_alias": _delete_alias, "delete_version": _delete_version}
