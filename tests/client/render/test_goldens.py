"""Pictures of five sizes and more, as they were when they were looked at; the README and the pages show them.

`python -m tests.client.render.test_goldens` draws them again; with a folder, as PNG in there too.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from forwardpass import spec
from forwardpass.render import Picture, draw_attributions, draw_difference, draw_network, draw_trace

from tests.client.render.test_attributions import explanation
from tests.support.drawn_networks import FEATURES, chain, random_rows, residual
from tests.support.traces import trace_of

FOLDER = Path(__file__).parents[3] / "docs" / "images"
NUMBER = re.compile(r"\d+(?:\.\d+)?")


def bank() -> spec.NetworkSpec:
    return spec.from_nodes({"node_0": [1, 1], "node_1": [-1, 1], "output": [2, -1]}, inputs=["children", "accounts"])


def of_row(network: spec.NetworkSpec, name: str, rows: list[list[float]]) -> Picture:
    return draw_trace(trace_of(network, rows, name=name), network=network)


def two_versions() -> Picture:
    other = spec.from_nodes({"node_0": [1, 1], "node_1": [-1, 3], "output": [2, -1]}, inputs=["children", "accounts"])
    traces = trace_of(bank(), [[2, 3]], name="bank"), trace_of(other, [[2, 3]], name="bank", version=2)
    return draw_difference(*traces, networks=(bank(), other))


def flowers() -> Picture:
    network = chain(
        5, 8, 6, 3, last="softmax", inputs=list(FEATURES), classes=["setosa", "versicolor", "virginica"], seed=4
    )
    return of_row(network, "flowers", [[36, 41_000, 2, 1, 3.5]])


def digits() -> Picture:
    network = chain(784, 512, 512, 10, last="softmax", classes=[f"digit {digit}" for digit in range(10)])
    strokes = [[float(6 <= row < 22 and (12 <= column < 15 or row < 9)) for column in range(28)] for row in range(28)]
    return of_row(network, "digits", [[pixel for row in strokes for pixel in row]])


def wide_and_deep() -> Picture:
    return of_row(
        spec.from_json((Path(__file__).parent / "wide-and-deep.json").read_bytes()),
        "wide-and-deep",
        [[1, 2, -1, 0.5, 0.3, -0.2, 1]],
    )


def tumor() -> Picture:
    network = chain(30, 64, 32, 1, hidden="tanh", last="sigmoid", classes=["benign", "malignant"])
    return of_row(network, "tumor", random_rows(network, 1, 3))


PICTURES: dict[str, Callable[[], Picture]] = {
    "2-2-1": lambda: of_row(bank(), "bank", [[2, 3]]),
    "2-2-1-weights": lambda: draw_network(bank(), title="bank version 1"),
    "2-2-1-versions": two_versions,
    "5-8-6-3": flowers,
    "30-64-32-1": tumor,
    "784-512-512-10": digits,
    "wide-and-deep": wide_and_deep,
    "graph-of-24-layers": lambda: of_row(residual(24), "residual", random_rows(residual(24), 1, 0)),
    "attributions": lambda: draw_attributions(explanation(20, seed=3, rows=1)),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_as_it_was(name: str) -> None:
    drawn, kept = PICTURES[name]().svg(), (FOLDER / f"{name}.svg").read_text(encoding="utf-8")
    assert NUMBER.sub("#", drawn) == NUMBER.sub("#", kept), "draw the pictures again if you mean it, and look at them"
    # Another machine or numpy may round the last digit of a float32 otherwise.
    numbers = [float(number) for number in NUMBER.findall(drawn)]
    assert numbers == pytest.approx([float(number) for number in NUMBER.findall(kept)], rel=0.01, abs=0.02)


if __name__ == "__main__":
    for each, make in PICTURES.items():
        make().save(FOLDER / f"{each}.svg")
        if len(sys.argv) > 1:
            make().save(Path(sys.argv[1]) / f"{each}.png")
