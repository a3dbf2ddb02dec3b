"""Networks with typed features, for tests of both sides."""

import math
from typing import Any

import numpy as np
from forwardpass import spec
from forwardpass.spec import Feature
from hypothesis import strategies as st

WORDS = st.text("abc XYZ019äöü", min_size=1, max_size=6).filter(lambda word: word.strip() == word)
NUMBERS = st.floats(-1e6, 1e6, width=32)


@st.composite
def features(draw: st.DrawFn, name: str) -> dict[str, Any]:
    """Draw a feature of any kind, with any policy."""
    kind = draw(st.sampled_from(["number", "category", "boolean"]))
    feature: dict[str, Any] = {"name": name, "kind": kind}
    rules = st.sampled_from(["refuse", "nan"])
    if kind == "category":
        categories = draw(st.lists(WORDS, min_size=1, max_size=5, unique=True))
        own = st.sampled_from([category for category in categories if category not in {"refuse", "nan"}] or ["nan"])
        feature |= {"categories": categories, "missing": draw(rules | own), "unknown": draw(rules | own)}
    elif kind == "boolean":
        feature |= {"missing": draw(rules | st.booleans()), "mean": draw(NUMBERS)}
    else:
        low, high = sorted([draw(NUMBERS), draw(NUMBERS)])
        feature |= {
            "missing": draw(rules | NUMBERS),
            "range": draw(st.sampled_from([[low, high], [low, None], [None, high]])),
        }
        feature |= {
            "out_of_range": draw(st.sampled_from(["warn", "refuse"])),
            "scale": draw(st.floats(0.5, 9, width=32)),
        }
    return feature


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a network with typed features and output metadata."""
    names = draw(st.lists(WORDS, min_size=1, max_size=4, unique=True))
    outputs = draw(st.integers(1, 3))
    weights = [[draw(NUMBERS) for _ in names] for _ in range(outputs)]
    document: dict[str, Any] = {
        "format": spec.FORMAT,
        "dtype": draw(st.sampled_from(["float32", "float64"])),
        "inputs": [draw(features(name)) for name in names],
        "layers": [{"weights": weights}],
        "outputs": [draw(told_outputs(f"output {index}")) for index in range(outputs)],
    }
    if draw(st.booleans()):
        document["classes"] = [f"class {index}" for index in range(max(outputs, 2))]
        probability = st.floats(0, 1)
        document["threshold"] = draw(probability | st.lists(probability, min_size=outputs, max_size=outputs))
    return document


@st.composite
def told_outputs(draw: st.DrawFn, name: str) -> str | dict[str, Any]:
    """Draw the metadata of an output."""
    if draw(st.booleans()):
        return name
    return {"name": name, "unit": draw(WORDS), "scale": draw(NUMBERS), "shift": draw(NUMBERS)}


def values(feature: Feature) -> st.SearchStrategy[object]:
    """Draw a value for a feature, right or wrong; None is missing."""
    if feature.kind == "category":
        return st.none() | st.sampled_from(feature.categories) | st.just("no such category")
    if feature.kind == "boolean":
        return st.none() | st.booleans()
    return st.none() | NUMBERS


def plain_input(feature: Feature, value: Any, dtype: str) -> tuple[float, str]:
    """Return the number of a value, and its violation or an empty text, in plain steps."""
    round_ = np.dtype(dtype).type
    if value is None:
        if feature.missing == "refuse":
            return math.nan, "missing"
        return _fill_value(feature, feature.missing), ""
    if isinstance(value, str):
        if value in feature.categories:
            return float(feature.categories.index(value)), ""
        return (math.nan, "unknown") if feature.unknown == "refuse" else (_fill_value(feature, feature.unknown), "")
    number = round_(value)
    low, high = (None if end is None else round_(end) for end in (feature.low, feature.high))
    out = (low is not None and number < low) or (high is not None and number > high)
    return float(number), feature.out_of_range if out else ""


def _fill_value(feature: Feature, word: float | str) -> float:
    if isinstance(word, str):
        return math.nan if word == "nan" else float(feature.categories.index(word))
    return word
