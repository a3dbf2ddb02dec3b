"""The kinds of layers: which arrays each has, how long these are, and how many nodes come of them.

Axes of one name are equally long within a layer: `inputs` is how many values the layer reads, `outputs` how many
nodes it has. The formulas are told where each kind's fields are, in `layer_models`.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

DENSE: Final = "dense"
"""The kind of a layer that does not say one."""

Axes: TypeAlias = tuple[str, ...]

KINDS: Final[Mapping[str, Mapping[str, Axes]]] = MappingProxyType(
    {
        DENSE: {"weights": ("outputs", "inputs"), "bias": ("outputs",), "mask": ("outputs", "inputs")},
        "scale_shift": {"scale": ("inputs",), "shift": ("inputs",)},
        "batch_norm": {
            "mean": ("inputs",),
            "variance": ("inputs",),
            "gamma": ("inputs",),
            "beta": ("inputs",),
        },
        "layer_norm": {"gamma": ("inputs",), "beta": ("inputs",)},
        "embedding": {"table": ("categories", "size")},
        "one_hot": {"categories": ("outputs",), "indices": ("outputs",)},
        "bucketize": {"boundaries": ("boundaries",)},
        "lookup": {"keys": ("keys",), "values": ("keys",)},
        "clip": {"low": ("inputs",), "high": ("inputs",)},
        "impute": {"values": ("inputs",)},
        "dropout": {},
        "take": {"indices": ("outputs",)},
        "pool": {"windows": ("outputs", "size")},
    }
)
"""The arrays of each kind in the order of the canonical content, and the axes of each."""

FILLS: Final[Mapping[str, Mapping[str, float]]] = MappingProxyType(
    {
        DENSE: {"bias": 0.0},
        "scale_shift": {"scale": 1.0, "shift": 0.0},
        "batch_norm": {"gamma": 1.0, "beta": 0.0},
        "layer_norm": {"gamma": 1.0, "beta": 0.0},
        "one_hot": {"indices": 0.0},
    }
)
"""What an array is full of when a layer leaves it out. Others that may be left out then say nothing."""


def output_width(kind: str, lengths: Mapping[str, int]) -> int | None:
    """Return how many nodes a layer has, or None where that does not follow.

    Args:
        kind: A name in `KINDS`.
        lengths: The length of each axis, as far as it is known.
    """
    if kind == "embedding":
        return lengths["inputs"] * lengths["size"] if {"inputs", "size"} <= lengths.keys() else None
    return lengths.get("outputs" if _has_outputs(kind) else "inputs")


def number_count(kind: str, given: Mapping[str, object], lengths: Mapping[str, int]) -> int:
    """Return how many numbers a layer's arrays have, those that are filled with a default among them."""
    total = 0
    for name, axes in KINDS[kind].items():
        if name in given or name in FILLS.get(kind, {}):
            count = 1
            for axis in axes:
                count *= lengths.get(axis, 0)
            total += count
    return total


def filled(kind: str, given: Mapping[str, object]) -> Iterator[tuple[str, float, Axes]]:
    """Yield each array that a layer leaves out and that has a default: its name, the number it is full of, its axes."""
    for name, number in FILLS.get(kind, {}).items():
        if name not in given:
            yield name, number, KINDS[kind][name]


def _has_outputs(kind: str) -> bool:
    return any("outputs" in axes for axes in KINDS[kind].values())
