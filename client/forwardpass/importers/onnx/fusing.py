"""Layers that do in one what a graph does in several nodes, with the same arithmetic."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any


def fused(layers: Sequence[Mapping[str, Any]], outputs: Collection[str]) -> list[dict[str, Any]]:
    """Fuse layers that only pass on what the single layer before them computes, or add a bias to it.

    Args:
        layers: As `spec.parse` reads them, each with what it reads.
        outputs: The layers whose names must stay.
    """
    readers = Counter(source for layer in layers for source in layer["from"])
    done: dict[str, dict[str, Any]] = {}
    renamed: dict[str, str] = {}
    for layer in layers:
        current = {**layer, "from": [renamed.get(source, source) for source in layer["from"]]}
        before = done.get(current["from"][0]) if len(current["from"]) == 1 else None
        if before is not None and readers[layer["from"][0]] == 1 and layer["from"][0] not in outputs:
            joined = _joined(before, current)
            if joined is not None:
                del done[before["name"]]
                current = joined
        done[current["name"]] = current
        renamed[layer["name"]] = current["name"]
    return list(done.values())


def _joined(before: Mapping[str, Any], layer: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what computes as two layers do, one after the other, or None."""
    if "activation" in before and before["activation"] != "identity":
        return None
    own = {key: value for key, value in layer.items() if key not in {"name", "from"}}
    if _passes(layer):  # the layer before, with this one's activation
        return {**before, **own, "kind": before["kind"], "name": layer["name"]}
    if _passes(before):  # this layer, which reads what the one before does
        return {**layer, **{key: before[key] for key in ("from", "merge") if key in before}}
    only_shift = layer["kind"] == "scale_shift" and "scale" not in layer
    if only_shift and before["kind"] == "dense" and "bias" not in before:
        own.pop("kind")
        return {**before, "bias": own.pop("shift"), **own, "name": layer["name"]}
    if only_shift and before["kind"] == "scale_shift" and "shift" not in before:
        return {**before, **own, "name": layer["name"]}
    return None


def _passes(layer: Mapping[str, Any]) -> bool:
    """Whether a layer computes nothing before its activation."""
    return layer["kind"] == "scale_shift" and not {"scale", "shift"} & layer.keys()
