"""Two rows or versions beside each other: which nodes are marked, and by how much."""

import pytest
from forwardpass import spec
from forwardpass.render import draw_difference

from tests.client.render.test_geometry import check_geometry
from tests.client.render.test_svg import texts, titles
from tests.support.drawn_networks import FEATURES, chain, random_network, random_rows, residual
from tests.support.traces import trace_of


def versions() -> tuple[spec.NetworkSpec, spec.NetworkSpec]:
    one = {"node_0": [1, 1], "node_1": [-1, 1], "output": [2, -1]}
    return spec.from_nodes(one), spec.from_nodes({**one, "node_1": [-1, 3]})


def test_two_versions() -> None:
    one, two = versions()
    first, second = trace_of(one, [[2, 3]]), trace_of(two, [[2, 3]], version=2)
    picture = draw_difference(first, second, networks=(one, two))
    shown = texts(picture)
    assert [text for text in shown if text.startswith("Δ")] == ["Δ +6", "Δ −6"]
    assert {"network version 1: output = 9", "network version 2: output = 3", "differs"} <= set(shown)
    assert titles(picture).count("difference: +6") == 2
    check_geometry(picture)


def test_equal_rows_have_no_difference() -> None:
    network = chain(5, 4, 3)
    trace = trace_of(network, random_rows(network, 1, 0) * 2)
    picture = draw_difference(trace, trace, rows=(0, 1))
    assert not any("Δ" in text or text == "differs" for text in texts(picture))


def test_two_rows_with_features_show_their_values() -> None:
    network = chain(5, 4, 3, inputs=list(FEATURES))
    trace = trace_of(network, [[36, 41_000, 2, 1, 3.5], [61, 41_000, 0, 1, 3.5]])
    picture = draw_difference(trace, trace, rows=(0, 1), networks=(network, network))
    assert {"36 years", "61 years", "blue", "red"} <= set(texts(picture))
    assert titles(picture).count("inputs: age") == 2


@pytest.mark.parametrize("seed", range(6))
def test_nothing_overlaps(seed: int) -> None:
    network = random_network(seed)
    trace = trace_of(network, random_rows(network, 2, seed))
    check_geometry(draw_difference(trace, trace, rows=(0, 1), networks=(network, network)))


def test_versions_of_other_shapes_and_deep_networks() -> None:
    one, two = chain(3, 4, 2), chain(3, 20, 5, 2)
    check_geometry(draw_difference(trace_of(one, [[1, 2, 3]]), trace_of(two, [[1, 2, 3]], version=2)))
    deep = residual(20)
    picture = draw_difference(trace_of(deep, random_rows(deep, 1, 0)), trace_of(deep, random_rows(deep, 1, 1)))
    check_geometry(picture)
    assert any("nodes differ, by up to" in text for text in texts(picture))
