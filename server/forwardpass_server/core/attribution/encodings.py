"""Encodings: layers that turn single inputs into values that jump, such as the rows of an embedding.

A category is one input, the index of a category. Between two indices there is nothing: a gradient there is 0 or has no
meaning. Methods that need gradients therefore take the encoded values in place of the input: a path leads straight from
the encoding of the baseline to that of the row, as in Captum's `LayerIntegratedGradients` at an embedding. The shares
of the encoded values are added up to the share of the input that they encode.
"""

from collections.abc import Mapping

import numpy as np

from forwardpass_server.core.activations import OF_ALL_NODES
from forwardpass_server.core.attribution.targets import output_layers
from forwardpass_server.core.attribution.values import Indices
from forwardpass_server.core.graph import INPUTS, Edges
from forwardpass_server.core.layers import Layer, Operation
from forwardpass_server.core.operations import JUMPS, ORIGINS
from forwardpass_server.core.plan import Plan


def find_encodings(plan: Plan, *, logits: bool) -> dict[str, Indices]:
    """Return the input that each node of an encoding depends on, `(nodes,)`, by the name of the layer.

    A layer is an encoding if it jumps and each of its nodes depends on one input alone. Where logits are explained, a
    layer of outputs is none.
    """
    outputs = {layer.name for layer in output_layers(plan)} if logits else set()
    origins: dict[str, Indices] = {INPUTS: np.arange(plan.inputs)}
    before = INPUTS
    for layer, edges in zip(plan.layers, plan.edges, strict=True):
        found = _origins(layer, _origins_read(layer, edges, before, origins))
        if found is not None:
            origins[layer.name] = found
        before = layer.name
    jumping = {layer.name for layer in plan.layers if isinstance(layer, Operation) and layer.kind in JUMPS}
    return {name: columns for name, columns in origins.items() if name in jumping - outputs}


def _origins(layer: Layer, read: Indices | None) -> Indices | None:
    """Return the input that each node depends on, None where one depends on several."""
    if read is None or not isinstance(layer, Operation) or layer.kind not in ORIGINS:
        return None
    if layer.expression is None and layer.activation in OF_ALL_NODES:
        return None
    return read[ORIGINS[layer.kind](layer.inputs, **layer.arguments)]


def _origins_read(layer: Layer, edges: Edges | None, before: str, origins: Mapping[str, Indices]) -> Indices | None:
    """Return the input that each value depends on that a layer reads, None where one depends on several."""
    sources = edges.sources if edges is not None and edges.sources else ((before, None),)
    if any(name not in origins for name, _ in sources):
        return None
    read = [origins[name] if columns is None else origins[name][columns] for name, columns in sources]
    if layer.merge is None or layer.merge == "concatenate":
        return np.concatenate(read)
    return read[0] if all(np.array_equal(read[0], other) for other in read[1:]) else None
