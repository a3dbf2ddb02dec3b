"""Networks as files: specs, and programs that need nothing of ours."""

from forwardpass.exporters.writing import EXPORTERS, export

__all__ = ["EXPORTERS", "export"]
