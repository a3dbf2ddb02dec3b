"""The inputs of a request as a matrix in the dtype of the network: read in any form, checked in one."""

from forwardpass_server.serving.inputs.checks import CheckedInputs, InputWarnings, Origin, check_omitted, matrix_origin
from forwardpass_server.serving.inputs.matrix import check_inputs, overflows, read_inputs

__all__ = [
    "CheckedInputs",
    "InputWarnings",
    "Origin",
    "check_inputs",
    "check_omitted",
    "matrix_origin",
    "overflows",
    "read_inputs",
]
