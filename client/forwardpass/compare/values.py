"""The results of a comparison, as frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class SpecDifference:
    """A difference of two specs.

    Attributes:
        path: The path of the fact, for example `layers.hidden.activation`.
        first: The fact in the first version, or empty.
        second: The fact in the second version, or empty.
    """

    path: str
    first: str
    second: str


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputDifference:
    """The difference of one output over all rows.

    Attributes:
        name: The output's name in the first version.
        absolute: The largest difference.
        relative: The largest difference relative to the larger of the two numbers.
        beyond: The number of rows in which it differs by more than the tolerance.
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
        rows: The number of such rows.
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
        absolute: The size of that difference.
        inputs: The row, by the names of the inputs.
        first: The outputs of the first version, by name.
        second: The outputs of the second version, by the same names.
        labels: The two labels, or empty if the network is no classifier.
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
    """The comparison of two versions of a network.

    Attributes:
        network: The network's name.
        first: The number of the first version.
        second: The number of the second version.
        tolerance: A difference is accepted up to this much times `max(1, |number of the first version|)`.
        spec: The differences of the specs.
        obstacle: Why no rows were compared, or empty.
        rows: The number of compared rows.
        rows_beyond: The number of rows with a difference beyond the tolerance.
        rows_relabeled: The number of rows with another label.
        outputs: The difference of each output that both versions have.
        relabeled: The changes of labels, the most frequent first.
        worst: The rows that differ most, the largest difference first.
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
        """Whether both versions agree: every number within the tolerance, and every label."""
        return not (self.obstacle or self.rows_beyond or self.rows_relabeled)
