"""Loads a model by its name, `module:attribute` or a file; files of pickled objects are never read."""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FunctionType, MappingProxyType
from typing import Any, Final

from forwardpass.errors import Fault, InvalidFieldError
from forwardpass.importers import keras, mlflow_models, onnx, scikit_learn

FILES: Final[Mapping[str, Callable[[str], Any]]] = MappingProxyType(
    {
        ".keras": keras.load_model,
        **dict.fromkeys((".h5", ".hdf5"), keras.load_hdf5),
        ".onnx": onnx.load_model,
        ".skops": scikit_learn.load_model,
    }
)
"""The reader of each kind of file, by its suffix."""

_PICKLE: Final = "is a pickle, and reading one runs whatever code is in it; "
_LOAD_IT: Final = "write a module that makes or loads the model, and give it as MODULE:ATTRIBUTE"
_SAVE_WEIGHTS: Final = (
    "save its numbers by `safetensors.torch.save_model(module, FILE)`, and import that file with --architecture "
    "MODULE:ATTRIBUTE; or write a module that loads it, and give that as MODULE:ATTRIBUTE"
)
_REFUSED: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys((".pkl", ".pickle", ".joblib", ".cloudpickle"), _PICKLE + _LOAD_IT),
        **dict.fromkeys((".pt", ".pth", ".bin", ".ckpt"), _PICKLE + _SAVE_WEIGHTS),
        ".zip": "may have pickles in it; if it is an agent of Stable-Baselines3 that you trust, write a module with "
        "`model = stable_baselines3.PPO.load(FILE)` or its class, and give it as MODULE:model",
        ".tflite": "is of TensorFlow; convert it by `python -m tf2onnx.convert --tflite FILE --output FILE.onnx`, and "
        "import that file",
        ".pb": "is of TensorFlow; convert its folder by `python -m tf2onnx.convert --saved-model FOLDER --output "
        "FILE.onnx`, and import that file",
        ".pt2": "may have pickles in it; write a module with `program = torch.export.load(FILE)`, and give it as "
        "MODULE:program",
        ".safetensors": "has numbers only; name the module that they belong to by --architecture MODULE:ATTRIBUTE, or "
        "where it is a network's own file, `register` it",
    }
)
"""Why a kind of file is not read, and what to do, by its suffix."""


def load_object(name: str) -> Any:
    """Load a model from a file, or import it from a module.

    Args:
        name: A path whose suffix is in `FILES`; `mlflow:` and a folder or URI of MLflow; or `module:attribute`, both
            perhaps with dots. A function at that name is called and returns the model.

    Raises:
        UnsupportedModelError: The file cannot be read, or has another content than its suffix says.
        InvalidFieldError: The name has another form, or names an absent module or attribute or a kind of file that is
            not read, or the code of the module fails.
    """
    if name.startswith(mlflow_models.PREFIX):
        return mlflow_models.load_model(name.removeprefix(mlflow_models.PREFIX), FILES)
    if (read := FILES.get(Path(name).suffix.lower())) is not None:
        return read(name)
    module_name, colon, path = name.partition(":")
    reason = _REFUSED.get(Path(name).suffix.lower())
    if reason is not None and not colon:
        raise _invalid(name, reason)
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
