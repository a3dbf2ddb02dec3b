"""The weights of a model: datasets of an HDF5 file by their paths.

The declared shape of each dataset is checked before it is read. Links and datasets in other files are never
followed.
"""

import io
from math import prod
from typing import Any, Final

import numpy as np

from forwardpass.importers.unsupported import UnsupportedError, UnsupportedModelError
from forwardpass.spec.limits import DEFAULT_LIMITS
from forwardpass.tensors import Array

_SIZES: Final = (2, 4, 8)
"""Bytes of the numbers that are read."""


def import_h5py() -> Any:
    """Return h5py.

    Raises:
        UnsupportedModelError: It is not installed.
    """
    try:
        import h5py  # noqa: PLC0415 - an optional dependency
    except ImportError as error:
        message = "h5py, which reads the weights of Keras's files, is not installed: pip install 'forwardpass[keras]'"
        raise UnsupportedModelError(message) from error
    return h5py


class Weights:
    """The variables of a file.

    Raises:
        UnsupportedModelError: The content is no HDF5 file, or h5py, which reads it, is not installed.
    """

    def __init__(self, content: bytes) -> None:
        h5py = import_h5py()
        self._links: Any = (h5py.SoftLink, h5py.ExternalLink)
        self._group: Any = h5py.Group
        self._dataset: Any = h5py.Dataset
        self._numbers = 0
        try:
            self._file: Any = h5py.File(io.BytesIO(content), "r")
        except (OSError, ValueError, RuntimeError) as error:
            raise UnsupportedModelError(f"model.weights.h5 is no HDF5 file: {error}") from error

    def of(self, path: str, layer: str | None) -> list[Array]:
        """Return the variables of a layer in order, in float64.

        Args:
            path: The path of the layer, for example `layers/dense`.
            layer: The name of the layer, with which the file must agree where it has names; None for one within
                another layer, whose name nothing refers to.

        Raises:
            UnsupportedError: The variables are absent, belong to another layer, or cannot be read.
        """
        try:
            group = self._at(f"{path}/vars")
            name = group.attrs.get("name", layer)
            if layer is not None and name != layer:
                raise UnsupportedError(f"has its weights at {path}, where the file has those of {name!r}")
            return [self._read(group, str(index)) for index in range(len(group))]
        except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
            raise UnsupportedError(f"has weights at {path} that cannot be read: {error}") from error

    def _at(self, path: str) -> Any:
        found = self._file
        for part in path.split("/"):
            if part not in found:
                raise UnsupportedError(f"has no weights: the file has nothing at {path}")
            if isinstance(found.get(part, getlink=True), self._links):
                raise UnsupportedError(f"has weights at {path} that are a link to elsewhere, which is not followed")
            found = found[part]
            if not isinstance(found, self._group):
                raise UnsupportedError(f"has no weights: the file has no group at {path}")
        return found

    def _read(self, group: Any, name: str) -> Array:
        if name not in group:
            raise UnsupportedError(f"has no variable {name} in the file")
        if isinstance(group.get(name, getlink=True), self._links):
            raise UnsupportedError(f"has a variable {name} that is a link to elsewhere, which is not followed")
        found = group[name]
        if not isinstance(found, self._dataset) or found.is_virtual or found.external:
            raise UnsupportedError(f"has a variable {name} whose numbers are in other files, which are not read")
        if found.dtype.kind not in "fiu" or found.dtype.itemsize not in _SIZES:
            raise UnsupportedError(f"has a variable {name} of {found.dtype}; float32 or float64 is needed")
        self._numbers += prod(found.shape)
        if self._numbers > DEFAULT_LIMITS.max_parameters:
            raise UnsupportedError(
                f"has a variable {name} with which there are more than {DEFAULT_LIMITS.max_parameters:,}"
            )
        numbers: Array = np.asarray(found[()]).astype(np.float64)
        return numbers
