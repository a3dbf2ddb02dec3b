"""The ONNX form of a network: a graph of standard operators, and what computes such graphs."""

from forwardpass.onnx_form.packages import imported
from forwardpass.onnx_form.running import Runner, computed_by, runner
from forwardpass.onnx_form.writing import METADATA, groups_of, stand_ins, write

__all__ = ["METADATA", "Runner", "computed_by", "groups_of", "imported", "runner", "stand_ins", "write"]
