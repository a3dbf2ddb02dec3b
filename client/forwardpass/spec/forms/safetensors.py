"""The safetensors form: the canonical content of a network, and its digest.

A safetensors file is 8 bytes of header length (little-endian), a JSON header, and the tensors' bytes
(https://huggingface.co/docs/safetensors). Ours has the tensors `<layer>.weights`, `<layer>.bias` and so on in the
order of layers and of `ARRAYS`, and in the header's `__metadata__` the spec's canonical JSON without them. Keys are
sorted, floats have their shortest form, and the header is padded with spaces to a multiple of 8, so that
equal specs are equal bytes. The sign of a zero weight is kept; all other zeros are positive.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from forwardpass.spec.faults import Faults, found, join, quoted
from forwardpass.spec.fields.document import FORMAT
from forwardpass.spec.fields.numbers import Unreadable
from forwardpass.spec.forms.json_document import to_document
from forwardpass.spec.forms.json_text import read_json
from forwardpass.spec.forms.tensor_file import METADATA, read_tensors
from forwardpass.spec.layers import ARRAYS, kind_of
from forwardpass.spec.limits import DEFAULT_LIMITS, Limits
from forwardpass.spec.network import NetworkSpec
from forwardpass.spec.parsing import read
from forwardpass.tensors import Array

_CODES: Final = {"float32": "F32", "float64": "F64"}
_CHUNK_BYTES: Final = 2**20
"""The most bytes that are copied at once, since a copy blocks other threads."""


def to_safetensors(spec: NetworkSpec) -> bytes:
    """Return the canonical content of a spec: equal specs give equal bytes, on every machine."""
    return b"".join(_parts(spec))


def digest(spec: NetworkSpec) -> str:
    """Return the SHA-256 of the canonical content, 64 hexadecimal digits."""
    sha = hashlib.sha256()
    for part in _parts(spec):
        sha.update(part)
    return sha.hexdigest()


def from_safetensors(data: bytes | bytearray | memoryview, *, limits: Limits = DEFAULT_LIMITS) -> NetworkSpec:
    """Read a spec from the bytes of a safetensors file, which any program may have written.

    Tensors of the spec's dtype are not copied: the spec keeps `data` alive. Others (F16, BF16, F32,
    F64) are converted if the network's dtype can hold their numbers exactly.

    Raises:
        InvalidNetworkError: The file or its spec is not valid; `faults` has every fault.
    """
    content = memoryview(data if isinstance(data, bytes) else bytes(data))
    faults = Faults()
    metadata, tensors = read_tensors(content, limits=limits, faults=faults)
    document = _read_document(metadata, limits=limits, faults=faults)
    if not isinstance(document, dict):
        raise faults.error()
    return read(_filled(document, tensors, faults), limits=limits, faults=faults)


def read_description(content: bytes) -> str:
    """Read the description in a canonical content, and nothing else: for a caller that has verified its digest.

    Raises:
        ValueError: The content has no header of JSON.
        LookupError: The header has no spec.
        TypeError: The header or the spec has another form.
    """
    end = 8 + int.from_bytes(content[:8], "little")
    document = json.loads(json.loads(content[8:end])[METADATA]["spec"])
    return str(document.get("description", ""))


def _parts(spec: NetworkSpec) -> Iterator[bytes]:
    canonical = json.dumps(to_document(spec, numbers=False), sort_keys=True, separators=(",", ":"), allow_nan=False)
    header: dict[str, Any] = {METADATA: {"format": FORMAT, "spec": canonical}}
    arrays: list[Array] = []
    offset = 0
    for layer in spec.layers:
        for name, array in layer.arrays.items():
            end = offset + array.nbytes
            header[f"{layer.name}.{name}"] = {
                "dtype": _CODES[spec.dtype],
                "shape": list(array.shape),
                "data_offsets": [offset, end],
            }
            offset = end
            arrays.append(array)
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little")
    yield text
    for array in arrays:
        whole = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data.cast("B")
        for start in range(0, len(whole), _CHUNK_BYTES):
            yield bytes(whole[start : start + _CHUNK_BYTES])


def _read_document(metadata: Mapping[str, object] | None, *, limits: Limits, faults: Faults) -> object:
    if metadata is None:
        return None
    kind = metadata.get("format")
    if kind != FORMAT:
        faults.add(
            "file.__metadata__.format",
            f'is {"missing" if kind is None else found(kind)}; must be "{FORMAT}". Save the network with '
            "`forwardpass.spec.to_safetensors`: a file of tensors alone does not say how they are layers",
        )
    text = metadata.get("spec")
    if not isinstance(text, str):
        faults.add("file.__metadata__.spec", "is missing; must be the spec's JSON without the layers' arrays")
        return None
    document = read_json(text, limits=limits, faults=faults)
    if document is not None and not isinstance(document, dict):
        faults.add("spec", f"is {found(document)}; must be an object")
    return document


def _filled(document: dict[str, Any], tensors: Mapping[str, Array | Unreadable], faults: Faults) -> dict[str, Any]:
    """Put each tensor in its layer."""
    left = dict(tensors)
    layers = document.get("layers")
    filled: list[object] = []
    for index, layer in enumerate(layers if isinstance(layers, list) else []):
        if not isinstance(layer, dict):
            filled.append(layer)
            continue
        name = layer.get("name", f"layer_{index}")
        whole = dict(layer)
        for key in ARRAYS.get(str(kind_of(layer)), ()):
            tensor = left.pop(f"{name}.{key}", None) if isinstance(name, str) else None
            path = join("spec", "layers", index, key)
            if key in layer:
                faults.add(path, f"must not be in the spec's JSON, but be the tensor {quoted(f'{name}.{key}')}")
            if tensor is not None:
                whole[key] = _exact(path, tensor, document.get("dtype", "float64"), faults)
            elif key == "weights" and key not in layer:
                whole[key] = Unreadable()
                faults.add(path, f"the file has no tensor {quoted(f'{name}.weights')}")
        filled.append(whole)
    known = [
        f"{layer.get('name')}.{key}"
        for layer in filled
        if isinstance(layer, dict)
        for key in ARRAYS.get(str(kind_of(layer)), ())
    ]
    for name in left:
        faults.add(join("file", name), f"no layer has this tensor{faults.suggest(name, known)}")
    return {**document, "layers": filled} if isinstance(layers, list) else document


def _exact(path: str, tensor: Array | Unreadable, dtype: object, faults: Faults) -> Array | Unreadable:
    """Convert float64 to float32 where no digit is lost; report it elsewhere."""
    if isinstance(tensor, Unreadable) or dtype != "float32" or tensor.dtype != np.float64:
        return tensor
    with np.errstate(over="ignore", invalid="ignore"):
        narrow = tensor.astype(np.float32)
    if np.array_equal(narrow.astype(np.float64), tensor):
        return narrow
    faults.add(
        path,
        "is float64 with digits that float32 cannot hold; convert the tensor, or make the spec's dtype float64",
    )
    return Unreadable(shape=tensor.shape)
