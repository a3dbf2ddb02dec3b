"""Imports a framework's model as a spec that is proven to compute the same."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from forwardpass.errors import Fault, InvalidFieldError
from forwardpass.importers import keras, onnx, pytorch, scikit_learn
from forwardpass.importers.parity import Imported, certify
from forwardpass.importers.progress import Progress
from forwardpass.importers.sample_rows import read_sample_rows
from forwardpass.importers.source import Source
from forwardpass.importers.unsupported import UnsupportedModelError
from forwardpass.rows import RowsLike
from forwardpass.spec import FORMAT, parse, to_document
from forwardpass.spec.network import default_names

FRONT_ENDS: Final[Mapping[str, Callable[[Any], Source]]] = MappingProxyType(
    {"keras": keras.read, "onnx": onnx.read, "sklearn": scikit_learn.read, "torch": pytorch.read}
    | dict.fromkeys(("skorch", "stable_baselines3", "pytorch_tabnet"), pytorch.read)
)
"""The front end of each framework, by the framework's package."""


def import_model(
    model: Any,
    *,
    rows: RowsLike | None = None,
    features: Sequence[str | Mapping[str, str]] = (),
    outputs: Sequence[str] = (),
    classes: Sequence[str] = (),
    description: str = "",
    metadata: Mapping[str, str] | None = None,
    tags: Sequence[str] = (),
    rows_axis: int | str | None = None,
    dtype: str | None = None,
    tolerance: float | None = None,
    progress: Progress | None = None,
) -> Imported:
    """Make a spec of a fitted model, and prove it: the model and the spec compute the same rows.

    Nothing is approximated; what a spec cannot express is rejected. The rows are those given and up to 1,000 random
    ones, half of them far out. Up to 8 of the given rows, or of the random ones where none are given, become examples,
    and a server checks these before it registers the spec.

    Args:
        model: A fitted model of scikit-learn or Keras, a PyTorch module, what `torch.export.export` returned, or an
            `onnx.ModelProto`; docs/importing/index.md says which.
        rows: Rows that the model is made for, in every form that `Client.predict` takes.
        features: A name for each input, or a mapping with `name`, `unit` and `description`; those that the model was
            fitted with when left out.
        outputs: A name for each output; the model's labels when left out. Names of outputs of an ONNX graph choose
            these, and leave out the others.
        classes: A label for each class; the model's when left out.
        description: What the network is for.
        metadata: Facts to keep with it; the certificate is added.
        tags: Words to find it by.
        rows_axis: The axis of the inputs of an ONNX graph that has the rows, or `none` where all axes are of one row.
            When left out, the first axis, unless it is of a fixed size and the graph mixes its places.
        dtype: `float64` or `float32`; the arithmetic of the framework when left out, which is float64 in scikit-learn.
        tolerance: The largest accepted relative difference; 1e-9 in float64 and 1e-4 in float32 when left out.
        progress: Is called with the step of the comparison, the rows that the step has done, and all its rows.

    Raises:
        UnsupportedModelError: Something in the model cannot be expressed; `faults` has each place.
        InvalidFieldError: There are more or fewer features than the model reads, the tolerance is negative, or the
            axis of the rows is no axis, or of another model than an ONNX graph.
        ParityError: The spec computes something else than the model.
        InvalidNetworkError: A name, label or number is not valid in a spec.
        FeatureMismatchError: A row lacks a feature.
        ShapeMismatchError: The rows have another width than the model reads.
        InvalidTensorError: The rows are no numbers.
        NonFiniteInputError: The rows have NaN or infinity.
    """
    read = _front_end(model)
    _check_rows_axis(rows_axis, is_onnx=read is onnx.read)
    chosen = _chosen_outputs(model, outputs)
    source = onnx.read(model, chosen, rows_axis) if read is onnx.read else read(model)
    outputs = () if chosen else outputs
    if source.network is not None:
        changes = {
            "outputs": outputs,
            "classes": classes,
            "description": description,
            "metadata": metadata,
            "tags": tags,
        }
        changes = {key: value for key, value in changes.items() if value}
        return _import_exported(source, changes, rows, tolerance, progress)
    document = {
        "format": FORMAT,
        "dtype": dtype or source.dtype,
        "inputs": _inputs(source, features),
        "input_groups": list(source.groups),
        "layers": list(source.layers),
        "classes": list(classes or source.classes),
        "description": description,
        "metadata": dict(metadata or {}),
        "tags": list(tags),
        "allow_non_finite_inputs": source.non_finite,
    }
    if source.output_layers:
        document["output_layers"] = list(source.output_layers)
    labels = classes if source.classes else ()
    names = outputs or labels or source.outputs
    if names:
        # The single output of two classes is the probability of the second.
        one = names is labels and len(names) == 2 and len(source.layers[-1].get("bias", ())) == 1
        document["outputs"] = list(names[1:] if one else names)
    spec = parse(document)
    given = read_sample_rows(
        rows, source.names or spec.inputs.names, non_finite=source.non_finite, features=spec.inputs.features
    )
    return certify(spec, source, given, tolerance, progress)


