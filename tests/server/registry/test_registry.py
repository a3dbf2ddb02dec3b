"""The registry's rules: versions, digests, aliases, errors and subscribers."""

import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from forwardpass import spec
from forwardpass.errors import (
    AliasNotFoundError,
    ExampleFailedError,
    InvalidFieldError,
    NetworkNotFoundError,
    NotFoundError,
    QuotaExceededError,
    VersionInUseError,
    VersionNotFoundError,
)
from forwardpass_server.core import forward
from forwardpass_server.registry import NetworkChange, Registry, SqlStore, Store

from tests.server.registry.conftest import Place
from tests.support.sample_networks import BUILTINS, tiny


def predict(registry: Registry, name: str, reference: str, *row: float) -> list[float]:
    [outputs] = forward(registry.load_reference(name, reference).plan, np.array([row])).tolist()
    return list(outputs)


def test_only_networks_that_are_wanted_are_listed() -> None:
    with SqlStore("sqlite://") as store:
        registry = Registry.open(store)
        for name, weight in (("x-1", 1), ("y-1", 2), ("x-2", 3), ("x-2", 4)):
            registry.register(name, tiny(weight))
        snapshot = registry.snapshot
    found = snapshot.versions(lambda name: name.startswith("x"))
    assert [(version.network, version.number) for version in found] == [("x-1", 1), ("x-2", 1), ("x-2", 2)]
    assert {version.network for version in snapshot.versions()} == {*BUILTINS, "x-1", "x-2", "y-1"}
    [network] = snapshot.list_networks(after="x-1", wanted=lambda name: name.startswith("x"))
    assert network.name == "x-2"


@pytest.mark.parametrize(
    ("name", "row", "output"),
    [("article-linear", (2, 3), 9), ("article-1-hidden", (2, 3), 9), ("article-2-hidden", (3, 5), 182)],
)
def test_builtin_networks(registry: Registry, name: str, row: tuple[float, float], output: float) -> None:
    assert predict(registry, name, "", *row) == [output]
    assert registry.load_reference(name, "").input_names == ("children", "accounts")
    assert registry.read_spec(name, "").examples


def test_builtin_networks_are_added_once(lasting_place: Place) -> None:
    registry = Registry.open(lasting_place.open())
    assert tuple(network.name for network in registry.networks()) == BUILTINS
    registry.delete_network("article-linear")
    registry.register("article-1-hidden", tiny())
    registry.delete_version("article-1-hidden", 1)
    registry = Registry.open(lasting_place.open())
    assert tuple(network.name for network in registry.networks()) == BUILTINS[:2]
    assert list(registry.network("article-1-hidden").versions) == [2]
    assert registry.revision == 6


def test_register(registry: Registry) -> None:
    before = registry.revision
    first = registry.register("net", tiny(2))
    assert (first.version.number, first.created, first.revision) == (1, True, before + 1)
    assert first.version.digest == spec.digest(tiny(2))
    assert first.version.size_bytes == len(spec.to_safetensors(tiny(2)))
    assert first.version == registry.version("net", "") == registry.version("net", "1")
    second = registry.register("net", tiny(3))
    assert second.version.number == 2
    assert predict(registry, "net", "", 10) == predict(registry, "net", "latest", 10) == [30]
    assert predict(registry, "net", "1", 10) == predict(registry, "net", "01", 10) == [20]
    assert registry.read_spec("net", "1") == tiny(2)


def test_summary_of_a_version(registry: Registry) -> None:
    said = tiny(
        2,
        description="doubles",
        tags=["small"],
        metadata={"by": "hand"},
        inputs=["amount"],
        outputs=["twice"],
    )
    done = registry.register("net", said)
    summary, loaded = registry.read_summary(done.version), registry.get_loaded(done.version)
    assert summary is not None
    assert summary == done.summary
    assert loaded is not None
    assert (summary.description, summary.tags, dict(summary.metadata)) == (
        "doubles",
        ("small",),
        {"by": "hand"},
    )
    assert (summary.dtype, summary.inputs, summary.parameter_count) == ("float64", said.inputs, 2)
    assert (summary.outputs, loaded.output_names) == (("twice",), ("twice",))
    assert (loaded.input_names, dict(loaded.feature_index)) == (("amount",), {"amount": 0})
    assert (loaded.name, loaded.version, loaded.digest) == ("net", 1, spec.digest(said))
    assert loaded is registry.load_reference("net", ""), "shared by all calls"


