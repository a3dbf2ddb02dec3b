"""Networks as ONNX models of standard operators; importing such a file gives the same network, bit for bit."""

from forwardpass.exporters.onnx.proving import export
from forwardpass.exporters.onnx.writing import write

__all__ = ["export", "write"]
