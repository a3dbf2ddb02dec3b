"""Where two versions of a network disagree: in what they say, and in what they compute of the same rows."""

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
