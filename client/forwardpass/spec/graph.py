"""Which layer reads which: names that exist, layers that come earlier, widths that fit."""

from collections.abc import Sequence

from forwardpass.spec.checks import INPUTS
from forwardpass.spec.faults import Faults, found, join, listed, quoted
from forwardpass.spec.outline import LayerOutline, Outline

_WIDTH_OF_SUM = ("sum", "multiply")


def check_graph(outline: Outline, faults: Faults) -> None:
    """Note every layer that reads what is not there, that nobody reads, or whose width does not fit."""
    layers = outline.layers
    index_of: dict[object, int] = {}
    for index, layer in enumerate(layers):
        index_of.setdefault(layer.name, index)
    read: set[int] = set()
    unresolved = False
    for index, layer in enumerate(layers):
        path = join("spec", "layers", index)
        sources = _resolve(path, index, layer, layers, index_of, faults)
        unresolved = unresolved or None in sources
        read.update(source for source in sources if source is not None)
        _check_merge(path, layer, len(sources), faults)
        _check_width(path, layer, sources, outline, faults)
    if not unresolved:
        for index, layer in enumerate(layers[:-1]):
            if index not in read:
                what = "its activations lead nowhere; name it in a later layer's `from`, or leave it out"
                faults.add(join("spec", "layers", index), f"no layer reads {_called(layer, index)}; {what}")


def _resolve(
    path: str,
    index: int,
    layer: LayerOutline,
    layers: Sequence[LayerOutline],
    index_of: dict[object, int],
    faults: Faults,
) -> list[int | None]:
    """Return the index of each layer that a layer reads: -1 for the inputs, None where there is no such layer."""
    if layer.sources is None:
        return [index - 1]
    if not layer.sources:
        faults.add(f"{path}.from", "is an empty list; name a layer, or leave `from` out to read the one before")
    sources: list[int | None] = []
    for place, name in enumerate(layer.sources):
        where = join(path, "from", place) if layer.listed_sources else f"{path}.from"
        source = -1 if isinstance(name, str) and name == INPUTS else None
        if source is None and isinstance(name, str):
            source = index_of.get(name)
            if source is None:
                known = [INPUTS, *(earlier.name for earlier in layers[:index] if earlier.name is not None)]
                hint = faults.suggest(name, known) or f"; it can read {listed(known[:8])}"
                faults.add(where, f"no layer is named {quoted(name)}{hint}")
            elif source >= index:
                what = "is the layer itself" if source == index else "comes later"
                faults.add(where, f"{quoted(name)} {what}; a layer reads layers that come before it")
                source = None
        if source is not None and source in sources:
            faults.add(where, f"{quoted(str(name))} is named twice; name each layer once")
        sources.append(source)
    return sources


def _check_merge(path: str, layer: LayerOutline, count: int, faults: Faults) -> None:
    if count > 1 and layer.merge is None:
        faults.add(
            f"{path}.merge",
            f'is missing; a layer that reads {count} layers needs "sum", "concatenate" or "multiply"',
        )
    if count == 1 and layer.merge:
        faults.add(
            f"{path}.merge",
            f"is {found(layer.merge)}; a layer that reads one layer merges nothing, leave it out",
        )


def _check_width(
    path: str, layer: LayerOutline, sources: Sequence[int | None], outline: Outline, faults: Faults
) -> None:
    widths = [
        None if source is None else outline.width if source < 0 else outline.layers[source].outputs
        for source in sources
    ]
    known = [width for width in widths if width is not None]
    if len(known) != len(widths) or not known:
        return
    if len(known) > 1 and layer.merge in _WIDTH_OF_SUM and len(set(known)) > 1:
        faults.add(
            f"{path}.from",
            f"has layers of {', '.join(map(str, known))} nodes; a {layer.merge} needs equal widths",
        )
        return
    if len(known) > 1 and layer.merge not in (*_WIDTH_OF_SUM, "concatenate"):
        return
    needed = sum(known) if layer.merge == "concatenate" else known[0]
    if layer.inputs is not None and layer.inputs != needed:
        source = sources[0]
        each = (
            f"{layer.merge} of {len(known)} layers"
            if len(known) > 1
            else "input"
            if source is None or source < 0
            else f"node of {_called(outline.layers[source], source)}"
        )
        reason = f"the width of the {each}" if len(known) > 1 else f"one for each {each}"
        faults.add(f"{path}.weights", f"has {layer.inputs} weights for each node; needed are {needed}, {reason}")


def _called(layer: LayerOutline, index: int) -> str:
    return quoted(layer.name) if layer.name is not None else f"layer {index}"
