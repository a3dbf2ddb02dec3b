"""Layers that a reader added one by one, with fewer words: the same numbers by the same operations."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

PLAIN: Final = "scale_shift"
"""The kind of a layer that passes on what it reads, when it has neither scale nor shift."""

_FLAT: Final = frozenset({"sum", "multiply", "max", "concatenate"})
"""Merges that go from the first to the last, so that the first may be such a merge itself."""


def tidy(layers: Sequence[Mapping[str, Any]], outputs: Sequence[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """Leave out what leads nowhere; give functions to the layers before them, and merges to the layers after them.

    Args:
        layers: Each with `name`, `from` and perhaps `merge`, after those that it reads.
        outputs: The layers that are outputs.

    Returns:
        The layers and outputs that are left, by their names.
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
        if first is not None and alone[0] and _passes_on(first) and first.get("activation") is None:
            _read_through(layer, first, kept)
        if len(layer["from"]) == 1 and _passes_on(layer) and (before := kept.get(layer["from"][0])) is not None:
            function = layer.get("activation")
            if readers[before["name"]] == 1 and (function is None or before.get("activation") is None):
                if function is not None:
                    before["activation"] = function
                renamed[layer["name"]] = before["name"]
                readers[before["name"]] = readers[layer["name"]]
                continue
        kept[layer["name"]] = layer
    return list(kept.values()), [renamed.get(name, name) for name in outputs]


def _read_through(layer: dict[str, Any], first: Mapping[str, Any], kept: dict[str, dict[str, Any]]) -> None:
    """Let a layer read what the first of its sources reads, where that one does nothing but merge."""
    inner, outer = first.get("merge"), layer.get("merge")
    rest = layer["from"][1:]
    if rest and (inner != outer or outer not in _FLAT or set(rest) & set(first["from"])):
        return
    layer["from"] = [*first["from"], *rest]
    if inner is not None:
        layer["merge"] = inner
    del kept[first["name"]]


def _passes_on(layer: Mapping[str, Any]) -> bool:
    return layer.get("kind") == PLAIN and "scale" not in layer and "shift" not in layer


def _count_readers(layers: Sequence[Mapping[str, Any]], outputs: Sequence[str]) -> dict[str, int]:
    """Count for each layer that leads to an output how often it is read; being an output counts as being read."""
    readers: dict[str, int] = {}
    for name in outputs:
        readers[name] = readers.get(name, 0) + 1
    for layer in reversed(layers):
        if layer["name"] in readers:
            for source in layer["from"]:
                readers[source] = readers.get(source, 0) + 1
    return readers
