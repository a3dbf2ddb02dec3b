"""Compares two versions of a network: their specs, and their outputs for the same rows."""

from forwardpass.compare.comparison import compare
from forwardpass.compare.outputs import Comparer
from forwardpass.compare.specs import spec_differences
from forwardpass.compare.values import Comparison, OutputDifference, Relabeled, SpecDifference, WorstRow

__all__ = [
    "Comparer",
    "Comparison",
    "OutputDifference",
    "Relabeled",
    "SpecDifference",
    "WorstRow",
    "compare",
    "spec_differences",
]
