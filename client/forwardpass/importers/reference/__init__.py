"""The reference: computes a spec in plain numpy, by the formulas of textbooks.

It shares no code with the server's core, so that each proves the other: an import compares the framework with this,
and the server checks the examples of the spec, which have the numbers of the framework.
"""

from forwardpass.importers.reference.functions import FUNCTIONS
from forwardpass.importers.reference.rounding import one_error, rounding_bounds, row_sizes
from forwardpass.importers.reference.walk import compute, rows_at_once

__all__ = ["FUNCTIONS", "compute", "one_error", "rounding_bounds", "row_sizes", "rows_at_once"]
