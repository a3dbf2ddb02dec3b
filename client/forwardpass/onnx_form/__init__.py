"""The ONNX form of a network: a graph of standard operators, and a runner of such graphs."""

from forwardpass.onnx_form.optional_packages import import_package
from forwardpass.onnx_form.runner import Runner, computed_by, runner
from forwardpass.onnx_form.writer import METADATA, fill_values, groups_of, write

__all__ = ["METADATA", "Runner", "computed_by", "fill_values", "groups_of", "import_package", "runner", "write"]
