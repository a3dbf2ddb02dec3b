"""Pictures of traces mark what is unusual by the profile."""

from dataclasses import replace

import numpy as np
import pytest
from forwardpass.models import LayerTrace, Trace
from forwardpass.profiles import UnusualValue, describe
from forwardpass.render import draw_trace


@pytest.fixture
def trace() -> Trace:
    layer = LayerTrace(
        name="hidden",
        nodes=("low", "usual", "high"),
        function="relu",
        parameters={},
        inputs=("x",),
        pre_activation=np.array([[-1.0, 2.0, 9.0]]),
        activation=np.array([[0.0, 2.0, 9.0]]),
        percentiles=np.array([[0.0, 50.0, 99.8]]),
    )
    return Trace(
        outputs=np.array([[1.0]]),
        network="net",
        version=1,
        digest="",
        output_names=("y",),
        inputs=np.array([[1.0]]),
        input_names=("x",),
        layers=(layer,),
        profile_rows=1_500,
        input_percentiles=np.array([[np.nan]]),
        output_percentiles=np.array([[100.0]]),
    )


def test_the_most_unusual_first(trace: Trace) -> None:
    found = trace.unusual()
    assert [(value.layer, value.node, value.percentile) for value in found] == [
        ("hidden", "low", 0.0),
        ("outputs", "y", 100.0),
        ("hidden", "high", pytest.approx(99.8)),
    ]
    assert [value.is_outside for value in found] == [True, True, False]
    words = [describe(value, trace.profile_rows) for value in found]
    assert words == ["below all 1,500 rows", "above all 1,500 rows", "in the highest 0.2 %"]
    assert describe(UnusualValue(layer="", node="", value=0, percentile=0.31), 9) == "in the lowest 0.31 %"


def test_pictures_mark_it(trace: Trace) -> None:
    drawn = draw_trace(trace).svg()
    assert drawn == trace._repr_svg_()
    assert "unusual: below all 1,500 rows of the profile" in drawn
    assert "unusual: in the highest 0.2 % of the profile" in drawn
    assert "unusual" not in draw_trace(trace, marks={}).svg(), "a caller may choose other marks, or none"
    plain = replace(trace, layers=(replace(trace.layers[0], percentiles=None),), output_percentiles=None)
    assert plain.unusual() == ()
    assert draw_trace(plain).svg() == draw_trace(trace, marks={}).svg()
