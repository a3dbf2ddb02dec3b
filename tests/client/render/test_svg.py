"""SVG and PNG: strict XML whatever a name contains, both themes, and the facts that a picture shows."""

import struct
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any

import pytest
from forwardpass import spec
from forwardpass.render import PALETTE, Picture, draw_network, draw_trace
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.drawn_networks import FEATURES, chain, random_rows
from tests.support.traces import trace_of

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = st.text(
    st.one_of(st.characters(), st.sampled_from("<>&\"'\x00\x1b\x7f\u202e\u2066\ufffe\uffff\ud800]]>\n\t")), max_size=30
)


def texts(picture: Picture) -> list[str]:
    return ["".join(each.itertext()) for each in ET.fromstring(picture.svg()).iter(f"{SVG}text")]  # noqa: S314 - of our own making - our own


def titles(picture: Picture) -> str:
    return "\n".join("".join(each.itertext()) for each in ET.fromstring(picture.svg()).iter(f"{SVG}title"))  # noqa: S314 - of our own making


@pytest.fixture(scope="module")
def bank() -> Any:
    return spec.from_nodes({"node_0": [1, 1], "node_1": [-1, 1], "output": [2, -1]}, inputs=["children", "accounts"])


@given(names=st.lists(HOSTILE, min_size=6, max_size=6))
@settings(max_examples=25)
def test_any_name_is_text(names: list[str]) -> None:
    network = spec.from_nodes({"node_0": [1, 1], "node_1": [-1, 1], "output": [2, -1]})
    trace = trace_of(network, [[2, 3]])
    hidden, output = trace.layers
    hostile = replace(
        trace,
        network=names[0],
        input_names=(names[1], names[2]),
        output_names=(names[3],),
        layers=(replace(hidden, nodes=(names[4], names[5])), output),
    )
    for theme in ("auto", "light", "dark"):
        drawn = draw_trace(hostile).svg(theme=theme)
        root = ET.fromstring(drawn)  # noqa: S314 - of our own making - our own
        assert {each.tag.removeprefix(SVG) for each in root.iter()} <= {
            "svg", "title", "style", "g", "rect", "path", "text",
        }  # fmt: skip
        assert not any(name.startswith("on") or "href" in name for each in root.iter() for name in each.attrib)
        assert not set(drawn) & set("\x00\x1b\x7f\u202e\u2066\ufffe\uffff")


def test_a_row_of_the_article(bank: spec.NetworkSpec) -> None:
    picture = draw_trace(trace_of(bank, [[2, 3]], name="bank"), network=bank)
    shown = texts(picture)
    assert {"bank version 1", "output = 9", "children", "2", "accounts", "3", "5", "1", "9"} <= set(shown)
    assert {"1×2 + 1×3", "(−1)×2 + 1×3", "2×5 + (−1)×1"} <= set(shown)
    assert [text for text in shown if text.startswith("×")] == ["×1", "×1", "×−1", "×1", "×2", "×−1"]
    assert "children → node_1\nweight × value: −2\nweight: −1" in titles(picture)


def test_weights_that_were_not_read_are_not_shown(bank: spec.NetworkSpec) -> None:
    picture = draw_trace(trace_of(bank, [[2, 3]], contributions=False))
    assert not any("×" in text for text in texts(picture))
    assert any("the weights were not read" in text for text in texts(picture))


def test_layers_that_were_not_traced_are_not_made_up() -> None:
    network = chain(3, 4, 4, 4)
    part = trace_of(network, [[1, 2, 3]], layers=["hidden_0"])
    assert "hidden_0 → output" in titles(draw_trace(part)), "a band: the layers between were not read"
    assert "hidden_0_0 → output_0" not in titles(draw_trace(part))
    known = draw_trace(part, network=network)
    assert {"not traced", "hidden_0", "outputs"} <= set(texts(known))
    assert "hidden_0_0 → output_0" not in titles(known)


def test_values_are_those_that_people_know() -> None:
    network = chain(5, 4, 3, last="softmax", inputs=list(FEATURES), classes=["setosa", "versicolor", "virginica"])
    trace = trace_of(network, [[36, 41_000, 2, 1, 3.5]])
    shown = texts(draw_trace(trace, network=network))
    assert {"36 years", "41000 EUR", "blue", "true", "3.5"} <= set(shown)
    assert any(text == f"✓ {trace.labels[0]}" for text in shown)
    assert sum(text.endswith(" %") and "→" in text for text in shown) == 3


def test_dead_and_saturated_nodes_are_marked() -> None:
    network = spec.parse(
        {
            "format": spec.FORMAT,
            "inputs": 1,
            "layers": [
                {"name": "a", "weights": [[1], [-1]], "activation": "relu"},
                {"name": "b", "weights": [[9, 0], [0.1, 0]], "activation": "sigmoid"},
            ],
        }
    )
    picture = draw_trace(trace_of(network, [[2]]))
    assert {"dead: relu at 0", "saturated"} <= set(texts(picture))
    assert picture.svg().count("stroke-dasharray") == 2 + 2  # the node, its edges, the legend
    light = draw_trace(trace_of(network, [[0.1]]))
    assert "saturated" not in texts(light)