def test_registering_again_changes_nothing(registry: Registry) -> None:
    first = registry.register("net", tiny(1))
    registry.register("net", tiny(2))
    changes: list[NetworkChange] = []
    registry.subscribe(changes.append)
    again = registry.register("net", tiny(1))
    assert (again.version, again.created) == (first.version, False)
    assert registry.version("net", "").number == 2, "a late retry does not move latest"
    assert again.revision == registry.revision
    assert not changes


def test_registering_again_waits_until_all_have_the_version(registry: Registry) -> None:
    """Else its caller could not find the version in another worker process, which reads changes as a subscriber."""
    order: list[str] = []
    threads: list[threading.Thread] = []

    def register_again() -> None:
        registry.register("net", tiny(1))
        order.append("registered again")

    def read_slowly(_: NetworkChange) -> None:
        threads.append(threading.Thread(target=register_again))
        threads[-1].start()
        threads[-1].join(0.5)  # enough for one that does not wait
        order.append("read")

    registry.subscribe(read_slowly)
    registry.register("net", tiny(1))
    threads[0].join()
    assert order == ["read", "registered again"]


def test_validate_only(registry: Registry) -> None:
    before, networks = registry.revision, registry.networks()
    checked = registry.register("net", tiny(1), validate_only=True)
    assert (checked.version.number, checked.created, checked.revision) == (0, False, before)
    assert checked.version.digest == spec.digest(tiny(1))
    assert registry.networks() == networks
    registry.register("net", tiny(1))
    assert registry.register("net", tiny(1), validate_only=True).version.number == 1
    with pytest.raises(ExampleFailedError):
        registry.register("net", tiny(1, examples=[{"inputs": [1], "outputs": [2]}]), validate_only=True)


def test_rejected_registration_leaves_nothing(registry: Registry) -> None:
    before = registry.networks()
    wrong = tiny(1, examples=[{"inputs": [1], "outputs": [2]}])
    with pytest.raises(ExampleFailedError):
        registry.register("net", wrong)
    with pytest.raises(InvalidFieldError):
        registry.register("No Name", tiny())
    assert registry.networks() == before


def test_quotas(store: Store) -> None:
    registry = Registry.open(store, max_networks=4, max_versions=2)
    registry.register("net", tiny(1))
    with pytest.raises(QuotaExceededError, match="max_networks") as networks:
        registry.register("another", tiny(1))
    assert networks.value.facts["quotaLimit"] == networks.value.facts["quotaValue"] == "4"
    registry.register("net", tiny(2))
    for validate_only in (False, True):
        with pytest.raises(QuotaExceededError) as versions:
            registry.register("net", tiny(3), validate_only=validate_only)
        assert versions.value.facts["setting"] == "max_versions"
    assert not registry.register("net", tiny(1)).created, "existing content is found all the same"
    registry.delete_version("net", 1)
    assert registry.register("net", tiny(3)).version.number == 3
    registry.delete_network("net")
    assert registry.register("another", tiny(1)).created


def test_quota_smaller_than_the_builtin_networks(store: Store) -> None:
    assert len(Registry.open(store, max_networks=1).networks()) == 1


def test_aliases(registry: Registry) -> None:
    registry.register("net", tiny(1))
    registry.register("net", tiny(2))
    assert dict(registry.rollout.set_alias("net", "stable", "1").aliases) == {"latest": 2, "stable": 1}
    assert registry.rollout.set_alias("net", "canary", "stable").aliases["canary"] == 1
    registry.register("net", tiny(3))
    assert predict(registry, "net", "stable", 1) == [1]
    before = registry.revision
    assert registry.rollout.set_alias("net", "stable", "1") == registry.network("net")
    assert registry.revision == before, "it was there already"
    registry.rollout.set_alias("net", "latest", "1")
    assert predict(registry, "net", "", 1) == [1]
    assert "stable" not in registry.rollout.delete_alias("net", "stable").aliases
    assert registry.register("net", tiny(4), keep_latest=True).version.number == 4
    assert registry.version("net", "").number == 1


