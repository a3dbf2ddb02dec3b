"""Checks of which layer reads which: names exist, sources come earlier, widths fit, and everything is read.

A source is an index in this module: of a layer from 0 on, -1 for all inputs, -2 for the first group of inputs, -3 for
the next.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from forwardpass.merges import MERGES
from forwardpass.spec.checks.consistency import output_layers
from forwardpass.spec.checks.outline import CONCATENATE, INPUTS, LayerOutline, Outline
from forwardpass.spec.faults import Faults, found, join, listed, quoted
from forwardpass.spec.limits import Limits
from forwardpass.spec.network import DENSE

_ALL_INPUTS: Final = -1
_MERGES: Final = tuple(word for word in MERGES if word is not None)


def check_graph(outline: Outline, limits: Limits, faults: Faults) -> None:
    """Report every layer with an unknown source, a wrong width or no reader, and a network that holds too much.

    A fault that is uncertain because of another fault is not reported.
    """
    index_of: dict[object, int] = {INPUTS: _ALL_INPUTS}
    for index, layer in enumerate(outline.layers):
        index_of.setdefault(layer.name, index)
    for index, group in enumerate(outline.groups):
        index_of.setdefault(group.name, _ALL_INPUTS - 1 - index)
    read: list[list[int | None]] = []
    for index, layer in enumerate(outline.layers):
        path = join("spec", "layers", index)
        sources = _resolve(path, index, layer, outline, index_of, faults)
        _check_merge(path, layer, len(sources), faults)
        _check_width(path, layer, sources, outline, faults)
        read.append(sources)
    outputs = _check_outputs(outline, faults)
    known = [[source for source in sources if source is not None] for sources in read]
    if None not in outputs and all(map(_is_complete, read)):
        ends = [index for index in outputs if index is not None]
        _check_used(outline, {*ends, *(source for sources in known for source in sources)}, faults)
        _check_held(outline, known, ends, limits, faults)


def _resolve(
    path: str, index: int, layer: LayerOutline, outline: Outline, index_of: dict[object, int], faults: Faults
) -> list[int | None]:
    """Return the sources of a layer, None for each one that does not exist."""
    if layer.sources is None:
        return [index - 1]
    if not layer.sources:
        faults.add(f"{path}.from", "is an empty list; name a layer, or leave `from` out to read the one before")
    sources: list[int | None] = []
    for place, name in enumerate(layer.sources):
        where = join(path, "from", place) if layer.listed_sources else f"{path}.from"
        source = index_of.get(name) if isinstance(name, str) else None
        if isinstance(name, str) and source is None:
            known = [INPUTS, *(group.name for group in outline.groups if group.name is not None)]
            known += [earlier.name for earlier in outline.layers[:index] if earlier.name is not None]
            hint = faults.suggest(name, known) or f"; it can read {listed(known[:8])}"
            faults.add(where, f"no layer is named {quoted(name)}{hint}")
        elif source is not None and source >= index:
            what = "is the layer itself" if source == index else "comes later"
            faults.add(where, f"{quoted(str(name))} {what}; a layer reads layers that come before it")
            source = None
        if source is not None and source in sources:
            faults.add(where, f"{quoted(str(name))} is named twice; name each layer once")
        sources.append(source)
    return sources


def _check_merge(path: str, layer: LayerOutline, count: int, faults: Faults) -> None:
    if count > 1 and layer.merge is None:
        faults.add(f"{path}.merge", f"is missing; a layer that reads {count} layers needs one of {listed(_MERGES)}")
    if count == 1 and layer.merge:
        faults.add(
            f"{path}.merge",
            f"is {found(layer.merge)}; a layer that reads one layer merges nothing, leave it out",
        )


def _check_width(
    path: str, layer: LayerOutline, sources: Sequence[int | None], outline: Outline, faults: Faults
) -> None:
    widths = [None if source is None else _width(outline, source) for source in sources]
    known = [width for width in widths if width is not None]
    if len(known) != len(widths) or not known:
        return
    if len(known) > 1 and layer.merge not in _MERGES:
        return
    if len(known) > 1 and layer.merge != CONCATENATE and len(set(known)) > 1:
        faults.add(
            f"{path}.from",
            f"has layers of {', '.join(map(str, known))} nodes; a {layer.merge} needs equal widths",
        )
        return
    needed = sum(known) if len(known) > 1 and layer.merge == CONCATENATE else known[0]
    if layer.kind == DENSE and layer.inputs is not None and layer.inputs != needed:
        source = sources[0]
        each = (
            f"{layer.merge} of {len(known)} layers"
            if len(known) > 1
            else "input"
            if source is None or source < 0
            else f"node of {_called(outline.layers[source], source)}"
        )
        reason = f"the width of the {each}" if len(known) > 1 else f"one for each {each}"
        faults.add(f"{path}.weights", f"has {layer.inputs} weights for each node; must have {needed}, {reason}")


def _check_outputs(outline: Outline, faults: Faults) -> list[int | None]:
    """Return the layers that are outputs, None for each one that does not exist."""
    outputs = output_layers(outline)
    for place, name in enumerate(outline.output_layers or ()):
        if isinstance(name, str) and outputs[place] is None:
            names = [layer.name for layer in outline.layers if layer.name is not None]
            hint = faults.suggest(name, names) or f"; there are {listed(names[:8])}"
            faults.add(join("spec", "output_layers", place), f"no layer is named {quoted(name)}{hint}")
        elif outputs[place] is not None and outputs[place] in outputs[:place]:
            what = f"{quoted(str(name))} is named twice; name each layer once"
            faults.add(join("spec", "output_layers", place), what)
    if outline.output_layers is not None and not outline.output_layers:
        faults.add("spec.output_layers", "is an empty list; name a layer, or leave it out for the last one")
        return [None]
    return outputs


def _check_used(outline: Outline, used: set[int], faults: Faults) -> None:
    """Report every layer and group that is neither read nor an output."""
    for index, layer in enumerate(outline.layers):
        if index not in used:
            what = "name it in a later layer's `from`, or leave it out"
            if outline.output_layers is not None:
                what = "name it in a later layer's `from` or in `output_layers`"
            faults.add(join("spec", "layers", index), f"no layer reads {_called(layer, index)}; {what}")
    for index, group in enumerate(outline.groups):
        if _ALL_INPUTS not in used and _ALL_INPUTS - 1 - index not in used and group.name is not None:
            what = "name it in a layer's `from`, or leave its inputs out"
            faults.add(join("spec", "input_groups", index), f"no layer reads {quoted(group.name)}; {what}")


def _check_held(
    outline: Outline, read: Sequence[Sequence[int]], outputs: Sequence[int], limits: Limits, faults: Faults
) -> None:
    """Report the first layer at which the network holds too many values of a row."""
    most = max(limits.max_held, limits.max_width)
    for index, held in enumerate(_held(outline, read, outputs)):
        if held > most:
            what = "keep fewer or narrower layers for later ones"
            path = join("spec", "layers", index)
            faults.add(path, f"{held} values of each row are held at once; at most {most} are allowed; {what}")
            return


def _held(outline: Outline, read: Sequence[Sequence[int]], outputs: Sequence[int]) -> Iterator[int]:
    """Yield how many values of a row are held at each layer: those kept for later layers, and its inputs or outputs."""
    last = dict.fromkeys(outputs, len(read))
    for index, sources in enumerate(read):
        for source in sources:
            origin = max(source, _ALL_INPUTS)
            last[origin] = max(last.get(origin, index), index)
    waiting: dict[int, int] = {}
    for index, (layer, sources) in enumerate(zip(outline.layers, read, strict=True)):
        if last.get(index - 1, index) > index or len(sources) > 1:
            waiting[index - 1] = _width(outline, index - 1) or 0
        yield sum(waiting.values()) + max(layer.inputs or 0, layer.outputs or 0)
        waiting = {origin: width for origin, width in waiting.items() if last.get(origin, 0) > index}


def _is_complete(sources: Sequence[int | None]) -> bool:
    return None not in sources


def _width(outline: Outline, source: int) -> int | None:
    """Return how many values a source has, or None where its width is wrong."""
    if source >= 0:
        return outline.layers[source].outputs
    return outline.width if source == _ALL_INPUTS else outline.groups[_ALL_INPUTS - 1 - source].width


def _called(layer: LayerOutline, index: int) -> str:
    return quoted(layer.name) if layer.name is not None else f"layer {index}"
