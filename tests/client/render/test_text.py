"""Pictures of traces: what they show, and that they keep to their width."""

from dataclasses import replace

import numpy as np
import pytest
from forwardpass.models import LayerTrace, Trace
from forwardpass.render import draw_trace
from hypothesis import given, settings
from hypothesis import strategies as st

READS = (("inputs",), ("hidden_0", "inputs"))


def layer(name: str, values: np.ndarray, inputs: tuple[str, ...], *, explained: bool = False) -> LayerTrace:
    rows, nodes = values.shape
    return LayerTrace(
        name=name,
        nodes=tuple(f"{name}_{index}" for index in range(nodes)),
        function="relu",
        parameters={},
        inputs=inputs,
        pre_activation=values,
        activation=np.maximum(values, 0),
        contributions=np.broadcast_to(values[:, :, None] / len(inputs), (rows, nodes, len(inputs)))
        if explained
        else None,
        bias=np.zeros(nodes) if explained else None,
    )


def traced(sizes: list[int], seed: int = 0, *, explained: bool = False, rows: int = 2) -> Trace:
    rng = np.random.default_rng(seed)
    values = [np.round(rng.standard_normal((rows, size)) * 10.0 ** rng.integers(-8, 9), 3) for size in sizes]
    names = [tuple(f"layer_{i}_{n}" for n in range(size)) for i, size in enumerate(sizes)]
    layers = [layer(f"layer_{i}", values[i], names[i - 1], explained=explained) for i in range(1, len(sizes))]
    return Trace(
        outputs=layers[-1].activation,
        network="drawn",
        version=3,
        digest="0" * 64,
        output_names=layers[-1].nodes,
        inputs=values[0],
        input_names=names[0],
        layers=tuple(layers),
    )


def article() -> Trace:
    names = ("node_0_0", "node_0_1")
    hidden = layer("hidden_0", np.array([[26.0, -13.0]]), ("children", "accounts"))
    output = layer("output", np.array([[182.0]]), names)
    return Trace(
        outputs=np.array([[182.0]]),
        network="article",
        version=1,
        digest="0" * 64,
        output_names=("transactions",),
        inputs=np.array([[3.0, 5.0]]),
        input_names=("children", "accounts"),
        layers=(hidden, output),
    )


def test_the_article_is_drawn_side_by_side() -> None:
    lines = (
        "article version 1",
        "",
        " inputs             hidden_0: relu              output: relu",
        "┌─────────────┐    ┌──────────────────────┐    ┌───────────────┐",
        "│ children  3 │ ─▶ │ hidden_0_0   26 → 26 │ ─▶ │ output_0  182 │",
        "│ accounts  5 │    │ hidden_0_1  -13 →  0 │    └───────────────┘",
        "└─────────────┘    └──────────────────────┘",
        "transactions = 182",
    )
    assert str(article()).splitlines() == list(lines)


def test_a_graph_is_a_list_with_the_sources_of_each_layer() -> None:
    whole = article()
    hidden, output = (replace(layer, from_=reads) for layer, reads in zip(whole.layers, READS, strict=True))
    lines = (
        "article version 1",
        "",
        "inputs (2)",
        "  children  3",
        "  accounts  5",
        "",
        "hidden_0: relu (2)",
        "  hidden_0_0   26 -> 26",
        "  hidden_0_1  -13 ->  0",
        "",
        "output: relu (1) <- hidden_0, inputs (sum)",
        "  output_0  182",
        "",
        "transactions = 182",
    )
    graph = replace(whole, layers=(hidden, replace(output, merge="sum")))
    assert draw_trace(graph).text(ascii_only=True).splitlines() == list(lines)


@given(
    sizes=st.lists(st.integers(1, 40), min_size=2, max_size=5),
    width=st.integers(40, 200),
    seed=st.integers(0, 1000),
    ascii_only=st.booleans(),
    explained=st.booleans(),
)
@settings(max_examples=60)
def test_no_line_is_wider_than_asked(
    sizes: list[int], width: int, seed: int, ascii_only: bool, explained: bool
) -> None:
    drawn = draw_trace(traced(sizes, seed, explained=explained), row=1).text(width=width, ascii_only=ascii_only)
    assert all(len(line) <= width for line in drawn.splitlines())
    if ascii_only:
        assert drawn.isascii()


@given(sizes=st.lists(st.integers(1, 6), min_size=2, max_size=3), seed=st.integers(0, 1000))
@settings(max_examples=40)
def test_a_small_network_shows_every_node_with_its_numbers(sizes: list[int], seed: int) -> None:
    trace = traced(sizes, seed)
    drawn = draw_trace(trace).text(width=400)
    for shown in trace.layers:
        for node, name in enumerate(shown.nodes):
            parts = drawn.replace("│", "\n").splitlines()
            (line,) = [part for part in parts if part.strip().startswith(f"{name}  ")]
            assert f"{shown.pre_activation[0, node] + 0.0:.6g}" in line.split()
            assert f"{shown.activation[0, node] + 0.0:.6g}" in line.split()


def test_a_wide_network_shows_its_largest_nodes() -> None:
    trace = traced([30, 64, 32, 1])
    drawn = draw_trace(trace).text()
    assert "58 more, none of them larger" in drawn
    largest = int(np.argmax(trace.layers[0].activation[0]))
    assert f"layer_1_{largest} " in drawn
    assert len(drawn.splitlines()) < 40


def test_contributions_are_shown_and_add_up() -> None:
    drawn = draw_trace(traced([5, 2], explained=True)).text()
    assert drawn.count("others") == 2


@pytest.mark.parametrize(("row", "width", "error"), [(2, 100, IndexError), (-1, 100, IndexError), (0, 39, ValueError)])
def test_a_row_or_width_that_cannot_be_drawn(row: int, width: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        draw_trace(traced([2, 1]), row=row).text(width=width)
