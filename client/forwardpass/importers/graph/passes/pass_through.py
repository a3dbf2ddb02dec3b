"""Removes layers that nothing reads, and layers that only pass on what they read."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from forwardpass.importers.graph.builder import PASS

_ASSOCIATIVE: Final = frozenset({"sum", "multiply", "max", "concatenate"})
"""Merges that go from the first source to the last, so that the first source may be such a merge itself."""


def simplify(layers: Sequence[Mapping[str, Any]], outputs: Sequence[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """Remove unread layers, move activations into the layers before them and merges into the layers after them.

    Args:
        layers: The layers in the form of a spec, each after the layers that it reads.
        outputs: The names of the output layers.

    Returns:
        The layers that remain, and the names of the output layers among them.
    """
    readers = _count_readers(layers, outputs)
    kept: dict[str, dict[str, Any]] = {}
    renamed: dict[str, str] = {}
    for known in layers:
        if known["name"] not in readers:
            continue
        layer = {**known, "from": [renamed.get(source, source) for source in known["from"]]}
        alone = [source in kept and readers[source] == 1 for source in layer["from"]]
        first = kept.get(layer["from"][0])
        if first is not None and alone[0] and passes_on(first) and first.get("activation") is None:
            _read_through(layer, first, kept)
        if len(layer["from"]) == 1 and passes_on(layer) and (before := kept.get(layer["from"][0])) is not None:
            function = layer.get("activation")
            if readers[before["name"]] == 1 and (function is None or before.get("activation") is None):
                if function is not None:
                    before["activation"] = function
                renamed[layer["name"]] = before["name"]
                readers[before["name"]] = readers[layer["name"]]
                continue
        kept[layer["name"]] = layer
    return list(kept.values()), [renamed.get(name, name) for name in outputs]


def without_unread(layers: Sequence[Mapping[str, Any]], outputs: Collection[str]) -> list[Mapping[str, Any]]:
    """Return the layers that lead to an output."""
    readers = _count_readers(layers, outputs)
    return [layer for layer in layers if layer["name"] in readers]


def _read_through(layer: dict[str, Any], first: Mapping[str, Any], kept: dict[str, dict[str, Any]]) -> None:
    """Let a layer read the sources of its first source, where that one only merges."""
    inner, outer = first.get("merge"), layer.get("merge")
    rest = layer["from"][1:]
    if rest and (inner != outer or outer not in _ASSOCIATIVE or set(rest) & set(first["from"])):
        return
    layer["from"] = [*first["from"], *rest]
    if inner is not None:
        layer["merge"] = inner
    del kept[first["name"]]


def passes_on(layer: Mapping[str, Any]) -> bool:
    """Return whether a layer computes nothing before its activation."""
    return layer.get("kind") == PASS["kind"] and "scale" not in layer and "shift" not in layer


def _count_readers(layers: Sequence[Mapping[str, Any]], outputs: Collection[str]) -> dict[str, int]:
    """Count the readers of each layer that leads to an output; an output counts as one more reader."""
    readers: dict[str, int] = {}
    for name in outputs:
        readers[name] = readers.get(name, 0) + 1
    for layer in reversed(layers):
        if layer["name"] in readers:
            for source in layer["from"]:
                readers[source] = readers.get(source, 0) + 1
    return readers
