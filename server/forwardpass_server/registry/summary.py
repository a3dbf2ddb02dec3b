"""The summary of a spec: everything except its numbers and examples."""

from collections.abc import Mapping
from dataclasses import dataclass

from forwardpass.numerics import Numerics
from forwardpass.spec import Activation, Inputs, NetworkSpec, Output


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerSummary:
    """A layer without its numbers."""

    name: str
    kind: str
    activation: Activation
    nodes: tuple[str, ...]
    from_: tuple[str, ...]
    merge: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """A spec without its numbers and examples.

    The attributes are those of the spec; `numerics` is the server's default if the spec has none.
    """

    dtype: str
    inputs: Inputs
    layers: tuple[LayerSummary, ...]
    output_layers: tuple[str, ...]
    outputs: tuple[str, ...]
    classes: tuple[str, ...]
    description: str
    metadata: Mapping[str, str]
    tags: tuple[str, ...]
    parameter_count: int
    numerics: Numerics
    output_metadata: tuple[Output, ...]
    thresholds: tuple[float, ...]


def summarize(spec: NetworkSpec, numerics: Numerics = "exact") -> Summary:
    """Summarize a spec; `numerics` is the default for a spec that has none."""
    return Summary(
        dtype=spec.dtype,
        inputs=spec.inputs,
        layers=tuple(
            LayerSummary(
                name=layer.name,
                kind=layer.kind,
                activation=layer.activation,
                nodes=layer.nodes,
                from_=layer.from_,
                merge=layer.merge,
            )
            for layer in spec.layers
        ),
        output_layers=spec.output_layers,
        outputs=spec.outputs,
        classes=spec.classes,
        description=spec.description,
        metadata=spec.metadata,
        tags=spec.tags,
        parameter_count=spec.parameter_count,
        numerics=spec.numerics or numerics,
        output_metadata=spec.output_metadata,
        thresholds=spec.thresholds,
    )
