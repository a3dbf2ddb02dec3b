"""What a notebook shows for the values of the client: pictures, and tables whose texts are escaped."""

import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
from forwardpass.models import Classification, NetworkInfo, Prediction
from forwardpass.render import draw_trace
from hypothesis import given, settings

from tests.client.render.test_svg import HOSTILE, texts, titles
from tests.support.drawn_networks import chain, random_rows
from tests.support.traces import trace_of

TIME = datetime(2026, 11, 30, tzinfo=UTC)


def prediction(rows: int = 2, outputs: int = 2) -> Prediction:
    return Prediction(
        outputs=np.arange(rows * outputs, dtype=np.float64).reshape(rows, outputs) / 4,
        network="iris",
        version=2,
        digest="0" * 64,
        output_names=tuple(f"output_{index}" for index in range(outputs)),
    )


def cells(html: str) -> list[list[str]]:
    return [["".join(cell.itertext()) for cell in row] for row in ET.fromstring(html).iter("tr")]  # noqa: S314 - our own


def test_a_prediction() -> None:
    assert cells(prediction()._repr_html_()) == [
        ["row", "output_0", "output_1"],
        ["0", "0", "0.25"],
        ["1", "0.5", "0.75"],
    ]
    classified = replace(prediction(1), classifications=(Classification(label="setosa", probability=0.973),))
    assert cells(classified._repr_html_())[1] == ["0", "setosa", "97.3 %", "0", "0.25"]
    wide = prediction(100, 30)._repr_html_()
    assert "80 more rows, 10 more outputs" in wide
    assert len(cells(wide)) == 21


@given(HOSTILE)
@settings(max_examples=25)
def test_any_name_is_text(name: str) -> None:
    network = NetworkInfo(
        name=name,
        latest_version=1,
        aliases={"latest": 1, "production": 1},
        version_count=1,
        create_time=TIME,
        update_time=TIME,
        description=name,
    )
    for html in (network._repr_html_(), replace(prediction(), network=name, output_names=(name, "b"))._repr_html_()):
        tags = {each.tag for each in ET.fromstring(html).iter()}  # noqa: S314 - our own
        assert tags <= {"div", "strong", "table", "thead", "tbody", "tr", "th", "td"}
    assert cells(network._repr_html_())[1:] == [["latest", "1"], ["production", "1"]]


def test_a_trace_and_a_spec() -> None:
    network = chain(2, 3, 1)
    trace = trace_of(network, random_rows(network, 1, 0))
    assert trace._repr_svg_() == draw_trace(trace).svg()
    assert network._repr_svg_().startswith("<svg")


def test_unusual_values_are_marked() -> None:
    network = chain(2, 3, 1)
    trace = trace_of(network, random_rows(network, 1, 0))
    hidden = replace(trace.layers[0], percentiles=np.array([[0.1, 50.0, 100.0]]))
    picture = draw_trace(replace(trace, layers=(hidden, *trace.layers[1:]), profile_rows=1000))
    assert "unusual in its profile" in texts(picture)
    assert titles(picture).count("unusual: ") == 2
