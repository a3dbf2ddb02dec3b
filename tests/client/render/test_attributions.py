"""Waterfalls: their numbers, and where they stand."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from forwardpass.models import Explanation
from forwardpass.render import draw_attributions
from forwardpass.render.graphs.attributions import waterfalls

from tests.client.render.test_geometry import check_geometry
from tests.client.render.test_svg import texts


def explanation(inputs: int, outputs: int = 1, *, rows: int = 2, seed: int = 0, **fields: Any) -> Explanation:
    rng = np.random.default_rng(seed)
    shares = rng.standard_normal((rows, outputs, inputs)) * 10.0 ** rng.integers(-6, 6)
    baseline = rng.standard_normal((rows, outputs))
    values = baseline + shares.sum(axis=2)
    names = tuple(f"class_{index}" for index in range(outputs))
    found = Explanation(
        attributions=shares,
        method="integrated_gradients",
        outputs=values,
        network="bank",
        version=3,
        digest="0" * 64,
        output_names=names,
        input_names=tuple(f"feature_{index}" for index in range(inputs)),
        input_values=rng.standard_normal((rows, inputs)),
        explained_outputs=(names,) * rows,
        explained_values=values,
        baseline_outputs=baseline,
        completeness_error=np.zeros((rows, outputs)),
    )
    if outputs == 1:
        arrays = ("attributions", "explained_values", "baseline_outputs", "completeness_error")
        found = replace(found, **{name: getattr(found, name)[:, 0] for name in arrays})
    return replace(found, **fields)


@pytest.mark.parametrize("outputs", [1, 3])
def test_the_bars_lead_from_the_baseline_to_the_output(outputs: int) -> None:
    given = explanation(30, outputs)
    for each in waterfalls(given, 1, None, None):
        assert len(each.bars) == 12
        assert each.bars[-1].name == "19 others"
        assert each.baseline is not None
        assert each.baseline + sum(bar.share for bar in each.bars) == pytest.approx(each.value)
        sizes = [abs(bar.share) for bar in each.bars[:-1]]
        assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("seed", range(12))
def test_nothing_overlaps(seed: int) -> None:
    rng = np.random.default_rng(seed)
    inputs, outputs = int(rng.integers(1, 30)), int(rng.integers(1, 5))
    check_geometry(draw_attributions(explanation(inputs, outputs, seed=seed), row=1))
    gradient = explanation(inputs, outputs, seed=seed, method="gradient", baseline_outputs=None)
    check_geometry(draw_attributions(gradient))


def test_values_are_written_as_people_know_them() -> None:
    given = explanation(2, categories={"feature_0": ("blue", "red")})
    missing = replace(given, input_values=np.array([[0, np.nan], [1, 2.5]]))
    assert {"feature_0 = blue", "feature_1 = missing"} <= set(texts(draw_attributions(missing)))
    assert {"feature_0 = red", "feature_1 = 2.5"} <= set(texts(draw_attributions(missing, row=1)))


def test_what_is_not_explained_and_errors_are_shown() -> None:
    given = explanation(3, completeness_error=np.full(2, 1e9), standard_error=np.full((2, 3), 0.25))
    shown = texts(draw_attributions(given))
    assert "not explained" in shown
    assert sum(text.endswith("± 0.25") for text in shown) == 3


def test_rows_and_outputs_that_are_not_there() -> None:
    given = explanation(3, 2)
    with pytest.raises(IndexError, match="2 rows"):
        draw_attributions(given, row=2)
    with pytest.raises(ValueError, match="has 'class_0', 'class_1'"):
        draw_attributions(given, outputs=["class_9"])
    assert [each.output for each in waterfalls(given, 0, ["class_1"], None)] == ["class_1"]


def test_classes() -> None:
    given = explanation(3, 2, output_classes=("small", "large"))
    shown = texts(draw_attributions(given))
    assert {"small", "large"} <= set(shown)
    assert not {"class_0", "class_1"} & set(shown)
    for name in ("large", "class_1"):
        assert [each.output for each in waterfalls(given, 0, [name], None)] == ["large"]
    mixed = replace(given, output_classes=("class_1", "large"))
    with pytest.raises(ValueError, match="the name of an output and the class of another one"):
        draw_attributions(mixed, outputs=["class_1"])
    of_two = explanation(3, output_classes=("yes",))
    assert str(of_two).splitlines()[-1].startswith("probability of yes  ")
    assert str(replace(of_two, scale="logits")).splitlines()[-1].startswith("yes  ")


def test_an_explanation_shows_itself() -> None:
    given = explanation(3)
    assert given._repr_svg_().startswith("<svg")
    lines = str(given).splitlines()
    assert lines[0] == "bank version 3, row 0 of 2: integrated gradients"
    assert lines[2].split()[0] == "baseline"
    assert lines[-1].split()[0] == "class_0"