def test_themes(bank: spec.NetworkSpec) -> None:
    picture = draw_network(bank)
    auto, light, dark = picture.svg(), picture.svg(theme="light"), picture.svg(theme="dark")
    assert "prefers-color-scheme:dark" in auto
    blue = {theme: PALETTE[theme]["positive"] for theme in ("light", "dark")}
    assert [blue["light"] in drawn for drawn in (auto, light, dark)] == [True, True, False]
    assert [blue["dark"] in drawn for drawn in (auto, light, dark)] == [True, False, True]
    with pytest.raises(ValueError, match="must be auto, light or dark"):
        picture.svg(theme="sepia")  # type: ignore[arg-type]


def test_png_has_the_size_of_the_picture(bank: spec.NetworkSpec) -> None:
    picture = draw_network(bank)
    for scale in (1.0, 2.0):
        image = picture.png(scale=scale)
        assert image.startswith(b"\x89PNG")
        width, height = struct.unpack(">II", image[16:24])
        assert abs(width - scale * picture.scene.width) <= 1
        assert abs(height - scale * picture.scene.height) <= 1
    assert picture.png(theme="dark") != picture.png(theme="light") == picture.png(theme="auto")
    with pytest.raises(ValueError, match="greater than 0"):
        picture.png(scale=0)


def test_a_file_has_the_form_of_its_suffix(bank: spec.NetworkSpec, tmp_path: Any) -> None:
    picture = draw_network(bank)
    for suffix in (".svg", ".png", ".txt"):
        picture.save(tmp_path / f"bank{suffix}")
    assert (tmp_path / "bank.svg").read_text() == picture.svg()
    assert (tmp_path / "bank.txt").read_text() == picture.text() + "\n"
    with pytest.raises(ValueError, match=r"must be \.svg, \.png or \.txt"):
        picture.save(tmp_path / "bank.gif")


def test_the_network_must_be_the_version_that_was_traced(bank: spec.NetworkSpec) -> None:
    other = chain(2, 2, 1)
    with pytest.raises(ValueError, match=r"client\.spec\('bank', version=1\)"):
        draw_trace(trace_of(bank, [[2, 3]], name="bank"), network=other)


def test_rows_and_nodes_that_are_not_there(bank: spec.NetworkSpec) -> None:
    trace = trace_of(bank, random_rows(bank, 2, 0))
    with pytest.raises(IndexError, match="2 rows"):
        draw_trace(trace, row=2)
    with pytest.raises(ValueError, match="at least 1"):
        draw_trace(trace, max_nodes=0)
    with pytest.raises(ValueError, match="at least 40"):
        draw_trace(trace).text(width=39)


def test_a_convolution_is_drawn_by_its_windows() -> None:
    layer = {"name": "edge", "kind": "conv", "input_shape": [1, 3], "kernel_shape": [2], "pads": [0, 1]}
    network = spec.parse(
        {"format": spec.FORMAT, "inputs": 3, "layers": [{**layer, "weights": [[2, 3], [4, 5]], "bias": [0.25, 0.5]}]}
    )
    assert "bias: 0.5" in titles(draw_network(network))
    drawn = titles(draw_trace(trace_of(network, [[1, 10, 100]]), network=network))
    assert "input_1 → edge_1\nweight × value: 20\nweight: 2" in drawn
    assert "input_2 → edge_5\nweight × value: 400\nweight: 4" in drawn
    assert "input_2 → edge_4\nweight × value: 500\nweight: 5" in drawn
    assert "input_0 → edge_1" not in drawn


def test_a_transposed_convolution_is_drawn_without_the_zeros_between_its_values() -> None:
    layer = {"name": "edge", "kind": "conv", "input_shape": [1, 3], "kernel_shape": [2], "input_dilations": [2]}
    network = spec.parse({"format": spec.FORMAT, "inputs": 3, "layers": [{**layer, "weights": [[2, 3]]}]})
    drawn = titles(draw_trace(trace_of(network, [[1, 10, 100]]), network=network))
    edges = [line for line in drawn.splitlines() if " → edge" in line]
    assert sorted(edges) == [
        "input_0 → edge_0",
        "input_1 → edge_1",
        "input_1 → edge_2",
        "input_2 → edge_3",
    ]
    assert "input_1 → edge_2\nweight × value: 20\nweight: 2" in drawn


def test_the_biases_of_gates_are_no_biases_of_nodes() -> None:
    layer = {"name": "cell", "kind": "recurrent", "cell": "gru", "steps": 3, "bias": [9] * 3}
    layer |= {"weights": [[1], [2], [3]], "recurrent_weights": [[1], [2], [3]]}
    network = spec.parse({"format": spec.FORMAT, "inputs": 3, "layers": [layer]})
    assert "bias" not in titles(draw_network(network))


def test_a_large_convolution_is_drawn_without_its_edges() -> None:
    layer = {"name": "wide", "kind": "conv", "input_shape": [4, 64, 64], "kernel_shape": [5, 5]}
    weights = [[0.5] * 100] * 4
    network = spec.parse({"format": spec.FORMAT, "inputs": 16_384, "layers": [{**layer, "weights": weights}]})
    assert "wide" in texts(draw_network(network))
