"""Fuses pairs of layers into one layer with the same arithmetic."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from forwardpass.importers.graph.passes.pass_through import passes_on


def fuse(layers: Sequence[Mapping[str, Any]], outputs: Collection[str]) -> list[dict[str, Any]]:
    """Fuse each layer with the single layer that it reads, where one layer can compute both.

    Args:
        layers: The layers in the form of a spec, each after the layers that it reads.
        outputs: The layers whose names must stay.
    """
    readers = Counter(source for layer in layers for source in layer["from"])
    done: dict[str, dict[str, Any]] = {}
    renamed: dict[str, str] = {}
    for layer in layers:
        current = {**layer, "from": [renamed.get(source, source) for source in layer["from"]]}
        before = done.get(current["from"][0]) if len(current["from"]) == 1 else None
        if before is not None and readers[layer["from"][0]] == 1 and layer["from"][0] not in outputs:
            one = _fused(before, current)
            if one is not None:
                del done[before["name"]]
                current = one
        done[current["name"]] = current
        renamed[layer["name"]] = current["name"]
    return list(done.values())


def _fused(before: Mapping[str, Any], layer: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return one layer that computes what two in a row compute, or None where none does."""
    if "activation" in before and before["activation"] != "identity":
        return None
    own = {key: value for key, value in layer.items() if key not in {"name", "from"}}
    if passes_on(layer):  # the layer before, with the activation of this one
        return {**before, **own, "kind": before["kind"], "name": layer["name"]}
    if passes_on(before):  # this layer, with the sources of the one before
        return {**layer, **{key: before[key] for key in ("from", "merge") if key in before}}
    only_shift = layer["kind"] == "scale_shift" and "scale" not in layer
    if only_shift and before["kind"] == "dense" and "bias" not in before:
        own.pop("kind")
        return {**before, "bias": own.pop("shift"), **own, "name": layer["name"]}
    if only_shift and before["kind"] == "conv" and "bias" not in before:
        by_filter = own["shift"].reshape(len(before["weights"]), -1)
        if (by_filter == by_filter[:, :1]).all():
            del own["kind"], own["shift"]
            return {**before, "bias": by_filter[:, 0], **own, "name": layer["name"]}
    if only_shift and before["kind"] == "scale_shift" and "shift" not in before:
        return {**before, **own, "name": layer["name"]}
    return None
