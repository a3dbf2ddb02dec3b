"""Bounds the number of fields of a serialized model, before protobuf parses it.

Protobuf makes an object for each field of a message, a hundred times the size of its two bytes. So fields are
counted first, by tags and lengths alone (https://protobuf.dev/programming-guides/encoding/).
"""

from collections.abc import Mapping
from mmap import mmap
from types import MappingProxyType
from typing import Final

import numpy as np

from forwardpass.importers.unsupported import UnsupportedError

MAX_PARTS: Final = 60_000
"""The largest number of fields in all messages of a model; repeated numbers side by side count as one."""

_MESSAGES: Final[Mapping[str, Mapping[int, str]]] = MappingProxyType(
    {
        "Model": {7: "Graph", 8: "Leaf", 14: "Leaf", 20: "Training", 25: "PendingFunction", 26: "Leaf"},
        "Training": {1: "Graph", 2: "Graph", 3: "Leaf", 4: "Leaf"},
        "PendingFunction": {7: "Node", 9: "Leaf", 11: "Attribute", 12: "Value", 14: "Leaf"},
        "Graph": {
            1: "Node",
            5: "Tensor",
            11: "Value",
            12: "Value",
            13: "Value",
            14: "Annotation",
            15: "Sparse",
            16: "Leaf",
        },
        "Annotation": {2: "Leaf"},
        "Sparse": {1: "Tensor", 2: "Tensor"},
        "Node": {5: "Attribute", 9: "Leaf", 10: "Devices"},
        "Devices": {2: "Sharding"},
        "Sharding": {3: "Leaf", 4: "Sharded"},
        "Sharded": {2: "Leaf"},
        "Attribute": {
            5: "Tensor",
            6: "Graph",
            10: "Tensor",
            11: "Graph",
            14: "Type",
            15: "Type",
            22: "Sparse",
            23: "Sparse",
        },
        "Tensor": {3: "Leaf", 13: "Leaf", 16: "Leaf"},
        "Value": {2: "Type", 4: "Leaf"},
        "Type": {1: "TensorType", 4: "Sequence", 5: "Map", 8: "TensorType", 9: "Sequence"},
        "TensorType": {2: "Shape"},
        "Shape": {1: "Leaf"},
        "Sequence": {1: "Type"},
        "Map": {2: "Type"},
        "Leaf": {},
    }
)
"""The fields of each message of onnx.proto that are messages, by field number."""

_PACKED: Final[Mapping[str, frozenset[int]]] = MappingProxyType(
    {"Tensor": frozenset({5, 7, 11}), "Attribute": frozenset({8})}
)
"""Fields of packed integers, which take one byte each in the file and eight in memory."""

_NUMBERS_OF_A_PART: Final = 64
_DEPTH: Final = 24


def check_field_count(data: bytes | mmap) -> None:
    """Count the fields of a serialized `ModelProto`.

    Raises:
        UnsupportedError: There are too many, they are nested too deeply, or the bytes are no such message.
    """
    view = memoryview(data)
    left = MAX_PARTS
    stack: list[tuple[str, int, int, int]] = [("Model", 0, len(view), 0)]
    while stack:
        kind, start, end, depth = stack.pop()
        if depth > _DEPTH:
            raise UnsupportedError(f"has graphs in graphs, more than {_DEPTH} messages deep")
        messages, packed = _MESSAGES[kind], _PACKED.get(kind, ())
        while start < end:
            tag, start = _varint(view, start, end)
            field, form = tag >> 3, tag & 7
            size, start = _length(view, start, end) if form == 2 else (0, start)
            left -= 1 + (size // _NUMBERS_OF_A_PART if field in packed else 0)
            if left < 0:
                raise UnsupportedError(f"has more than {MAX_PARTS:,} parts; a network of layers needs far fewer")
            if form == 2:
                if field in messages:
                    stack.append((messages[field], start, start + size, depth + 1))
                start += size
            elif form == 0:
                _, start = _varint(view, start, end)
            elif form in _FIXED:
                start = _after_run(view, start, end, tag, _FIXED[form])
            else:
                raise UnsupportedError("is no ONNX model: its bytes are no protobuf message")


_FIXED: Final[Mapping[int, int]] = MappingProxyType({1: 8, 5: 4})
"""The size of numbers of a fixed size, by wire type."""


def _after_run(view: "memoryview[int]", start: int, end: int, tag: int, size: int) -> int:
    """Return the end of a run of fixed-size numbers of one field, as lists of floats are written."""
    if start + size > end:
        raise UnsupportedError("ends in the middle of a number; the file is cut off, or no ONNX model")
    count = (end - start - size) // (size + 1)
    tags = np.frombuffer(view[start + size : end], np.uint8)[:: size + 1][:count]
    others = np.flatnonzero(tags != tag)
    return start + size + (size + 1) * int(others[0] if len(others) else count)


def _length(view: "memoryview[int]", start: int, end: int) -> tuple[int, int]:
    """Return the size of a field and its start."""
    size, start = _varint(view, start, end)
    if size > end - start:
        raise UnsupportedError("ends in the middle of a part; the file is cut off, or no ONNX model")
    return size, start


def _varint(view: "memoryview[int]", start: int, end: int) -> tuple[int, int]:
    number = shift = 0
    while start < end and shift < 70:
        byte = view[start]
        start += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, start
        shift += 7
    raise UnsupportedError("ends in the middle of a number; the file is cut off, or no ONNX model")
