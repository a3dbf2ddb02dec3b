"""The ONNX form of a network: a graph of standard operators, and what computes such graphs."""

from forwardpass.onnx_form.packages import imported
from forwardpass.onnx_form.running import Runner, computed_by, runner
from forwardpass.onnx_form.writing import METADATA, fill_values, groups_of, write

__all__ = ["METADATA", "Runner", "computed_by", "fill_values", "groups_of", "imported", "runner", "write"]
