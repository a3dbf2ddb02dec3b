"""The order of a graph's nodes, and what its outputs depend on."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

_RANDOM: Final = frozenset(
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"}
)
"""Operators whose results differ from run to run."""

_SHAPES: Final = frozenset({"Shape", "Size"})
"""Operators that read no numbers of their input."""


def reads_of(node: Any) -> Iterator[str]:
    """Yield every tensor that a node reads, those that the branches of an `If` read from outside among them."""
    yield from filter(None, node.input)
    if node.op_type == "If":
        for attribute in node.attribute:
            made = {name for inner in attribute.g.node for name in inner.output}
            made.update(tensor.name for tensor in attribute.g.initializer)
            for inner in attribute.g.node:
                yield from (name for name in reads_of(inner) if name not in made)
            yield from (output.name for output in attribute.g.output if output.name not in made)


def ordered(nodes: Sequence[Any]) -> list[tuple[int, Any]]:
    """Return the nodes with their places in the file, each after those whose tensors it reads.

    Nodes of a cycle come last, in the order of the file.
    """
    makers = {name: place for place, node in enumerate(nodes) for name in node.output if name}
    needs = [{makers[name] for name in reads_of(node) if name in makers} for node in nodes]
    if all(max(need, default=-1) < place for place, need in enumerate(needs)):
        return list(enumerate(nodes))
    readers: dict[int, list[int]] = {}
    for place, need in enumerate(needs):
        for maker in need:
            readers.setdefault(maker, []).append(place)
    ready = [place for place, need in enumerate(needs) if not need][::-1]
    order: list[int] = []
    while ready:
        place = ready.pop()
        order.append(place)
        for reader in readers.get(place, ()):
            needs[reader].discard(place)
            if not needs[reader]:
                ready.append(reader)
    rest = sorted(set(range(len(nodes))) - set(order))
    return [(place, nodes[place]) for place in (*order, *rest)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Dependence:
    """The tensors that depend on the inputs' numbers, and those that depend on random numbers."""

    on_inputs: frozenset[str]
    on_chance: frozenset[str]


def dependence(nodes: Sequence[tuple[int, Any]], inputs: Collection[str]) -> Dependence:
    """Return what the tensors of ordered nodes depend on."""
    on_inputs, on_chance = set(inputs), set[str]()
    for _, node in nodes:
        if node.op_type in _SHAPES:
            continue
        read = set(reads_of(node))
        if node.op_type in _RANDOM or read & on_chance:
            on_chance.update(node.output)
        elif read & on_inputs:
            on_inputs.update(node.output)
    return Dependence(on_inputs=frozenset(on_inputs), on_chance=frozenset(on_chance))
