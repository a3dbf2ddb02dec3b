"""Files of skops: fitted models of scikit-learn without pickle.

The package skops reads them, and makes objects only of types that it trusts by itself: those of scikit-learn, numpy and
scipy. Declared sizes are checked before it unpacks anything.
Format: https://skops.readthedocs.io/en/stable/persistence.html.
"""

import struct
import zipfile
import zlib
from collections.abc import Sequence
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any, Final

from forwardpass.importers.unsupported import UnsupportedModelError, unsupported_model
from forwardpass.spec.limits import DEFAULT_LIMITS

SCHEMA: Final = "schema.json"
_MAX_MEMBERS: Final = 10_000
_DAMAGED: Final = (
    *(EOFError, NotImplementedError, OSError, RuntimeError, ValueError),
    *(struct.error, zipfile.BadZipFile, zlib.error),
)
"""What zipfile raises for archives that are damaged."""
_MAX_SCHEMA: Final = DEFAULT_LIMITS.max_header_bytes
_MAX_CONTAINERS: Final = 131_072
"""Lists and objects in the schema; an estimator has about twenty."""
_MAX_BYTES: Final = DEFAULT_LIMITS.max_network_bytes


def load_model(path: str | PathLike[str]) -> Any:
    """Return the model of a `.skops` file.

    Raises:
        OSError: The file cannot be read.
        UnsupportedModelError: It is no file of skops, is too large, has a type that skops does not trust, or skops is
            not installed.
    """
    file = Path(path)
    try:
        skops = import_module("skops.io")
    except ModuleNotFoundError:
        raise unsupported_model(file.name, "is read by skops; run `pip install skops`") from None
    _check_sizes(file)
    try:
        untrusted = skops.get_untrusted_types(file=file)
        if not untrusted:
            return skops.load(file, trusted=[])
    except Exception as error:
        raise unsupported_model(file.name, f"cannot be read by skops: {error!r}") from error
    names = ", ".join(untrusted)
    raise unsupported_model(
        file.name,
        f"has types that may run any code: {names}; if you trust the file, write a module with "
        f"`model = skops.io.load(FILE, trusted=[...])`, and give it as MODULE:model",
    )


def _check_sizes(file: Path) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            _check_members(file.name, members)
            schema = archive.read(SCHEMA)
    except UnsupportedModelError:
        raise
    except _DAMAGED as error:
        raise unsupported_model(file.name, f"is no archive that can be read: {error}") from error
    if schema.count(b"[") + schema.count(b"{") > _MAX_CONTAINERS:
        raise unsupported_model(SCHEMA, f"has more than {_MAX_CONTAINERS:,} lists and objects")


def _check_members(name: str, members: Sequence[zipfile.ZipInfo]) -> None:
    sizes = {member.filename: member.file_size for member in members}
    if SCHEMA not in sizes:
        raise unsupported_model(name, f"has no {SCHEMA}, so it is no model that skops saved")
    if len(members) > _MAX_MEMBERS:
        raise unsupported_model(name, f"has {len(members):,} members; at most {_MAX_MEMBERS:,} are allowed")
    if sizes[SCHEMA] > _MAX_SCHEMA:
        raise unsupported_model(SCHEMA, f"has {sizes[SCHEMA]:,} bytes unpacked; at most {_MAX_SCHEMA:,} are allowed")
    total = sum(member.file_size for member in members)
    if total > _MAX_BYTES:
        raise unsupported_model(name, f"has {total:,} bytes unpacked; at most {_MAX_BYTES:,} are allowed")
