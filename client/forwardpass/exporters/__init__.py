"""Exporters: networks as specs, as programs of plain numpy, and as ONNX models."""

from forwardpass.exporters.file_formats import EXPORTERS, export

__all__ = ["EXPORTERS", "export"]
