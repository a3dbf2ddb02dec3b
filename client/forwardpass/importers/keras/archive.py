"""A `.keras` file: a zip archive with the model as JSON, its weights as HDF5, and vocabularies as text.

Declared sizes are checked before anything is unpacked, and nothing beyond a declared size is read.
Format: https://keras.io/guides/serialization_and_saving.
"""

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Final

from forwardpass.importers.unsupported import UnsupportedModelError, unsupported_model
from forwardpass.spec.limits import DEFAULT_LIMITS

CONFIG: Final = "config.json"
METADATA: Final = "metadata.json"
WEIGHTS: Final = "model.weights.h5"
_ASSETS: Final = "assets/"
_MAX_MEMBERS: Final = 1_000
_MAX_CONTAINERS: Final = 131_072
"""Lists and objects in a JSON text; a layer has about twenty."""
_DEEPEST: Final = 200
_HDF5: Final = b"\x89HDF\r\n\x1a\n"
"""The first bytes of a file of HDF5."""
_DAMAGED: Final = (
    *(EOFError, NotImplementedError, OSError, RuntimeError, ValueError),
    *(struct.error, zipfile.BadZipFile, zlib.error),
)
"""What zipfile raises for archives that are damaged, or made to look so: OSError where an offset is before the file."""
_STORED: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_MAX_TEXT: Final = DEFAULT_LIMITS.max_header_bytes
_MAX_BYTES: Final = DEFAULT_LIMITS.max_network_bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Archive:
    """The content of a `.keras` file.

    Attributes:
        path: The file.
        version: The version of Keras that wrote it.
        config: The model, as `keras.saving.deserialize_keras_object` takes it.
        weights: The content of the HDF5 file.
        assets: Further files by path, vocabularies among them.
    """

    path: Path
    version: str
    config: Mapping[str, Any]
    weights: bytes = field(repr=False)
    assets: Mapping[str, bytes] = field(repr=False)


def open_archive(path: str | PathLike[str]) -> Archive:
    """Read a file.

    Raises:
        OSError: The file cannot be read.
        UnsupportedModelError: It is no `.keras` file, or too large.
    """
    file = Path(path)
    if _is_hdf5(file):
        raise unsupported_model(
            file.name,
            "is a file of HDF5 in spite of its name; rename it to FILE.h5, and import that",
        )
    try:
        with zipfile.ZipFile(file) as archive:
            members = _members(archive)
            missing = [name for name in (CONFIG, METADATA, WEIGHTS) if name not in members]
            if missing:
                raise unsupported_model(file.name, f"has no {missing[0]}, so it is no model that Keras 3 saved")
            metadata = parse_object(archive.read(METADATA), METADATA)
            return Archive(
                path=file,
                version=str(metadata.get("keras_version", "")),
                config=parse_object(archive.read(CONFIG), CONFIG),
                weights=archive.read(WEIGHTS),
                assets={name: archive.read(name) for name in members if name.startswith(_ASSETS)},
            )
    except UnsupportedModelError:
        raise
    except _DAMAGED as error:
        raise unsupported_model(file.name, f"is no archive that can be read: {error}") from error


def _is_hdf5(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(len(_HDF5)) == _HDF5


def _members(archive: zipfile.ZipFile) -> Mapping[str, zipfile.ZipInfo]:
    """Return the members by name, after their declared sizes were checked."""
    members = archive.infolist()
    if len(members) > _MAX_MEMBERS:
        raise unsupported_model("the archive", f"has {len(members):,} members; at most {_MAX_MEMBERS:,} are allowed")
    by_name = {member.filename: member for member in members}
    if len(by_name) < len(members):
        raise unsupported_model("the archive", "has two members of one name")
    for name, member in by_name.items():
        most = _MAX_BYTES if name == WEIGHTS else _MAX_TEXT
        if member.file_size > most:
            raise unsupported_model(name, f"has {member.file_size:,} bytes unpacked; at most {most:,} are allowed")
        if member.compress_type not in _STORED:
            raise unsupported_model(name, "is packed in a way that Keras does not use")
    total = sum(member.file_size for member in members)
    if total > _MAX_BYTES:
        raise unsupported_model("the archive", f"has {total:,} bytes unpacked; at most {_MAX_BYTES:,} are allowed")
    return by_name


def parse_object(text: bytes, name: str) -> Mapping[str, Any]:
    """Read a JSON object, if it is neither too large nor nested too deeply.

    Raises:
        UnsupportedModelError: It is.
    """
    if text.count(b"[") + text.count(b"{") > _MAX_CONTAINERS:
        raise unsupported_model(name, f"has more than {_MAX_CONTAINERS:,} lists and objects")
    try:
        value = json.load(io.BytesIO(text))
    except (ValueError, RecursionError) as error:
        raise unsupported_model(name, f"is not JSON: {error}") from error
    if not isinstance(value, dict) or _depth(value) > _DEEPEST:
        raise unsupported_model(name, "is no object, or is nested too deeply")
    return value


def _depth(value: Any) -> int:
    """Return the depth of a JSON value, counted up to the limit."""
    level, depth = [value], 0
    while level and depth <= _DEEPEST:
        depth += 1
        parts = (part for one in level for part in (one.values() if isinstance(one, dict) else one))
        level = [part for part in parts if isinstance(part, dict | list)]
    return depth
