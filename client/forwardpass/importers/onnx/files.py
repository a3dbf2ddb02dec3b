"""Loads ONNX files, with the tensors in files beside them, after their sizes were checked."""

import math
import mmap
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np

from forwardpass.errors import Fault
from forwardpass.importers.onnx.arrays import BFLOAT16, kind_of
from forwardpass.importers.onnx.protobuf_limits import check_field_count
from forwardpass.importers.onnx.utf8 import check_texts
from forwardpass.importers.unsupported import UnsupportedError, UnsupportedModelError
from forwardpass.onnx_form import import_package
from forwardpass.spec.limits import DEFAULT_LIMITS

MAX_BYTES: Final = DEFAULT_LIMITS.max_network_bytes + DEFAULT_LIMITS.max_header_bytes
"""The largest file, alone and with all files beside it."""

_EXTERNAL: Final = 1
"""The value of `TensorProto.data_location` for a tensor in another file."""


def load_model(path: str | PathLike[str]) -> Any:
    """Load an ONNX file, and its tensors in files beside it, as a `ModelProto`.

    Raises:
        UnsupportedModelError: It is no ONNX model, too large, names a file elsewhere, or cannot be read.
        MissingExtraError: onnx is not installed.
    """
    file = Path(path)
    try:
        return _load(file)
    except UnsupportedError as error:
        message = str(error)
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
    raise UnsupportedModelError(f"{file}: {message}", faults=[Fault(path=str(file), message=message)])


def _load(file: Path) -> Any:
    onnx = import_package("onnx")
    from google.protobuf.message import DecodeError  # noqa: PLC0415 - beside what it is needed for

    size = file.stat().st_size
    if not 0 < size <= MAX_BYTES:
        raise UnsupportedError(f"has {size:,} bytes; a model has at least one and at most {MAX_BYTES:,}")
    fault = ""
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        try:
            check_field_count(mapped)
        except UnsupportedError as error:  # its traceback keeps the mapping open
            fault = str(error)
        content = b"" if fault else mapped.read()
    if fault:
        raise UnsupportedError(fault)
    try:
        model = onnx.ModelProto.FromString(content)
    except DecodeError:
        raise UnsupportedError("is no ONNX model: its bytes are another message") from None
    check_texts(model)
    _bring_in(model, file.resolve().parent, MAX_BYTES - size)
    return model


def _bring_in(model: Any, folder: Path, room: int) -> None:
    """Load the tensors that are in other files."""
    for tensor in _tensors(model.graph):
        if tensor.data_location == _EXTERNAL:
            try:
                expected = _bytes_of(tensor)
                room -= expected
                tensor.raw_data = _read(tensor, folder, expected, room)
            except UnsupportedError as error:
                raise UnsupportedError(f"the tensor {tensor.name!r} {error}") from None
            tensor.data_location = 0
            del tensor.external_data[:]


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for node in graph.node:
        yield from (attribute.t for attribute in node.attribute if attribute.HasField("t"))


def _bytes_of(tensor: Any) -> int:
    kind = "uint16" if tensor.data_type == BFLOAT16 else kind_of(tensor.data_type)
    if kind == "str" or min(tensor.dims, default=0) < 0:
        raise UnsupportedError("has texts, or a shape that is invalid, in another file")
    return int(math.prod(tensor.dims)) * np.dtype(kind).itemsize


def _read(tensor: Any, folder: Path, expected: int, room: int) -> bytes:
    """Read the bytes of a tensor from a file in the model's folder; symbolic links must not lead out of it."""
    if room < 0:
        raise UnsupportedError(f"is too much: with all numbers, at most {MAX_BYTES:,} bytes are allowed")
    facts: dict[str, str] = {entry.key: entry.value for entry in tensor.external_data}
    location = facts.get("location", "")
    try:
        file = (folder / location).resolve()
    except (OSError, ValueError, RuntimeError):
        raise UnsupportedError(f"needs the file {location!r}, which has no such path") from None
    if not location or Path(location).is_absolute() or not file.is_relative_to(folder) or file == folder:
        raise UnsupportedError(f"needs the file {location!r}; only files in the model's own folder are read")
    try:
        offset, length = int(facts.get("offset", 0)), int(facts.get("length", expected))
        if not file.is_file() or offset < 0 or length != expected or offset + length > file.stat().st_size:
            raise UnsupportedError(f"needs {expected:,} bytes of {location!r} from {offset:,} on, which are not there")
        with file.open("rb") as opened:
            opened.seek(offset)
            return opened.read(length)
    except ValueError:
        raise UnsupportedError(f"needs bytes of {location!r} from an offset that is not a number") from None
    except OSError as error:
        raise UnsupportedError(f"needs the file {location!r}, which cannot be read: {error.strerror}") from None
