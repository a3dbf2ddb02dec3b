"""Models of other frameworks as networks, each with a certificate that both compute the same.

No framework is needed to import this; a model's own is there already.
"""

from forwardpass.importers.certificate import Certificate, content_digest
from forwardpass.importers.errors import ParityError, UnsupportedModelError
from forwardpass.importers.importing import import_model
from forwardpass.importers.loading import load_object
from forwardpass.importers.parity import Imported
from forwardpass.importers.pytorch import load_weights

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
