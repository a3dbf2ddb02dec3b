"""The Keras 3 front end: Sequential and functional models, as objects or from `.keras` and `.h5` files.

A file is an archive of JSON and numbers, and nothing in it is run. The name of a class in Keras's own modules
decides how a layer is read, so that a Lambda or a custom class is rejected with its place.
"""

from forwardpass.importers.keras.frontend import load_model, read
from forwardpass.importers.keras.hdf5 import load_hdf5

__all__ = ["load_hdf5", "load_model", "read"]
