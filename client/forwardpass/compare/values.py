"""What a comparison found, as frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class SpecDifference:
    """Something that two versions say differently.

    Attributes:
        path: What it is, for example `layers.hidden.activation`.
        first: What the first version says, empty where it says nothing.
        second: What the second one says.
    """

    path: str
    first: str
    second: str


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputDifference:
    """How one output differs over all rows.

    Attributes:
        name: The output's name in the first version.
        absolute: The largest difference.
        relative: The largest difference in proportion to the larger of the two numbers.
        beyond: In how many rows it differs by more than the tolerance allows.
    """

    name: str
    absolute: float
    relative: float
    beyond: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Relabeled:
    """Rows to which the first version gives one label and the second another.

    Attributes:
        first: The label of the first version.
        second: The label of the second one.
        rows: How many such rows there are.
    """

    first: str
    second: str
    rows: int


@dataclass(frozen=True, kw_only=True, slots=True)
class WorstRow:
    """A row on which the versions disagree.

    Attributes:
        row: Its index, from 0.
        output: The output that differs most.
        absolute: By how much.
        inputs: The row, by the names of the inputs.
        first: The outputs of the first version, by name.
        second: Those of the second one, by the same names.
        labels: The two labels, or empty when the network is no classifier.
    """

    row: int
    output: str
    absolute: float
    inputs: Mapping[str, object]
    first: Mapping[str, float]
    second: Mapping[str, float]
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Where two versions of a network disagree.

    Attributes:
        network: The network's name.
        first: The number of the first version.
        second: That of the second one.
        tolerance: A difference is accepted up to this much times `max(1, |number of the first version|)`.
        spec: What they say differently.
        obstacle: Why no rows could be compared; empty where they were.
        rows: How many rows were compared.
        rows_beyond: In how many of them some output differs by more than the tolerance allows.
        rows_relabeled: How many of them have another label.
        outputs: How each output differs that both have.
        relabeled: Which labels became which others, the most frequent change first.
        worst: The rows that differ most, the worst first.
    """

    network: str
    first: int
    second: int
    tolerance: float
    spec: tuple[SpecDifference, ...]
    obstacle: str = ""
    rows: int = 0
    rows_beyond: int = 0
    rows_relabeled: int = 0
    outputs: tuple[OutputDifference, ...] = ()
    relabeled: tuple[Relabeled, ...] = ()
    worst: tuple[WorstRow, ...] = ()

    @property
    def agree(self) -> bool:
        """Whether both compute the same: every number within the tolerance, and every label."""
        return not (self.obstacle or self.rows_beyond or self.rows_relabeled)
