"""Exports a network to a file format, by the suffix of the file."""

from collections.abc import Callable, Mapping
from pathlib import PurePath
from types import MappingProxyType
from typing import Final

from forwardpass.errors import Fault, InvalidFieldError
from forwardpass.exporters import numpy_file, onnx
from forwardpass.spec import NetworkSpec, to_json, to_safetensors

EXPORTERS: Final[Mapping[str, Callable[[NetworkSpec], bytes]]] = MappingProxyType(
    {
        ".json": lambda spec: to_json(spec).encode(),
        ".onnx": lambda spec: onnx.export(spec).SerializeToString(),
        ".py": numpy_file.write,
        ".safetensors": to_safetensors,
    }
)
"""The writer of each file format, by suffix."""


def export(spec: NetworkSpec, path: str) -> bytes:
    """Return a network as the content of a file of this name; nothing is written.

    Raises:
        InvalidFieldError: No file format has this suffix.
        ForwardpassError: The file format cannot express the network.
    """
    write = EXPORTERS.get(PurePath(path).suffix.lower())
    if write is None:
        message = f"is no file that a network can become; its name must end in {', '.join(EXPORTERS)}"
        raise InvalidFieldError(f"{path} {message}", faults=[Fault(path=path, message=message)])
    return write(spec)
