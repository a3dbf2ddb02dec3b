"""Models of other frameworks as networks, each with a certificate that both compute the same.

No framework is needed to import this; a model's own is there already.
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
