"""The content of a picture of a network: texts, shares and bundles, already chosen and written."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

State: TypeAlias = Literal["plain", "dead", "saturated"]
"""`dead`: relu at 0; `saturated`: within 1 % of an end of the range of its function."""

BlockKind: TypeAlias = Literal["inputs", "layer", "merge", "outputs", "missing"]

REST = -1
"""The port of an edge that leads to or from the nodes that are not shown one by one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """One node.

    Attributes:
        name: Its name.
        value: Its number or numbers, as people write them; empty where there are none.
        note: A third line, such as the sum spelled out; empty for most.
        detail: The text that a reader gets who points at it.
        tone: Its activation divided by the largest of its layer, -1 to 1.
        state: Whether it is dead or saturated.
        mark: Why it is marked, or empty.
        chosen: Whether it is the class that is chosen.
    """

    name: str
    value: str = ""
    note: str = ""
    detail: str = ""
    tone: float = 0.0
    state: State = "plain"
    mark: str = ""
    chosen: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Heat:
    """A strip or square of cells, one for each node of a wide layer or for some adjacent ones.

    Attributes:
        columns: How many cells a row has.
        tones: One for each cell, -1 to 1.
        detail: What a cell is.
    """

    columns: int
    tones: tuple[float, ...]
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Rest:
    """The nodes of a wide layer that are not shown one by one, as a histogram of their values.

    Attributes:
        label: For example `500 more`.
        bars: How many are in each of the equal intervals.
        low: The left end, as a text.
        high: The right end.
        detail: The same in words.
    """

    label: str
    bars: tuple[int, ...]
    low: str
    high: str
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """The inputs, a layer, a merge or the outputs.

    Attributes:
        key: Unique in the picture.
        kind: What it is.
        title: The name of the layer.
        subtitle: Its kind, function and width.
        nodes: The shown ones, in the network's order.
        rest: The other ones, or None.
        heat: All of them, or None where all are in `nodes`.
        facts: What the whole layer is like, in a line.
    """

    key: str
    kind: BlockKind
    title: str
    subtitle: str
    nodes: tuple[Node, ...] = ()
    rest: Rest | None = None
    heat: Heat | None = None
    facts: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Edge:
    """An edge between two nodes, or between a node and the rest of a layer.

    Attributes:
        source: The index of the node in its block, or `REST`.
        target: The same.
        strength: -1 to 1, as a share of the strongest into the target's layer; None where it has no number.
        label: A text beside it, or empty.
        detail: The text that a reader gets who points at it.
    """

    source: int
    target: int
    strength: float | None
    label: str = ""
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """All edges from one block to another; without any, a band, whose weights were not read or are not shown."""

    source: str
    target: str
    edges: tuple[Edge, ...]
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Graph:
    """The whole content.

    Attributes:
        title: The first line.
        facts: The second line: what came out.
        blocks: Each after those that it reads.
        bundles: Between them.
        notes: What a reader has to know, below the picture.
        measure: What the width of edges means; empty where all are ribbons.
    """

    title: str
    facts: str
    blocks: tuple[Block, ...]
    bundles: tuple[Bundle, ...]
    notes: tuple[str, ...] = ()
    measure: str = ""
