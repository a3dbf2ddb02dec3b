"""From a Keras model, or its file, to a source."""

import tempfile
from os import PathLike
from pathlib import Path
from typing import Any

from forwardpass.importers.drafts import Values
from forwardpass.importers.errors import UnsupportedModelError
from forwardpass.importers.keras import oracle
from forwardpass.importers.keras.archive import Archive, open_archive
from forwardpass.importers.keras.reader import ModelReader
from forwardpass.importers.keras.refused import Refused, refusal
from forwardpass.importers.keras.structure import Structure, check_modules, structure_of, tensors_in
from forwardpass.importers.keras.weights import Weights
from forwardpass.importers.source import Source


def load_model(path: str | PathLike[str]) -> Any:
    """Return the model in a `.keras` file, which Keras loads after all of it was read and found to be Keras's own.

    Raises:
        UnsupportedModelError: It is no such file, or something in it cannot be expressed; `faults` has each place.
    """
    try:
        archive = open_archive(path)
    except OSError as error:
        raise refusal(str(path), f"cannot be read: {error}") from error
    follow(archive)
    return oracle.load(path)


def read(model: Any) -> Source:
    """Read a model as the file that Keras makes of it.

    Raises:
        UnsupportedModelError: Something in it cannot be expressed; `faults` has each place.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        try:
            model.save(path)
        except Exception as error:
            raise UnsupportedModelError(f"Keras cannot save the model: {error!r}") from error
        structure, reader, outputs = follow(open_archive(path))
    if len(reader.dtypes) > 1:
        raise refusal("model", "computes some layers in float32 and some in float64; build it in one of them")
    notes, several = reader.notes, len(reader.inputs) > 1
    names = [name for each in reader.inputs for name in _names(each.name, each.width)]
    groups = [{"name": each.group, "width": each.width} for each in reader.inputs]
    return Source(
        framework=f"keras {oracle.installed().__version__}",
        model=_described(structure),
        width=len(notes.mean),
        names=tuple(names) if several else (),
        mean=notes.mean if notes.mean.any() else None,
        scale=notes.scale if (notes.scale != 1).any() else None,
        layers=tuple(reader.draft.layers),
        outputs=_output_names(structure, outputs),
        classes=(),
        compute=oracle.oracle(model, [each.shape for each in reader.inputs], notes.categories),
        groups=tuple(groups) if several else (),
        output_layers=tuple(values.sources[0] for values in outputs),
        features=notes.documents(),
        sample=None if notes.is_plain else notes.sample,
        dtype=next(iter(reader.dtypes), "float32"),
    )


def follow(archive: Archive) -> tuple[Structure, ModelReader, list[Values]]:
    """Read all of a file, and return its structure, what read it, and its outputs."""
    if not archive.version.startswith("3."):
        advice = "load it in Keras 3 and save it again as a .keras file"
        raise refusal("metadata.json", f"was written by Keras {archive.version or 'of no version'}; {advice}")
    structure = structure_of(archive.config)
    reader = ModelReader(structure, Weights(archive.weights), archive.assets)
    outputs = reader.read()
    try:
        check_modules(archive.config)
    except Refused as refused:
        raise refusal("config.json", str(refused)) from None
    return structure, reader, outputs


def _names(name: str, width: int) -> list[str]:
    return [name] if width == 1 else [f"{name}_{index}" for index in range(width)]


def _output_names(structure: Structure, outputs: list[Values]) -> tuple[str, ...]:
    """Return a name for each output where there are several layers of them."""
    if len(outputs) == 1:
        return ()
    keys = sorted(structure.outputs) if isinstance(structure.outputs, dict) else []
    names = keys or [tensor.layer for tensor in tensors_in(structure.outputs)]
    every = [name for key, values in zip(names, outputs, strict=True) for name in _names(key, values.width)]
    return tuple(every) if len(set(every)) == len(every) else ()


def _described(structure: Structure) -> str:
    """Say what a model is made of, for example `Sequential(Dense, Dense)`."""
    kinds = [part.kind for part in structure.parts.values() if part.kind != "InputLayer"]
    return f"{structure.kind}({', '.join(kinds)})"
