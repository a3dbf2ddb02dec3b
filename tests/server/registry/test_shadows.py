"""Shadows in the registry: which versions can be shadows, how they are stored, and which rows are sampled."""

import math
from typing import Any

import numpy as np
import pytest
from forwardpass.errors import ForwardpassError, InvalidFieldError, NotFoundError
from forwardpass.spec import FORMAT, parse
from forwardpass_server.registry import NetworkState, Registry, ShadowStatistics, ShadowTotals, SqlStore
from forwardpass_server.registry.storage.tables import shadows
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, text, update

from tests.server.registry.conftest import Place
from tests.support.sample_networks import tiny


@pytest.fixture
def net(registry: Registry) -> Registry:
    fill(registry)
    return registry


def fill(registry: Registry) -> None:
    for weight in (1, 2, 3):
        registry.register("net", tiny(weight))
    registry.rollout.set_alias("net", "production", "1")


def said(network: NetworkState) -> list[tuple[str, int, float, float]]:
    return [(row.of, row.number, row.share, row.tolerance) for row in network.shadows]


def beside(registry: Registry) -> dict[int, list[int]]:
    return {key[1]: [each.version.number for each in found] for key, found in registry.snapshot.shadowed.items()}


def test_shadow_follows_its_alias(net: Registry) -> None:
    assert beside(net) == {}
    assert said(net.rollout.set_shadow("net", "production", "3", share=0.1)) == [("production", 3, 0.1, 1e-9)]
    net.rollout.set_shadow("net", "2", "1", share=1.0, tolerance=0.5)
    assert beside(net) == {1: [3], 2: [1]}
    net.rollout.set_alias("net", "production", "2")
    assert beside(net) == {2: [1, 3]}
    net.rollout.set_alias("net", "production", "3")
    assert beside(net) == {2: [1]}, "a version is not compared with itself"
    assert said(net.rollout.clear_shadow("net", "2")) == [("production", 3, 0.1, 1e-9)]
    before = net.revision
    net.rollout.clear_shadow("net", "2")
    assert net.revision == before


def test_shadow_needs_the_same_categories(registry: Registry) -> None:
    for categories in (["a", "b"], ["b", "a"], ["a", "b"]):
        city = {
            "name": "city",
            "kind": "category",
            "categories": categories,
            "unknown": categories[registry.revision % 2],
        }
        registry.register("typed", tiny(registry.revision + 1, inputs=[city]))
    with pytest.raises(InvalidFieldError, match="categories are"):
        registry.rollout.set_shadow("typed", "1", "2", share=1.0)
    registry.rollout.set_shadow("typed", "1", "3", share=1.0)


def test_names_that_differ_are_listed_up_to_eight() -> None:
    with SqlStore("sqlite://") as store:
        registry = Registry.open(store)
        for letter in "ab":
            names = [f"{letter}{place}" for place in range(10)]
            wide = {"format": FORMAT, "inputs": names, "layers": [{"weights": [[1.0] * 10]}]}
            registry.register("wide", parse(wide))
        with pytest.raises(InvalidFieldError, match=r"inputs are b0, .*, b7 and 2 more; .*, a7 and 2 more$"):
            registry.rollout.set_shadow("wide", "1", "2", share=1.0)


def test_setting_the_same_shadow_again(net: Registry) -> None:
    first = net.rollout.set_shadow("net", "production", "3", share=0.1)
    [shadowing] = first.shadowings
    shadowing.statistics.count_failed(1, "no")
    assert net.rollout.set_shadow("net", "production", "3", share=0.1) == first, "nothing changed"
    assert net.network("net").shadowings[0].statistics.collect().failed == 1
    changed = net.rollout.set_shadow("net", "production", "3", share=0.2)
    assert said(changed) == [("production", 3, 0.2, 1e-9)]
    assert changed.shadowings[0].statistics.collect() == ShadowTotals(), "counted anew"


def test_totals_restart_when_the_alias_moves(net: Registry) -> None:
    [shadowing] = net.rollout.set_shadow("net", "production", "3", share=1.0).shadowings
    shadowing.statistics.sample(5)
    [shadowing] = net.network("net").shadowings
    assert shadowing.statistics.collect().rows == 5
    [shadowing] = net.rollout.set_alias("net", "production", "2").shadowings
    assert shadowing.statistics.collect().rows == 0


