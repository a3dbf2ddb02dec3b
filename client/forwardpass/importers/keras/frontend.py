"""Reads a Keras model, or its file, into a source."""

import re
import tempfile
from os import PathLike
from pathlib import Path
from typing import Any, Final

from forwardpass.importers.graph import TensorRef
from forwardpass.importers.keras import runtime
from forwardpass.importers.keras.archive import Archive, open_archive
from forwardpass.importers.keras.model_config import ModelConfig, check_references, parse_config, tensors_in
from forwardpass.importers.keras.model_reader import KerasInput, ModelReader
from forwardpass.importers.keras.weights import Weights
from forwardpass.importers.keras.whole_numbers import check_shifted
from forwardpass.importers.source import Source
from forwardpass.importers.unsupported import UnsupportedError, UnsupportedModelError, unsupported_model

_MADE_NAME: Final = re.compile(r"(keras_tensor|input_layer|input|inputs)(_\d+)?")
"""Names that Keras gives to inputs without one."""


def load_model(path: str | PathLike[str]) -> Any:
    """Load the model of a `.keras` file by Keras, after every part of it was found to be Keras's own.

    Raises:
        UnsupportedModelError: It is no `.keras` file, or something in it cannot be expressed; `faults` has each place.
    """
    try:
        archive = open_archive(path)
    except OSError as error:
        raise unsupported_model(str(path), f"cannot be read: {error}") from error
    follow(archive)
    return runtime.load_file(path)


def read(model: Any) -> Source:
    """Read a model, or a FeatureSpace, as the file that Keras makes of it.

    Raises:
        UnsupportedModelError: Something in it cannot be expressed; `faults` has each place.
    """
    if type(model).__name__ == "FeatureSpace":
        model = runtime.import_keras().Model(model.get_inputs(), model.get_encoded_features())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        try:
            model.save(path)
        except Exception as error:
            raise UnsupportedModelError(f"Keras cannot save the model: {error!r}") from error
        structure, reader, outputs = follow(open_archive(path))
    _check_dtypes(reader)
    constraints, several = reader.constraints, len(reader.inputs) > 1
    names = [name for each in reader.inputs for name in _names(each.name, each.width)]
    groups = [{"name": each.group, "width": each.width} for each in reader.inputs]
    return Source(
        framework=f"keras {runtime.import_keras().__version__}",
        model=_described(structure),
        width=len(constraints.mean),
        names=tuple(names) if several or _is_named(reader.inputs[0]) else (),
        mean=constraints.mean if constraints.mean.any() else None,
        scale=constraints.scale if (constraints.scale != 1).any() else None,
        layers=tuple(reader.graph.layers),
        outputs=_output_names(structure, outputs),
        classes=(),
        compute=runtime.predictor(model, [each.shape for each in reader.inputs], constraints.categories),
        groups=tuple(groups) if several else (),
        output_layers=tuple(values.sources[0] for values in outputs),
        features=constraints.feature_documents(),
        sampler=None if constraints.is_plain else constraints.sample,
        dtype=next(iter(reader.dtypes), None) or _dtype_of_inputs(reader),
    )


def follow(archive: Archive) -> tuple[ModelConfig, ModelReader, list[TensorRef]]:
    """Read a whole file; return its configuration, its reader and its outputs."""
    if not archive.version.startswith("3."):
        advice = (
            "save it by Keras 2's own package as HDF5, `tf_keras.models.load_model(FILE).save('FILE.h5')`, and import "
            "that file"
        )
        raise unsupported_model("metadata.json", f"was written by Keras {archive.version or 'of no version'}; {advice}")
    structure = parse_config(archive.config)
    reader = ModelReader(structure, Weights(archive.weights), archive.assets)
    outputs = reader.read()
    try:
        check_shifted(reader.graph)
    except UnsupportedError as error:
        raise unsupported_model("model", str(error)) from None
    try:
        check_references(archive.config)
    except UnsupportedError as error:
        raise unsupported_model("config.json", str(error)) from None
    return structure, reader, outputs


def _check_dtypes(reader: ModelReader) -> None:
    """Reject a model of two dtypes.

    Raises:
        UnsupportedModelError: Its layers have two, or a lesser one rounds what they read.
    """
    if len(reader.dtypes) > 1:
        raise unsupported_model("model", "computes some layers in float32 and some in float64; build it in one of them")
    for each in reader.inputs:
        if each.dtype == "float32" and reader.dtypes == {"float64"}:
            raise unsupported_model(
                f"model.layers[{each.name}]",
                "InputLayer takes float32, and the layers compute in float64; make it by "
                'keras.Input(..., dtype="float64")',
            )


def _dtype_of_inputs(reader: ModelReader) -> str:
    """Return what a model without layers computes in: float64 where all its inputs are."""
    return "float64" if {each.dtype for each in reader.inputs} == {"float64"} else "float32"


def _is_named(given: KerasInput) -> bool:
    """Return whether an input is of one number, and has a name that Keras did not make."""
    return given.width == 1 and not _MADE_NAME.fullmatch(given.name)


def _names(name: str, width: int) -> list[str]:
    return [name] if width == 1 else [f"{name}_{index}" for index in range(width)]


def _output_names(structure: ModelConfig, outputs: list[TensorRef]) -> tuple[str, ...]:
    """Return a name for each output where there are several layers of them."""
    if len(outputs) == 1:
        return ()
    keys = sorted(structure.outputs) if isinstance(structure.outputs, dict) else []
    names = keys or [tensor.layer for tensor in tensors_in(structure.outputs)]
    every = [name for key, values in zip(names, outputs, strict=True) for name in _names(key, values.size)]
    return tuple(every) if len(set(every)) == len(every) else ()


def _described(structure: ModelConfig) -> str:
    """Return the parts of a model as a text, for example `Sequential(Dense, Dense)`."""
    kinds = [part.kind for part in structure.parts.values() if part.kind != "InputLayer"]
    return f"{structure.kind}({', '.join(kinds)})"
