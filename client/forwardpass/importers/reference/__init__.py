"""A plain pass through a spec's layers, by the formulas as textbooks have them.

It shares no line with the server's core, so that the two prove one another: an import compares the framework with
this, and the server computes the spec's examples, which are the framework's numbers.
"""

from forwardpass.importers.reference.functions import FUNCTIONS
from forwardpass.importers.reference.walk import compute

__all__ = ["FUNCTIONS", "compute"]
