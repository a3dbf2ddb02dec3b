"""Reads Keras 3 models: Sequential and functional ones, as objects or from `.keras` files.

A file is an archive of JSON and numbers, and is read as such: nothing in it is ever run. A layer is known by its
class's name in Keras's own modules, so that a Lambda or a class of someone's own is refused with its place.
"""

from forwardpass.importers.keras.frontend import load_model, read

__all__ = ["load_model", "read"]
