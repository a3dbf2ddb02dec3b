"""Read the safetensors container: every entry of the header is checked, and arrays are views of the bytes."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import numpy as np

from forwardpass.spec.faults import Faults, found, join
from forwardpass.spec.fields.numbers import Unreadable
from forwardpass.spec.forms.json_text import read_json
from forwardpass.spec.layers import ARRAYS
from forwardpass.spec.limits import Limits
from forwardpass.tensors import Array

METADATA: Final = "__metadata__"
"""The entry of the header that is not a tensor."""

_LENGTH: Final = 8
_TENSORS_OF_LAYER: Final = max(map(len, ARRAYS.values()))
_BF16: Final = "BF16"
_DTYPES: Final[Mapping[str, np.dtype[Any]]] = {
    "F16": np.dtype("<f2"),
    _BF16: np.dtype("<u2"),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Entry:
    """A tensor as the header declares it; each of its numbers is in range."""

    name: str
    code: str
    shape: tuple[int, ...]
    begin: int
    end: int


def read_tensors(
    content: memoryview, *, limits: Limits, faults: Faults
) -> tuple[Mapping[str, object] | None, Mapping[str, Array | Unreadable]]:
    """Read the metadata and tensors of a safetensors file.

    Returns:
        The metadata, None when the header cannot be read; and for each tensor a read-only view of the
        bytes, or an `Unreadable` where its entry is wrong, which a fault reports.
    """
    header = _read_header(content, limits, faults)
    if header is None:
        return None, {}
    metadata = header.pop(METADATA, {})
    if not isinstance(metadata, dict):
        faults.add(join("file", METADATA), f"is {found(metadata)}; must be an object")
        metadata = {}
    most = _TENSORS_OF_LAYER * limits.max_layers
    if len(header) > most:
        faults.add("file", f"has {len(header)} tensors; at most {most} are allowed")
        return None, {}
    data = content[_LENGTH + int.from_bytes(content[:_LENGTH], "little") :]
    tensors: dict[str, Array | Unreadable] = {}
    entries: list[_Entry] = []
    for name, value in header.items():
        entry = _read_entry(name, value, len(data), limits, faults)
        if isinstance(entry, _Entry):
            entries.append(entry)
            tensors[name] = _view(entry, data)
        else:
            tensors[name] = entry
    if len(entries) == len(header):
        _check_cover(entries, len(data), faults)
    return metadata, tensors


def _read_header(content: memoryview, limits: Limits, faults: Faults) -> dict[str, Any] | None:
    size = len(content)
    if size > limits.max_network_bytes:
        faults.add("file", f"has {size} bytes; at most {limits.max_network_bytes} are allowed (`max_network_bytes`)")
        return None
    if size < _LENGTH:
        faults.add("file", f"has {size} bytes; a safetensors file begins with 8 bytes that are its header's length")
        return None
    length = int.from_bytes(content[:_LENGTH], "little")
    if length > size - _LENGTH:
        faults.add(
            "file",
            f"is cut short, or no safetensors file: its header should have {length} bytes, {size - _LENGTH} are there",
        )
        return None
    if length > limits.max_header_bytes:
        faults.add("file", f"has a header of {length} bytes; at most {limits.max_header_bytes} are allowed")
        return None
    header = read_json(bytes(content[_LENGTH : _LENGTH + length]), limits=limits, faults=faults, path="file.header")
    if header is not None and not isinstance(header, dict):
        faults.add("file.header", f"is {found(header)}; must be an object")
        return None
    return header


def _read_entry(name: str, value: object, size: int, limits: Limits, faults: Faults) -> _Entry | Unreadable:
    path = join("file", name)
    if not isinstance(value, dict):
        faults.add(path, f"is {found(value)}; must be an object with dtype, shape and data_offsets")
        return Unreadable()
    shape = _sizes(value.get("shape"))
    offsets = _sizes(value.get("data_offsets"))
    code = value.get("dtype")
    known = isinstance(code, str) and code in _DTYPES
    if shape is None or not shape or len(shape) > 2 or 0 in shape:
        faults.add(f"{path}.shape", f"is {_shown(value.get('shape'))}; must be one or two integers, all above 0")
        shape = None
    if not known:
        faults.add(f"{path}.dtype", f"is {found(code)}; must be F32 or F64 (F16 and BF16 are converted)")
    if offsets is None or len(offsets) != 2:
        faults.add(
            f"{path}.data_offsets",
            f"is {_shown(value.get('data_offsets'))}; must be two integers, begin and end",
        )
    if shape is None or not known or offsets is None or len(offsets) != 2 or not isinstance(code, str):
        return Unreadable(shape=shape)
    begin, end = offsets
    needed = prod(shape) * _DTYPES[code].itemsize
    if not begin <= end <= size:
        faults.add(f"{path}.data_offsets", f"is [{begin}, {end}], but the file has {size} bytes of data")
    elif end - begin != needed:
        faults.add(f"{path}.data_offsets", f"spans {end - begin} bytes; shape {list(shape)} of {code} needs {needed}")
    elif prod(shape) > limits.max_parameters:
        # The sum over all layers is checked with the spec; this tensor is too large by itself.
        faults.add(
            path, f"has {prod(shape)} numbers; at most {limits.max_parameters} are allowed (`max_network_bytes`)"
        )
    else:
        return _Entry(name=name, code=code, shape=shape, begin=begin, end=end)
    return Unreadable(shape=shape)


def _sizes(value: object) -> tuple[int, ...] | None:
    """Return a list of integers that fit 64 bits as a tuple, or None for anything else."""
    if not isinstance(value, list) or len(value) > 64:
        return None
    if not all(isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 2**63 for number in value):
        return None
    return tuple(value)


def _shown(value: object) -> str:
    if isinstance(value, list) and len(value) <= 4:
        return f"[{', '.join(map(found, value))}]"
    return found(value)


def _view(entry: _Entry, data: memoryview) -> Array:
    raw = np.frombuffer(data[entry.begin : entry.end], _DTYPES[entry.code]).reshape(entry.shape)
    if entry.code == _BF16:
        # bfloat16 is the upper half of a float32.
        return (raw.astype(np.uint32) << 16).view(np.float32)
    return raw


def _check_cover(entries: list[_Entry], size: int, faults: Faults) -> None:
    """Report bytes that belong to two tensors, and bytes that belong to none."""
    reached = 0
    for entry in sorted(entries, key=lambda entry: (entry.begin, entry.end)):
        if entry.begin != reached:
            what = "overlap those of another tensor" if entry.begin < reached else "leave a gap before them"
            faults.add(join("file", entry.name, "data_offsets"), f"is [{entry.begin}, {entry.end}]; its bytes {what}")
        reached = max(reached, entry.end)
    if reached != size:
        faults.add("file", f"has {size} bytes of data; its tensors end at byte {reached}")
