"""Where everything stands in pictures of random networks: nothing overlaps, all text fits, edges meet no nodes."""

import itertools
import random
import time
from collections.abc import Callable

import numpy as np
import pytest
from forwardpass.render import Picture, draw_network, draw_trace
from forwardpass.render.fonts import fit, text_width
from forwardpass.render.layout import Vertex, arrange
from forwardpass.render.layout.layering import assign_layers
from forwardpass.render.layout.ordering import count_crossings, neighbours, order_layers
from forwardpass.render.scene.curves import way
from forwardpass.render.scene.folding import fold
from forwardpass.spec import NetworkSpec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.drawn_networks import chain, random_network, random_rows, residual
from tests.support.traces import trace_of

QUICK = 30
PROVEN = 1000


def pictures(network: NetworkSpec, seed: int) -> list[Picture]:
    trace = trace_of(network, random_rows(network, 1, seed), contributions=seed % 3 > 0)
    known = network if seed % 2 else None
    return [draw_trace(trace, network=known, max_nodes=1 + seed % 12), draw_network(network)]


def check_geometry(picture: Picture) -> None:
    scene = picture.scene
    nodes = [box for box in scene.boxes if box.kind == "node"]
    labels = [box for box in scene.boxes if box.kind == "label"]
    by_name = {box.name: box for box in nodes}
    for box in scene.boxes:
        assert min(box.x, box.y) >= 0, box
        assert box.x + box.width <= scene.width, box
        assert box.y + box.height <= scene.height, box
    # Sorted by x, only boxes that begin before one ends can overlap it.
    for boxes in (nodes, labels):
        boxes.sort(key=lambda box: box.x)
        for index, box in enumerate(boxes):
            for other in itertools.takewhile(lambda o, b=box: o.x < b.x + b.width, boxes[index + 1 :]):  # type: ignore[misc]
                assert not box.overlaps(other), (box, other)
    for label in labels:
        if label.inside:
            assert by_name[label.inside].contains(label), (label, by_name[label.inside])
        else:
            assert not any(label.overlaps(node) for node in nodes), label


@pytest.mark.parametrize("seed", range(QUICK))
def test_nothing_overlaps_and_every_text_fits(seed: int) -> None:
    for picture in pictures(random_network(seed), seed):
        check_geometry(picture)


@pytest.mark.prove
def test_nothing_overlaps_in_a_thousand_networks() -> None:
    seconds, sizes = [], []
    for seed in range(PROVEN):
        network = random_network(seed)
        for picture in pictures(network, seed):
            start = time.process_time()
            drawn = picture.svg()
            seconds.append(time.process_time() - start)
            sizes.append(len(drawn.encode()))
            check_geometry(picture)
    print(f"\n{len(sizes):,} pictures of {PROVEN:,} random networks: no overlap, all text fits")
    print(f"seconds of CPU for an SVG: median {np.median(seconds):.3f}, largest {max(seconds):.3f}")
    print(f"bytes of an SVG: median {np.median(sizes):,.0f}, largest {max(sizes):,}")
    assert max(seconds) < 2
    assert max(sizes) < 2_000_000


NETWORKS: dict[str, Callable[[], NetworkSpec]] = {
    "2-2-1": lambda: chain(2, 2, 1),
    "30-64-32-1": lambda: chain(30, 64, 32, 1, hidden="tanh", last="sigmoid"),
    "784-512-512-10": lambda: chain(784, 512, 512, 10, last="softmax"),
    "graph of 100 layers": lambda: residual(100),
    "256 layers": lambda: residual(256, width=64),
    "65536-256-2": lambda: chain(65_536, 256, 2),
    "2048-2048-2048-1000": lambda: chain(2048, 2048, 2048, 1000),
}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e308, 1e-320, 0.0])
@pytest.mark.parametrize("sizes", [(2, 2, 1), (40, 30, 20)])
def test_any_value_is_drawn(value: float, sizes: tuple[int, ...]) -> None:
    network = chain(*sizes, dtype="float64", allow_non_finite_inputs=True)
    rows = [[value, *([-value] * (sizes[0] - 1))]]
    with np.errstate(all="ignore"):
        trace = trace_of(network, rows)
    for drawn in (draw_trace(trace), draw_trace(trace, network=network)):
        check_geometry(drawn)
        assert drawn.svg().startswith("<svg")


def test_a_graph_of_100_layers() -> None:
    network = residual(100)
    drawn = draw_trace(trace_of(network, random_rows(network, 1, 0)), network=network)
    check_geometry(drawn)
    assert len(drawn.svg().encode()) < 2_000_000


