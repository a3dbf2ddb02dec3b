"""Models of MLflow: a folder with a file `MLmodel`, which names the model's file for each of its flavors.

Read are flavors whose file is one that is read anyway; nothing is unpickled.
Format: https://mlflow.org/docs/latest/ml/model/#storage-format.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from forwardpass.importers.unsupported import unsupported_model

PREFIX: Final = "mlflow:"

DESCRIPTION: Final = "MLmodel"
_MAX_DESCRIPTION: Final = 2**17
_MAX_NAME: Final = 255
_MAX_SHOWN: Final = 10

_FILES: Final[Mapping[str, str]] = MappingProxyType(
    {"onnx": "data", "sklearn": "pickled_model", "keras": "data", "tensorflow": "data", "pytorch": "model_data"}
)
"""The field with the path of the model's file, or of a folder around it, by flavor."""

_REMEDIES: Final[Mapping[str, str]] = MappingProxyType(
    {"sklearn": 'log it by `mlflow.sklearn.log_model(model, serialization_format="skops")`'}
)
_EXPORT: Final = "export the model to ONNX, and log it by `mlflow.onnx.log_model`"


def load_model(uri: str, readers: Mapping[str, Callable[[str], Any]]) -> Any:
    """Return the model of a folder of MLflow.

    Args:
        uri: A folder, or a URI that MLflow resolves, such as `models:/iris/3` or `runs:/RUN/model`.
        readers: The reader of each kind of file, by its suffix.

    Raises:
        OSError: A file cannot be read.
        UnsupportedModelError: MLflow cannot find the model, a package is not installed, or no flavor of the model is
            one of these files.
    """
    folder = Path(uri) if Path(uri, DESCRIPTION).is_file() else _downloaded(uri)
    flavors = _flavors(folder, uri)
    files = [path for flavor, field in _FILES.items() for path in _files(folder, flavors.get(flavor), field)]
    for path in files:
        if (read := readers.get(path.suffix.lower())) is not None:
            return read(str(path))
    found = ", ".join(list(flavors)[:_MAX_SHOWN])
    remedy = next((words for flavor, words in _REMEDIES.items() if flavor in flavors), _EXPORT)
    raise unsupported_model(
        uri, f"has the flavors {found}, and no file of {', '.join(readers)} in one of them; {remedy}"
    )


def _downloaded(uri: str) -> Path:
    """Return a folder to which MLflow has downloaded a model."""
    try:
        mlflow = import_module("mlflow")
    except ModuleNotFoundError:
        raise unsupported_model(
            uri, f"is no folder with a file {DESCRIPTION}, and MLflow, which could find it, is not installed"
        ) from None
    try:
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
    except Exception as error:
        raise unsupported_model(uri, f"cannot be had from MLflow ({mlflow.get_tracking_uri()}): {error}") from error


def _flavors(folder: Path, uri: str) -> Mapping[str, Any]:
    try:
        yaml = import_module("yaml")
    except ModuleNotFoundError:
        raise unsupported_model(uri, f"has a file {DESCRIPTION} in YAML; run `pip install pyyaml`") from None
    with (folder / DESCRIPTION).open(encoding="utf-8", errors="replace") as file:
        text = file.read(_MAX_DESCRIPTION + 1)
    if len(text) > _MAX_DESCRIPTION:
        raise unsupported_model(uri, f"has a file {DESCRIPTION} of more than {_MAX_DESCRIPTION:,} characters")
    try:
        # The loader that leaves scalars as texts: a number of 80,000 digits would take a second to read.
        described = yaml.load(text, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise unsupported_model(uri, f"has a file {DESCRIPTION} that is not YAML: {error}") from error
    flavors = described.get("flavors") if isinstance(described, dict) else None
    if not isinstance(flavors, dict):
        raise unsupported_model(uri, f"has a file {DESCRIPTION} without `flavors`")
    return {str(name): flavor for name, flavor in flavors.items()}


def _files(folder: Path, flavor: Any, field: str) -> list[Path]:
    """Return the files that a flavor names, none outside the model's folder."""
    named = flavor.get(field) if isinstance(flavor, dict) else None
    if not isinstance(named, str) or len(named) > _MAX_NAME or "\0" in named:
        return []
    path = (folder / named).resolve()
    if not path.is_relative_to(folder.resolve()):
        return []
    return sorted(path.iterdir()) if path.is_dir() else [path]
