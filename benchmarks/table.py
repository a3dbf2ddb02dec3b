"""The rows of the table: goals, findings and results."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.lab import Lab
from benchmarks.needs import Need


@dataclass(frozen=True, kw_only=True, slots=True)
class Goal:
    """The goal of one figure.

    Attributes:
        title: The two things that are compared.
        wanted: The figure to reach.
        at_most: Whether less is better.
        unit: `x` for a ratio of two figures of one run, or the unit.
    """

    title: str
    wanted: float
    at_most: bool = False
    unit: str = "x"

    def reached(self, value: float) -> bool:
        """Return whether a figure reaches the goal."""
        return value <= self.wanted if self.at_most else value >= self.wanted


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One figure of one round.

    Attributes:
        value: The figure in the goal's unit.
        figures: The figures that it was computed from, by names that end in their unit.
    """

    value: float
    figures: Mapping[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A row of the table, or several that are measured together.

    Attributes:
        number: Its number, for `--rows`.
        goals: The goals by key; a single goal has the key "".
        measure: Measures one round; returns a finding for each goal.
        needs: Programs and packages that must be installed.
    """

    number: int
    goals: Mapping[str, Goal]
    measure: Callable[[Lab], Mapping[str, Finding]]
    needs: Sequence[Need] = ()


@dataclass(kw_only=True, slots=True)
class Result:
    """The findings of all rounds for one goal.

    Attributes:
        row: The row's number.
        key: The key of the goal.
        goal: The goal.
        findings: One for each round.
        skipped: Why there are no findings, or "".
    """

    row: int
    key: str
    goal: Goal
    findings: list[Finding] = field(default_factory=list)
    skipped: str = ""

    @property
    def values(self) -> list[float]:
        """The figure of each round."""
        return [finding.value for finding in self.findings]

    @property
    def median(self) -> float:
        """The median of the rounds."""
        return median(self.values)

    @property
    def verdict(self) -> str:
        """`reached` or `missed`, with `?` at the end if rounds disagree."""
        sure = len({self.goal.reached(value) for value in self.values}) == 1
        return ("reached" if self.goal.reached(self.median) else "missed") + ("" if sure else "?")


def ratio(above: float, below: float, **figures: float) -> Finding:
    """Return the finding of one figure divided by another."""
    return Finding(value=above / below, figures=figures)
