"""The network that an ONNX model was exported from, where the model is still what was exported."""

import json
from typing import Any

from forwardpass.errors import InvalidNetworkError
from forwardpass.importers.onnx.arrays import to_array
from forwardpass.importers.onnx.refusing import Refused
from forwardpass.onnx_form import METADATA, write
from forwardpass.spec import DEFAULT_LIMITS, NetworkSpec, parse
from forwardpass.spec.kinds import KINDS


def recovered(model: Any) -> NetworkSpec | None:
    """Return the network that a `ModelProto` was written of, or None where it was not, or was changed since.

    The spec in the metadata is not trusted: exported again, it must give the same graph, byte by byte.
    """
    text = next((entry.value for entry in model.metadata_props if entry.key == METADATA), "")
    if not text or len(text) > DEFAULT_LIMITS.max_header_bytes:
        return None
    try:
        spec = parse(_with_arrays(json.loads(text), model.graph))
    except (InvalidNetworkError, Refused, ValueError, TypeError, AttributeError, RecursionError):
        return None
    again = write(spec)
    same = again.graph.SerializeToString(deterministic=True) == model.graph.SerializeToString(deterministic=True)
    return spec if same and list(again.opset_import) == list(model.opset_import) else None


def _with_arrays(document: Any, graph: Any) -> Any:
    """Put each initializer into the layer that it is named for."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    layers = []
    for layer in document["layers"]:
        names = {key: f"{layer['name']}/{key}" for key in KINDS.get(layer.get("kind", "dense"), ())}
        arrays = {key: to_array(tensors[name]) for key, name in names.items() if name in tensors}
        layers.append({**layer, **arrays})
    return {**document, "layers": layers}
