"""Recovers the network that an ONNX model was exported from, if the model is unchanged."""

from collections.abc import Sequence
from typing import Any

from forwardpass.errors import InvalidNetworkError
from forwardpass.importers.onnx.arrays import to_array
from forwardpass.importers.unsupported import UnsupportedError
from forwardpass.onnx_form import METADATA, write
from forwardpass.spec import DEFAULT_LIMITS, NetworkSpec, parse
from forwardpass.spec.faults import Faults
from forwardpass.spec.forms.json_text import read_json
from forwardpass.spec.layers import ARRAYS, kind_of


def recover_network(model: Any) -> NetworkSpec | None:
    """Return the network that a `ModelProto` was exported from, or None where that is unknown or changed since.

    The spec in the metadata is not trusted: its export must give the same graph, byte by byte.
    """
    text = next((entry.value for entry in model.metadata_props if entry.key == METADATA), "")
    document = read_json(text, limits=DEFAULT_LIMITS, faults=Faults()) if text else None
    if not isinstance(document, dict) or not isinstance(document.get("layers"), list):
        return None
    try:
        spec = parse({**document, "layers": _with_arrays(document["layers"], model.graph)})
    except (InvalidNetworkError, UnsupportedError):
        return None
    again = write(spec)
    same = again.graph.SerializeToString(deterministic=True) == model.graph.SerializeToString(deterministic=True)
    return spec if same and list(again.opset_import) == list(model.opset_import) else None


def _with_arrays(layers: Sequence[object], graph: Any) -> list[object]:
    """Put each initializer into the layer that it is named after."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    whole: list[object] = []
    for layer in layers:
        if isinstance(layer, dict):
            names = {key: f"{layer.get('name')}/{key}" for key in ARRAYS.get(str(kind_of(layer)), ())}
            arrays = {key: to_array(tensors[name]) for key, name in names.items() if name in tensors}
            whole.append({**layer, **arrays})
        else:
            whole.append(layer)
    return whole