def test_deletion_deletes_shadows(net: Registry) -> None:
    net.rollout.set_alias("net", "canary", "2")
    for of, version in (("production", "3"), ("canary", "3"), ("3", "1"), ("2", "1")):
        net.rollout.set_shadow("net", of, version, share=0.5)
    assert "canary" not in {of for of, *_ in said(net.rollout.delete_alias("net", "canary"))}
    assert said(net.delete_version("net", 3)) == [("2", 1, 0.5, 1e-9)]
    net.delete_network("net")
    assert beside(net) == {}
    assert net.register("net", tiny(1)).version.number == 4
    assert net.network("net").shadows == ()


def test_kept_over_a_restart(lasting_place: Place) -> None:
    registry = Registry.open(lasting_place.open())
    fill(registry)
    before = registry.rollout.set_shadow("net", "production", "3", share=0.25, tolerance=0.125)
    assert Registry.open(lasting_place.open()).network("net") == before


@pytest.mark.parametrize("damage", ["number", "share", "tolerance", "of"])
def test_damaged_rows_are_left_out(lasting_place: Place, damage: str) -> None:
    if not lasting_place.url.startswith("sqlite"):
        pytest.skip("PostgreSQL holds columns to their types")
    registry = Registry.open(lasting_place.open())
    fill(registry)
    registry.rollout.set_shadow("net", "production", "3", share=0.25)
    lasting_place.close()
    engine = create_engine(lasting_place.url)
    with engine.begin() as connection:
        connection.execute(text("PRAGMA foreign_keys=OFF"))
        connection.execute(update(shadows).values({damage: text("'nonsense'")}))
    engine.dispose()
    assert Registry.open(lasting_place.open()).network("net").shadows == ()


@pytest.mark.parametrize(
    ("of", "version", "options", "error", "words"),
    [
        ("production", "1", {}, InvalidFieldError, "of: is version 1 itself"),
        ("nowhere", "1", {}, NotFoundError, "'nowhere'"),
        ("production", "9", {}, NotFoundError, "no version 9"),
        ("production", "2", {"share": 0.0}, InvalidFieldError, "share: is 0.0; must be a share of the rows"),
        ("production", "2", {"share": math.nan}, InvalidFieldError, "share"),
        ("production", "2", {"share": 1.5}, InvalidFieldError, "share"),
        ("production", "2", {"tolerance": -1.0}, InvalidFieldError, "tolerance"),
        ("production", "4", {}, InvalidFieldError, "version: is 4, whose inputs are other; must be those"),
        ("production", "5", {}, InvalidFieldError, "version: is 5, whose outputs are y; must be those"),
    ],
)
def test_rejected_shadows(
    net: Registry, of: str, version: str, options: dict[str, Any], error: type[ForwardpassError], words: str
) -> None:
    net.register("net", tiny(1, inputs=["other"]))
    net.register("net", tiny(1, outputs=["y"]))
    before = net.network("net")
    with pytest.raises(error, match=words):
        net.rollout.set_shadow("net", of, version, **{"share": 0.5, **options})
    assert net.network("net") == before


@given(st.floats(0.01, 1.0), st.lists(st.integers(1, 400), max_size=12), st.integers(0, 99))
def test_sampling_does_not_depend_on_batch_sizes(share: float, sizes: list[int], seed: int) -> None:
    apart, whole = ShadowStatistics(share, seed), ShadowStatistics(share, seed)
    start, drawn = 0, []
    for size in sizes:
        places = apart.sample(size)
        assert places.size == 0 or 0 <= places.min() <= places.max() < size
        drawn += (places + start).tolist()
        start += size
    assert drawn == whole.sample(start).tolist() if start else not drawn
    assert apart.collect() == whole.collect()
    assert (apart.collect().rows, apart.collect().sampled) == (start, len(drawn))


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.99, 1.0])
def test_rows_are_sampled_independently(share: float) -> None:
    """All counts are within 5 standard deviations of independent sampling."""
    rows = 400_000
    drawn = np.zeros(rows, dtype=bool)
    drawn[ShadowStatistics(share, 7).sample(rows)] = True
    assert abs(drawn.sum() - rows * share) <= 5 * math.sqrt(rows * share * (1 - share))
    neighbours = (drawn[1:] & drawn[:-1]).sum()
    chance = share**2
    assert abs(neighbours - (rows - 1) * chance) <= 5 * math.sqrt(rows * chance * (1 - chance) * 3)
    for period in (2, 3, 10):  # no pattern in the traffic gets more or less than its share
        counts = [drawn[phase::period].sum() for phase in range(period)]
        each = rows / period
        assert max(abs(count - each * share) for count in counts) <= 5 * math.sqrt(each * share * (1 - share)) + 1


def test_smallest_share() -> None:
    assert ShadowStatistics(5e-324, 0).sample(10**9).tolist() == []
