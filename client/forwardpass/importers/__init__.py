"""Importers: models of other frameworks become networks, each with a certificate that both compute the same.

This package imports no framework; a caller with a model has imported that framework already.
"""

from forwardpass.importers.certificate import Certificate, content_digest
from forwardpass.importers.importer import import_model
from forwardpass.importers.model_loader import load_object
from forwardpass.importers.parity import Imported, ParityError
from forwardpass.importers.pytorch import load_weights
from forwardpass.importers.unsupported import UnsupportedModelError

__all__ = [
    "Certificate",
    "Imported",
    "ParityError",
    "UnsupportedModelError",
    "content_digest",
    "import_model",
    "load_object",
    "load_weights",
]
