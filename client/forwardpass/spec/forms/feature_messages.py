"""Convert features and outputs to messages, and messages to parts of a document."""

import math
from collections.abc import Sequence
from typing import Final, Literal

from forwardpass.spec.faults import Faults, join, quoted
from forwardpass.spec.feature_kinds import NAN, REFUSE, FeatureKind, OutOfRange
from forwardpass.spec.network import Feature, Output
from forwardpass.v1 import network_pb2

FEATURE_KINDS: Final[dict[int, FeatureKind]] = {
    network_pb2.FEATURE_KIND_UNSPECIFIED: "number",
    network_pb2.FEATURE_KIND_NUMBER: "number",
    network_pb2.FEATURE_KIND_CATEGORY: "category",
    network_pb2.FEATURE_KIND_BOOLEAN: "boolean",
}
"""The kind for each value of the enum `FeatureKind`."""

OUT_OF_RANGE: Final[dict[int, OutOfRange]] = {
    network_pb2.OUT_OF_RANGE_UNSPECIFIED: "warn",
    network_pb2.OUT_OF_RANGE_WARN: "warn",
    network_pb2.OUT_OF_RANGE_REFUSE: "refuse",
}
"""The name for each value of the enum `OutOfRange`."""

_KINDS: Final = {kind: number for number, kind in FEATURE_KINDS.items()}
_OUT_OF_RANGE: Final = {word: number for number, word in OUT_OF_RANGE.items()}


def feature_message(feature: Feature) -> network_pb2.Feature:
    """Return the message of a feature; fields of typed features stay unset for others."""
    message = network_pb2.Feature(
        name=feature.name,
        mean=None if feature.categories else feature.mean,
        scale=None if feature.categories else feature.scale,
        unit=feature.unit,
        description=feature.description,
    )
    if feature.is_typed:
        message.kind = _KINDS[feature.kind]  # type: ignore[assignment] # mypy knows the enum, the table its numbers
        message.categories.extend(feature.categories)
        if feature.low is not None:
            message.low = feature.low
        if feature.high is not None:
            message.high = feature.high
        if feature.has_range:
            message.out_of_range = _OUT_OF_RANGE[feature.out_of_range]  # type: ignore[assignment]
        for name, word in (("missing", feature.missing), ("unknown", feature.unknown)):
            if word != REFUSE:
                getattr(message, name).CopyFrom(_fill_value_message(word))
    return message


def _fill_value_message(word: float | str) -> network_pb2.FillValue:
    if word == NAN:
        return network_pb2.FillValue(nan=True)
    return network_pb2.FillValue(category=word) if isinstance(word, str) else network_pb2.FillValue(number=word)


def read_fill_value(message: network_pb2.FillValue) -> float | str:
    """Read a fill value; an empty message means refuse."""
    given = message.WhichOneof("value")
    if given == "nan":
        return NAN if message.nan else REFUSE
    if given is None:
        return REFUSE
    return message.category if given == "category" else message.number


def read_feature_message(message: network_pb2.Feature, index: int, faults: Faults) -> dict[str, object]:
    """Return the part of a document for a feature's message."""
    path = join("spec", "inputs", "features", index)
    feature: dict[str, object] = {"name": message.name, "unit": message.unit, "description": message.description}
    for key in ("mean", "scale"):
        if message.HasField(key):
            feature[key] = getattr(message, key)
    if message.kind not in FEATURE_KINDS:
        known = ", ".join(f"FEATURE_KIND_{word.upper()}" for word in _KINDS)
        faults.add(f"{path}.kind", f"is {message.kind}; must be one of {known}")
    elif message.kind:
        feature["kind"] = FEATURE_KINDS[message.kind]
    if message.out_of_range not in OUT_OF_RANGE:
        known = "OUT_OF_RANGE_WARN or OUT_OF_RANGE_REFUSE"
        faults.add(f"{path}.out_of_range", f"is {message.out_of_range}; must be {known}")
    elif message.out_of_range:
        feature["out_of_range"] = OUT_OF_RANGE[message.out_of_range]
    if message.HasField("low") or message.HasField("high"):
        feature["range"] = [_end(message, "low"), _end(message, "high")]
    if message.categories:
        feature["categories"] = list(message.categories)
    return {**feature, **_fill_values(path, message, faults)}


def _fill_values(path: str, message: network_pb2.Feature, faults: Faults) -> dict[str, object]:
    read: dict[str, object] = {}
    for key in ("missing", "unknown"):
        if message.HasField(key):
            fill_value = getattr(message, key)
            if fill_value.category in {NAN, REFUSE}:
                found = f"is {quoted(fill_value.category)}, which is the word of a rule"
                faults.add(f"{path}.{key}.category", f"{found}; use another category")
            read[key] = read_fill_value(fill_value)
    return read


def _end(message: network_pb2.Feature, name: Literal["low", "high"]) -> float | None:
    return float(getattr(message, name)) if message.HasField(name) else None


def output_messages(outputs: Sequence[Output]) -> list[network_pb2.Output]:
    """Return the messages of the metadata of outputs."""
    return [
        network_pb2.Output(unit=each.unit, description=each.description, scale=each.scale, shift=each.shift)
        for each in outputs
    ]


def read_outputs(message: network_pb2.NetworkSpec, faults: Faults) -> list[object]:
    """Return the part of a document for the names and metadata of outputs."""
    names, facts = message.output_names, message.outputs
    if not facts:
        return list(names)
    if len(names) != len(facts):
        faults.add("spec.outputs", f"are {len(facts)}; must be one for each of the {len(names)} output_names")
        return list(names)
    return [{"name": name, **_fact(fact)} for name, fact in zip(names, facts, strict=True)]


def _fact(message: network_pb2.Output) -> dict[str, object]:
    optional = {key: getattr(message, key) for key in ("scale", "shift") if message.HasField(key)}
    return {"unit": message.unit, "description": message.description, **optional}


def row_numbers(row: Sequence[float | None]) -> list[float]:
    """Return the numbers of an example, NaN for missing ones."""
    return [math.nan if number is None else number for number in row]