def _import_exported(
    source: Source,
    changes: Mapping[str, Any],
    rows: RowsLike | None,
    tolerance: float | None,
    progress: Progress | None,
) -> Imported:
    """Return the network that a model was exported from, with the changes that the caller asks for."""
    network = source.network
    if network is None:
        raise TypeError("the source has no network")
    spec = parse({**to_document(network), **changes}) if changes else network
    given = read_sample_rows(rows, spec.inputs.names, non_finite=source.non_finite, features=spec.inputs.features)
    imported = certify(spec, source, given, tolerance, progress)
    return imported if changes else replace(imported, spec=network)


def _check_rows_axis(axis: object, *, is_onnx: bool) -> None:
    if axis is None:
        return
    message = ""
    if axis != onnx.ALL_ONE_ROW and (not isinstance(axis, int) or isinstance(axis, bool) or axis < 0):
        message = f"is {axis!r}; must be the number of an axis, from 0 on, or {onnx.ALL_ONE_ROW!r}"
    elif not is_onnx:
        message = "is for ONNX files; the models of other frameworks say which axis has the rows"
    if message:
        raise InvalidFieldError(f"rows_axis: {message}", faults=[Fault(path="rows_axis", message=message)])


def _chosen_outputs(model: Any, outputs: Sequence[str]) -> tuple[str, ...]:
    """Return the names of outputs of an ONNX graph, where all the given names are such."""
    graph = getattr(model, "graph", None)
    declared = {output.name for output in graph.output} if type(model).__name__ == "ModelProto" and graph else set()
    return tuple(outputs) if outputs and set(outputs) <= declared else ()


def _front_end(model: Any) -> Callable[[Any], Source]:
    packages = [kind.__module__.partition(".")[0] for kind in type(model).__mro__]
    reader = next((FRONT_ENDS[package] for package in packages if package in FRONT_ENDS), None)
    if reader is None:
        raise UnsupportedModelError(
            f"a {type(model).__module__}.{type(model).__name__} cannot be imported; what can be are fitted models of "
            "scikit-learn and Keras, PyTorch modules and ONNX models, see docs/importing/index.md"
        )
    return reader


def _inputs(source: Source, features: Sequence[str | Mapping[str, str]]) -> Any:
    """Return the inputs as `parse` reads them."""
    mean, scale = source.mean, source.scale
    if not (features or source.names or source.features) and mean is None and scale is None:
        return source.width
    given = features or source.names or default_names("input", source.width)
    if len(given) != source.width:
        message = f"has {len(given)} names; the model reads {source.width}"
        raise InvalidFieldError(f"features: {message}", faults=[Fault(path="features", message=message)])
    return [
        {
            **(source.features[index] if source.features else {}),
            # A category has none.
            **({} if mean is None or mean[index] == 0 else {"mean": float(mean[index])}),
            **({} if scale is None or scale[index] == 1 else {"scale": float(scale[index])}),
            **({"name": feature} if isinstance(feature, str) else feature),
        }
        for index, feature in enumerate(given)
    ]