@pytest.mark.prove
@pytest.mark.parametrize("name", NETWORKS)
def test_a_picture_of_any_size_is_small_and_soon_done(name: str) -> None:
    network = NETWORKS[name]()
    trace = trace_of(network, random_rows(network, 1, 0))
    print()
    for drawn in (draw_trace(trace, network=network), draw_network(network)):
        start = time.process_time()
        size = len(drawn.svg().encode())
        seconds = time.process_time() - start
        start = time.process_time()
        pixels = len(drawn.png())
        print(
            f"{name}: SVG {seconds:.2f} s of CPU, {size:,} bytes; "
            f"PNG {time.process_time() - start:.2f} s, {pixels:,} bytes"
        )
        check_geometry(drawn)
        assert size < 2_000_000
        assert pixels < 2_000_000
        assert seconds < 2


def random_edges(rng: random.Random, count: int) -> tuple[list[Vertex], list[tuple[str, str]]]:
    vertices = [Vertex(key=f"v{index}", width=rng.uniform(1, 90), height=rng.uniform(1, 90)) for index in range(count)]
    edges = {
        (f"v{source}", f"v{target}")
        for target in range(1, count)
        for source in rng.sample(range(target), min(target, rng.randint(0, 3)))
    }
    return vertices, sorted(edges)


@pytest.mark.parametrize("depth", [30, 100])
def test_edges_between_columns_meet_no_vertex(depth: int) -> None:
    vertices = [Vertex(key=f"v{index}", width=70, height=150) for index in range(depth)]
    edges = [(f"v{index}", f"v{index + 1}") for index in range(depth - 1)]
    edges += [(f"v{index}", f"v{index + 3}") for index in range(0, depth - 3, 3)]
    layout = arrange(vertices, edges, layer_gap=30, gap=16, lane=8)
    folded = fold(layout, gap=30)
    assert len(folded.starts) > 1
    corners = [folded.place(*layout.corners[vertex.key]) for vertex in vertices]
    assert all(0 <= down <= folded.height - 70 for down, _ in corners)
    for edge in edges:
        (along, across), end = layout.corners[edge[0]], layout.corners[edge[1]]
        points = way((along + 70, across + 75), layout.routes[edge], (end[0], end[1] + 75))
        for (down, right), (next_down, next_right) in itertools.pairwise(folded.lead(points, edge[0])):
            if down != next_down and right != next_right:
                continue  # A bend, which keeps to the gap between two layers.
            for top, left in corners:
                above = max(down, next_down) <= top + 1e-6 or min(down, next_down) >= top + 70 - 1e-6
                beside = max(right, next_right) <= left + 1e-6 or min(right, next_right) >= left + 150 - 1e-6
                assert above or beside, edge


@given(st.integers(0, 2**32), st.integers(1, 40))
@settings(max_examples=25)
def test_lanes_and_vertices_of_a_layer_keep_their_distance(seed: int, count: int) -> None:
    vertices, edges = random_edges(random.Random(seed), count)
    layout = arrange(vertices, edges, layer_gap=50, gap=7, lane=9)
    corners, size = layout.corners, {vertex.key: vertex for vertex in vertices}
    for (source, target), route in layout.routes.items():
        ends = [corners[source][0] + size[source].width, route.leave]
        for left, right, y in route.lanes:
            ends += [left, right]
            for vertex in vertices:
                x, top = corners[vertex.key]
                if left <= x <= right:  # in the layer that the lane passes
                    assert not top - 1e-6 < y < top + vertex.height + 1e-6
        ends += [route.arrive, corners[target][0]]
        assert ends == sorted(ends)


@given(st.integers(0, 2**32), st.integers(2, 25))
@settings(max_examples=25)
def test_the_chosen_order_crosses_no_more_than_the_given_one(seed: int, count: int) -> None:
    vertices, edges = random_edges(random.Random(seed), count)
    layering = assign_layers([vertex.key for vertex in vertices], edges)
    _, after = neighbours(layering)
    assert count_crossings(order_layers(layering), after) <= count_crossings(layering.layers, after)
    for one, other in itertools.pairwise(layering.layers):
        place = {each: index for index, each in enumerate(other)}
        ends = [(index, place[end]) for index, each in enumerate(one) for end in after[each]]
        crossing = sum((a - c) * (b - d) < 0 for (a, b), (c, d) in itertools.combinations(ends, 2))
        assert count_crossings([one, other], after) == crossing


@given(st.text(max_size=60), st.floats(0, 300), st.booleans())
@settings(max_examples=40)
def test_a_cut_text_fits(text: str, width: float, bold: bool) -> None:
    cut = fit(text, 11, width, bold=bold)
    assert cut == text or not cut or cut.endswith("…")
    assert text_width(cut, 11, bold=bold) <= width + 1e-3 or not cut
