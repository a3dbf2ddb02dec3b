"""The typed features of a network, compiled for reading values and validating inputs."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from forwardpass.spec import Feature, NetworkSpec

from forwardpass_server.core import Rules


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TypedFeatures:
    """The features of a network that has at least one typed feature.

    Attributes:
        features: One for each input.
        categories: For each feature, the index of each of its categories; empty if it is not a category.
        rules: The rules that validate and fill the inputs.
    """

    features: tuple[Feature, ...]
    categories: tuple[Mapping[str, int], ...]
    rules: Rules


def typed_features(spec: NetworkSpec) -> TypedFeatures | None:
    """Compile a network's typed features; None if it has none, so that its inputs are not checked at all."""
    features = spec.inputs.features
    if not any(feature.is_typed for feature in features):
        return None
    return TypedFeatures(
        features=features,
        categories=tuple(
            {category: index for index, category in enumerate(feature.categories)} for feature in features
        ),
        rules=_rules(features, np.dtype(spec.dtype), allow_non_finite=spec.allow_non_finite_inputs),
    )


def _rules(features: tuple[Feature, ...], dtype: "np.dtype[np.floating]", *, allow_non_finite: bool) -> Rules:
    ends = [_ends(feature) for feature in features]
    missing = [feature.fill_value(feature.missing) for feature in features]
    unknown = [feature.fill_value(feature.unknown) for feature in features]
    numbers = [feature.kind == "number" for feature in features]
    return Rules(
        low=np.array([low for low, _ in ends], dtype),
        high=np.array([high for _, high in ends], dtype),
        is_whole=~np.array(numbers),
        is_category=np.array([feature.kind == "category" for feature in features]),
        refuses_beyond=np.array([feature.out_of_range == "refuse" for feature in features]),
        missing=np.array(missing, dtype),  # None becomes NaN
        # If the network allows it, NaN is a number like any other, unless the feature has a fill value.
        refuses_missing=np.array(
            [
                number is None and not (allow_non_finite and plain)
                for number, plain in zip(missing, numbers, strict=True)
            ]
        ),
        unknown=np.array(unknown, dtype),
        refuses_unknown=np.array([number is None for number in unknown]),
        allow_infinite=allow_non_finite,
    )


def _ends(feature: Feature) -> tuple[float, float]:
    if feature.kind == "category":
        return 0.0, float(len(feature.categories) - 1)
    if feature.kind == "boolean":
        return 0.0, 1.0
    return (
        -np.inf if feature.low is None else feature.low,
        np.inf if feature.high is None else feature.high,
    )
