"""Traces of specs without a server: computed by the core, with the names that a server gives."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from forwardpass.models import Trace
from forwardpass.predictions import Classification, LayerTrace
from forwardpass.spec import NetworkSpec, digest
from forwardpass_server.core import trace
from forwardpass_server.registry.compile import compile_plan
from forwardpass_server.registry.loaded_version import LoadedVersion
from forwardpass_server.serving.encode.classifications import classify


def trace_of(
    network: NetworkSpec,
    rows: Sequence[Sequence[float]],
    *,
    contributions: bool = True,
    layers: Sequence[str] | None = None,
    name: str = "network",
    version: int = 1,
) -> Trace:
    """Return the trace that a server would send."""
    loaded = LoadedVersion.of(name, version, digest(network), network, compile_plan(network))
    done: Any = trace(loaded.plan, np.array(rows, network.dtype), layers=layers, contributions=contributions)
    specs = {layer.name: layer for layer in network.layers}
    planned = {layer.name: layer for layer in loaded.plan.layers}
    return Trace(
        outputs=done.outputs,
        network=name,
        version=version,
        digest=loaded.digest,
        output_names=network.outputs,
        classifications=tuple(
            Classification(label=found.label, probability=found.probability) for found in classify(loaded, done.outputs)
        ),
        inputs=done.inputs,
        input_names=network.inputs.names,
        layers=tuple(
            LayerTrace(
                name=layer.name,
                nodes=specs[layer.name].nodes,
                function=str(specs[layer.name].activation),
                parameters=specs[layer.name].activation.parameters,
                inputs=loaded.reads(planned[layer.name]),
                pre_activation=layer.pre_activation,
                activation=layer.activation,
                contributions=layer.contributions,
                bias=layer.bias,
                from_=specs[layer.name].from_,
                merge=specs[layer.name].merge,
                merged=layer.merged,
                kind=specs[layer.name].kind,
            )
            for layer in done.layers
        ),
    )