@pytest.mark.parametrize(
    ("call", "field"),
    [
        pytest.param(lambda r: r.rollout.set_alias("net", "7", "1"), "alias", id="digits are for versions"),
        pytest.param(lambda r: r.rollout.set_alias("net", "Stable", "1"), "alias", id="capital"),
        pytest.param(lambda r: r.rollout.set_alias("net", "stable", ""), "version", id="no version"),
        pytest.param(lambda r: r.rollout.delete_alias("net", "latest"), "alias", id="latest stays"),
        pytest.param(lambda r: r.register("../net", tiny()), "network", id="path"),
        pytest.param(lambda r: r.register("", tiny()), "network", id="empty"),
    ],
)
def test_rejected_fields(registry: Registry, call: Callable[[Registry], object], field: str) -> None:
    registry.register("net", tiny())
    with pytest.raises(InvalidFieldError) as refused:
        call(registry)
    assert refused.value.facts["field"] == field
    assert [fault.path for fault in refused.value.faults] == [field]


@pytest.mark.parametrize(
    ("call", "error", "nearest"),
    [
        pytest.param(lambda r: r.load_reference("nett", ""), NetworkNotFoundError, "net", id="network"),
        pytest.param(lambda r: r.load_reference("zzzzzzzz", ""), NetworkNotFoundError, "", id="none near"),
        pytest.param(lambda r: r.load_reference("n" * 10**6, ""), NetworkNotFoundError, "", id="a megabyte"),
        pytest.param(lambda r: r.load_reference("net", "9"), VersionNotFoundError, "3, 1", id="number"),
        pytest.param(lambda r: r.load_reference("net", "9" * 10**6), VersionNotFoundError, "3, 1", id="a long number"),
        pytest.param(lambda r: r.load_reference("net", "stabel"), AliasNotFoundError, "stable", id="alias"),
        pytest.param(lambda r: r.load_reference("net", "-1"), AliasNotFoundError, "", id="no number"),
        pytest.param(lambda r: r.load_reference("net", "\u0661"), AliasNotFoundError, "", id="other digits"),
        pytest.param(lambda r: r.read_spec("nett", ""), NetworkNotFoundError, "net", id="spec"),
        pytest.param(lambda r: r.delete_network("nett"), NetworkNotFoundError, "net", id="delete"),
        pytest.param(lambda r: r.delete_version("net", -1), VersionNotFoundError, "1, 3", id="delete version"),
        pytest.param(
            lambda r: r.rollout.delete_alias("net", "stabel"), AliasNotFoundError, "stable", id="delete alias"
        ),
        pytest.param(
            lambda r: r.rollout.set_alias("net", "new", "stabel"), AliasNotFoundError, "stable", id="set alias"
        ),
        pytest.param(lambda r: r.rollout.set_alias("net", "new", "2"), VersionNotFoundError, "1, 3", id="deleted"),
    ],
)
def test_not_found(
    registry: Registry, call: Callable[[Registry], object], error: type[NotFoundError], nearest: str
) -> None:
    for weight in (1, 2, 3):
        registry.register("net", tiny(weight))
    registry.rollout.set_alias("net", "stable", "1")
    registry.delete_version("net", 2)
    before = registry.revision
    with pytest.raises(error) as missing:
        call(registry)
    assert type(missing.value) is error
    assert missing.value.facts["nearest"] == nearest
    assert missing.value.facts["resourceType"] in {"network", "version", "alias"}
    assert len(str(missing.value)) < 400
    assert registry.revision == before


def test_deleting(registry: Registry) -> None:
    for weight in (1, 2, 3):
        registry.register("net", tiny(weight))
    left = registry.delete_version("net", 3)
    assert (list(left.versions), dict(left.aliases)) == ([1, 2], {"latest": 2})
    again = registry.register("net", tiny(3))
    assert (again.version.number, again.created) == (4, True)
    registry.rollout.set_alias("net", "stable", "1")
    with pytest.raises(VersionInUseError) as used:
        registry.delete_version("net", 1)
    assert used.value.facts["aliases"] == "stable"
    assert registry.delete_network("net") == registry.revision
    with pytest.raises(NetworkNotFoundError):
        registry.load_reference("net", "")
    anew = registry.register("net", tiny(1))
    assert (anew.version.number, dict(registry.network("net").aliases)) == (5, {"latest": 5})


def test_deleted_version_stays_usable_for_running_calls(registry: Registry) -> None:
    registry.register("net", tiny(5))
    loaded, network = registry.load_reference("net", ""), registry.network("net")
    registry.delete_network("net")
    assert forward(loaded.plan, np.array([[2.0]])).tolist() == [[10]]
    assert registry.get_loaded(network.versions[1]) is None, "a deleted version leaves the memory"


