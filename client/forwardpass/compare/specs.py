"""Compares the specs of two versions, without their weights."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from forwardpass.compare.values import SpecDifference
from forwardpass.merges import reading
from forwardpass.models import FeatureInfo, LayerInfo, VersionInfo
from forwardpass.spec import Output

_FACTS: Final[Mapping[str, Callable[[VersionInfo], object]]] = MappingProxyType(
    {
        "digest": lambda version: version.digest,
        "dtype": lambda version: version.dtype,
        "numerics": lambda version: version.numerics,
        "inputs": lambda version: version.inputs,
        "input_groups": lambda version: _pairs(version.input_groups),
        "outputs": lambda version: ", ".join(version.output_names),
        "output_layers": lambda version: ", ".join(version.output_layers),
        "output_metadata": lambda version: "; ".join(map(_fact, version.output_metadata)),
        "classes": lambda version: ", ".join(version.class_labels),
        "thresholds": lambda version: ", ".join(f"{number:g}" for number in version.thresholds),
        "parameters": lambda version: f"{version.parameter_count:,}",
        "description": lambda version: version.description,
        "tags": lambda version: ", ".join(version.tags),
    }
)
"""The compared facts of a version as a whole, by path."""

_FACTS_OF_LAYERS: Final[Mapping[str, Callable[[LayerInfo], object]]] = MappingProxyType(
    {
        "kind": lambda layer: layer.kind,
        "width": lambda layer: layer.width,
        "activation": lambda layer: layer.function,
        "from": lambda layer: reading(layer.from_, layer.merge),
        "nodes": lambda layer: ", ".join(layer.nodes),
    }
)

_FACTS_OF_FEATURES: Final[Mapping[str, Callable[[FeatureInfo], object]]] = MappingProxyType(
    {
        "mean": lambda feature: f"{feature.mean:g}",
        "scale": lambda feature: f"{feature.scale:g}",
        "unit": lambda feature: feature.unit,
        "description": lambda feature: feature.description,
        "kind": lambda feature: feature.kind,
        "range": lambda feature: f"{feature.low} to {feature.high}, else {feature.out_of_range}",
        "categories": lambda feature: ", ".join(feature.categories),
        "missing": lambda feature: feature.missing,
        "unknown": lambda feature: feature.unknown,
    }
)


def _fact(fact: Output) -> str:
    return " ".join(filter(None, [f"y * {fact.scale:g} + {fact.shift:g}", fact.unit, fact.description]))


def spec_differences(one: VersionInfo, other: VersionInfo) -> tuple[SpecDifference, ...]:
    """Return the differences of two specs, first those of the whole network."""
    return tuple(_all(one, other))


def _all(one: VersionInfo, other: VersionInfo) -> Iterator[SpecDifference]:
    for path, fact in _FACTS.items():
        yield from _difference(path, fact(one), fact(other))
    yield from _difference("metadata", _pairs(one.metadata), _pairs(other.metadata))
    yield from _parts("features", one.features, other.features, _FACTS_OF_FEATURES)
    yield from _parts("layers", one.layers, other.layers, _FACTS_OF_LAYERS)


def _parts(path: str, one: Iterable, other: Iterable, facts: Mapping) -> Iterator[SpecDifference]:  # type: ignore[type-arg]
    ours, theirs = {part.name: part for part in one}, {part.name: part for part in other}
    if [*ours] != [*theirs]:
        yield SpecDifference(path=path, first=", ".join(ours), second=", ".join(theirs))
    for name in (name for name in ours if name in theirs):
        for said, fact in facts.items():
            yield from _difference(f"{path}.{name}.{said}", fact(ours[name]), fact(theirs[name]))


def _difference(path: str, one: object, other: object) -> Iterator[SpecDifference]:
    if one != other:
        yield SpecDifference(path=path, first=str(one), second=str(other))


def _pairs(facts: Mapping[str, object]) -> str:
    return ", ".join(f"{name} = {fact}" for name, fact in facts.items())
