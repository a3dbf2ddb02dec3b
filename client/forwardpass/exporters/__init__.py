"""Networks as files: specs, and programs that need nothing of ours."""

from forwardpass.exporters.file_formats import EXPORTERS, export

__all__ = ["EXPORTERS", "export"]
