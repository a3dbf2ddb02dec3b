"""Models that are named as `module:attribute`, or are files; files of pickled objects are never read."""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FunctionType, MappingProxyType
from typing import Any, Final

from forwardpass.errors import Fault, InvalidFieldError
from forwardpass.importers import onnx

FILES: Final[Mapping[str, Callable[[str], Any]]] = MappingProxyType({".onnx": onnx.load_model})
"""What reads a file, by its suffix."""

_PICKLES: Final = frozenset({".pkl", ".pickle", ".joblib", ".skops", ".cloudpickle"})


def load_object(name: str) -> Any:
    """Return a model by its name: a file's, or that of something in a module, which is imported.

    Args:
        name: A path whose suffix is in `FILES`; or `module:attribute`, both perhaps with dots. A function there is
            called, and what it returns is meant.

    Raises:
        UnsupportedModelError: The file is no such model, or cannot be read.
        InvalidFieldError: The name is not of this form, it is a file's, there is no such module or attribute, or its
            code fails.
    """
    if (read := FILES.get(Path(name).suffix.lower())) is not None:
        return read(name)
    module_name, colon, path = name.partition(":")
    if Path(name).suffix in _PICKLES:
        raise _invalid(
            name,
            "is a pickle, and reading one runs whatever code is in it; write a module that makes or loads the model, "
            "and give it as MODULE:ATTRIBUTE",
        )
    if not (colon and path and all(part.isidentifier() for part in f"{module_name}.{path}".split("."))):
        raise _invalid(name, "is no MODULE:ATTRIBUTE, such as train:model")
    try:
        found: Any = importlib.import_module(module_name)
        for part in path.split("."):
            found = getattr(found, part)
        return found() if isinstance(found, FunctionType) else found
    except Exception as error:
        raise _invalid(name, f"cannot be imported: {error!r}") from error


def _invalid(name: str, message: str) -> InvalidFieldError:
    return InvalidFieldError(f"{name}: {message}", faults=[Fault(path=name, message=message)])