def test_subscribers(registry: Registry) -> None:
    changes: list[NetworkChange] = []
    seen: list[tuple[int, int]] = []

    def fails(_: NetworkChange) -> None:
        raise RuntimeError

    def unsubscribes_itself(change: NetworkChange) -> None:
        seen.append((change.revision, registry.revision))
        unsubscribe()

    stop = registry.subscribe(changes.append)
    registry.subscribe(fails)
    unsubscribe = registry.subscribe(unsubscribes_itself)
    start = registry.revision
    registry.register("net", tiny(1))
    first = registry.network("net")
    registry.rollout.set_alias("net", "stable", "1")
    second = registry.network("net")
    registry.delete_network("net")
    assert changes == [
        NetworkChange(name="net", network=first, revision=start + 1),
        NetworkChange(name="net", network=second, revision=start + 2),
        NetworkChange(name="net", network=None, revision=start + 3),
    ]
    assert seen == [(start + 1, start + 1)], "called after the change is visible, and only while subscribed"
    stop()
    registry.register("net", tiny(1))
    assert len(changes) == 3


def test_pages(registry: Registry) -> None:
    names = ["aa", *BUILTINS, "zz"]
    registry.register("zz", tiny())
    registry.register("aa", tiny())
    assert [network.name for network in registry.networks()] == names
    assert [network.name for network in registry.networks(after="aa", limit=2)] == names[1:3]
    assert [network.name for network in registry.networks(after="article-3")] == names[3:]
    assert registry.networks(after="zz") == ()


def test_reopened(lasting_place: Place) -> None:
    registry = Registry.open(lasting_place.open())
    random = np.random.default_rng(seed=1)
    inputs = [{"name": f"f{index}", "mean": index, "scale": 2.0} for index in range(5)]
    for dtype in ("float32", "float64"):
        hidden, out, bias = (random.standard_normal(shape).astype(dtype) for shape in ((7, 5), (3, 7), 3))
        layers = [
            {"name": "hidden", "weights": hidden, "activation": "tanh"},
            {"name": "out", "weights": out, "bias": bias},
        ]
        document = {"format": spec.FORMAT, "dtype": dtype, "inputs": inputs, "layers": layers}
        registry.register(dtype, spec.parse(document))
    registry.rollout.set_alias("float32", "stable", "1")
    rows = random.standard_normal((9, 5))
    before = [forward(registry.load_reference(name, "").plan, rows) for name in ("float32", "float64")]
    networks, revision = registry.networks(), registry.revision
    registry = Registry.open(lasting_place.open())
    assert registry.networks() == networks
    assert registry.revision == revision
    after = [forward(registry.load_reference(name, "").plan, rows) for name in ("float32", "float64")]
    assert [a.tobytes() for a in after] == [b.tobytes() for b in before], "the same bits"


def test_suggestion_among_many_names(store: Store) -> None:
    registry = Registry.open(store)
    network = registry.network("article-linear")
    names = [f"network-{index:05d}-of-the-fleet" for index in range(20_000)]
    registry._catalog.snapshot = type(registry.snapshot).of(dict.fromkeys(names, network), 1)
    with pytest.raises(NetworkNotFoundError) as missing:
        registry.load_reference("network-01234-of-the-flet", "")
    assert "network-01234-of-the-fleet" in missing.value.facts["nearest"]


def test_digests_of_the_builtin_networks(registry: Registry) -> None:
    assert {name: registry.version(name, "1").digest for name in BUILTINS} == {
        "article-linear": "4477dc85c0a719297ad87c8321f2eb171d1973a263bc4f4790f4d7bc23da6f8e",
        "article-1-hidden": "302633a5ea16a1ac780edc58853a76062ee44977d8ac42dfc49d77a722d43cf5",
        "article-2-hidden": "35b1724ee83c60c50c077e7c2679e99d89f1f5b032297979717574a7bf55897d",
    }


def test_default_numerics_of_the_server(lasting_place: Place) -> None:
    registry = Registry.open(lasting_place.open(), numerics="fast")
    registry.register("said", replace(tiny(), numerics="exact"))
    for numerics in ("fast", "exact"):
        assert registry.load_reference("article-linear", "").numerics == numerics
        summary = registry.read_summary(registry.version("article-linear", ""))
        assert summary is not None
        assert summary.numerics == numerics
        assert registry.load_reference("said", "").numerics == "exact"
        registry = Registry.open(lasting_place.open())
