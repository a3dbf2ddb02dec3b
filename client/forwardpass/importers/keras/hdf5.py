"""A `.h5` file of Keras 2 or 3: the model as JSON in an attribute, and the weights as datasets.

Keras loads it, after every class in it was found to be one that is read. Code is only in a `Lambda`, which is none.
"""

import json
import shutil
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from forwardpass.importers.keras import runtime
from forwardpass.importers.keras.archive import parse_object
from forwardpass.importers.keras.model_config import MODELS, check_references
from forwardpass.importers.keras.model_reader import LAYERS, OPERATIONS
from forwardpass.importers.keras.unsupported import reason_for
from forwardpass.importers.keras.weights import import_h5py
from forwardpass.importers.unsupported import UnsupportedError, unsupported_model
from forwardpass.spec.limits import DEFAULT_LIMITS

_CONFIG: Final = "model_config"
_DEFAULT: Final = ("time_major", False)
"""A setting of recurrent layers, by which the steps would stand before the rows."""
_MAX_OBJECTS: Final = 16_384
"""Groups and datasets; a layer has about four."""
_SETTINGS: Final = frozenset(
    {
        *("Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Identity", "IdentityInitializer"),
        *("LecunNormal", "LecunUniform", "Ones", "Orthogonal", "OrthogonalInitializer", "RandomNormal"),
        *("RandomUniform", "TruncatedNormal", "VarianceScaling", "Zeros"),
        *("L1", "L1L2", "L2", "OrthogonalRegularizer", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm"),
        *("DTypePolicy", "Policy", "function", "InputLayer", "StackedRNNCells"),
        *("LSTMCell", "GRUCell", "SimpleRNNCell", "TensorShape"),
        *("__keras_tensor__", "__tensor__", "__numpy__", "__slice__", "__ellipsis__"),
    }
)
"""The classes within a layer's configuration that compute nothing else than the layers do."""

_OPERATION: Final = (
    "is an operation of keras.ops, which Keras does not load from a .h5 file; save the model as FILE.keras"
)


def load_hdf5(path: str | PathLike[str]) -> Any:
    """Load the model of a `.h5` file by Keras, after every class in it was found to be Keras's own.

    Raises:
        UnsupportedModelError: It is no such file, or something in it cannot be expressed or may run code.
    """
    h5py, file = import_h5py(), Path(path)
    try:
        size = file.stat().st_size
        with h5py.File(file, "r") as opened:
            stored = _check_content(h5py, opened, file.name, size)
            text = opened.attrs.get(_CONFIG)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise unsupported_model(file.name, f"is no file of HDF5 that can be read: {error}") from error
    if not isinstance(text, str | bytes):
        raise unsupported_model(
            file.name,
            "has no model, perhaps weights alone; write a module that builds the model and calls "
            "`model.load_weights(FILE)`, and give it as MODULE:model",
        )
    config = parse_object(text.encode() if isinstance(text, str) else text, _CONFIG)
    _check_classes(config)
    known = _without_defaults(config)
    runtime.check_weights(known, stored)
    if known == config:
        return runtime.load_file(file)
    with TemporaryDirectory() as folder:
        copy = Path(shutil.copy(file, Path(folder) / "model.h5"))
        with h5py.File(copy, "r+") as opened:
            opened.attrs[_CONFIG] = json.dumps(known)
        return runtime.load_file(copy)


def _without_defaults(config: Any) -> Any:
    """Return a configuration without the settings of Keras 2 that Keras 3 does not know, where they are the default."""
    if isinstance(config, dict):
        return {key: _without_defaults(part) for key, part in config.items() if (key, part) != _DEFAULT}
    return [_without_defaults(part) for part in config] if isinstance(config, list) else config


def _check_content(h5py: Any, opened: Any, name: str, size: int) -> int:
    """Reject links to elsewhere, numbers in other files, and sizes beyond the limits, before anything is read.

    Returns:
        How many numbers there are.
    """
    level, objects, numbers, stored, count = [opened], 0, 0, 0, 0
    seen: set[int] = set()
    while level:
        group = level.pop()
        for key in group:
            objects += 1
            if objects > _MAX_OBJECTS:
                raise unsupported_model(name, f"has more than {_MAX_OBJECTS:,} groups and datasets")
            if isinstance(group.get(key, getlink=True), h5py.SoftLink | h5py.ExternalLink):
                raise unsupported_model(f"{group.name}/{key}", "is a link to elsewhere, which is not followed")
            found = group[key]
            place = h5py.h5o.get_info(found.id).addr
            if place in seen:
                raise unsupported_model(found.name, "is in the file at another place too, as Keras never writes it")
            seen.add(place)
            if isinstance(found, h5py.Group):
                level.append(found)
                continue
            if not isinstance(found, h5py.Dataset) or found.is_virtual or found.external:
                raise unsupported_model(found.name, "has its numbers in other files, which are not read")
            numbers += found.nbytes
            count += found.size
            stored += found.id.get_storage_size()
    if numbers > DEFAULT_LIMITS.max_network_bytes:
        raise unsupported_model(
            name, f"has {numbers:,} bytes of numbers; at most {DEFAULT_LIMITS.max_network_bytes:,} are allowed"
        )
    if size - stored > DEFAULT_LIMITS.max_header_bytes:
        raise unsupported_model(
            name,
            f"has {size - stored:,} bytes beside its numbers; at most {DEFAULT_LIMITS.max_header_bytes:,} are read",
        )
    return count


def _check_classes(config: Any) -> None:
    """Reject a configuration that names a class which is not read, or one of another module, anywhere."""
    known = {*LAYERS, *MODELS, *_SETTINGS}
    level = [config]
    while level:
        one = level.pop()
        if isinstance(one, dict):
            kind = one.get("class_name")
            if kind is not None and (not isinstance(kind, str) or kind not in known):
                inner = one.get("config")
                place = inner.get("name", "") if isinstance(inner, dict) else ""
                reason = _OPERATION if str(kind) in OPERATIONS else reason_for(str(kind), ", ".join(LAYERS))
                raise unsupported_model(f"model.layers[{place}]", f"{kind} {reason}")
            level += one.values()
        elif isinstance(one, list):
            level += one
    try:
        check_references(config)
    except UnsupportedError as error:
        raise unsupported_model(_CONFIG, str(error)) from None
