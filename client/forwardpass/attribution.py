"""The methods and scales of explanations: their names, and their values on the wire."""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from forwardpass.v1 import attribution_pb2 as v1

AttributionMethod: TypeAlias = Literal[
    "gradient",
    "input_x_gradient",
    "integrated_gradients",
    "layer_conductance",
    "feature_ablation",
    "shapley_values",
]
"""How an output is divided among the inputs; docs/how-to/explain.md compares the methods."""

AttributionScale: TypeAlias = Literal["outputs", "logits"]
"""`outputs`: the outputs of a prediction. `logits`: what the last layer computes before its sigmoid or softmax."""

StandardBaseline: TypeAlias = Literal["zeros", "means"]
"""`zeros`: every input is 0. `means`: every input is the mean that standardization subtracts."""

METHODS: Final[Mapping[AttributionMethod, v1.AttributionMethod]] = {
    "gradient": v1.ATTRIBUTION_METHOD_GRADIENT,
    "input_x_gradient": v1.ATTRIBUTION_METHOD_INPUT_X_GRADIENT,
    "integrated_gradients": v1.ATTRIBUTION_METHOD_INTEGRATED_GRADIENTS,
    "layer_conductance": v1.ATTRIBUTION_METHOD_LAYER_CONDUCTANCE,
    "feature_ablation": v1.ATTRIBUTION_METHOD_FEATURE_ABLATION,
    "shapley_values": v1.ATTRIBUTION_METHOD_SHAPLEY_VALUES,
}
"""The value of the enum `AttributionMethod` for each name."""

SCALES: Final[Mapping[AttributionScale, v1.AttributionScale]] = {
    "outputs": v1.ATTRIBUTION_SCALE_OUTPUTS,
    "logits": v1.ATTRIBUTION_SCALE_LOGITS,
}
"""The value of the enum `AttributionScale` for each name."""

STANDARD_BASELINES: Final[Mapping[StandardBaseline, v1.StandardBaseline]] = {
    "zeros": v1.STANDARD_BASELINE_ZEROS,
    "means": v1.STANDARD_BASELINE_MEANS,
}
"""The value of the enum `StandardBaseline` for each name."""

METHOD_NAMES: Final[Mapping[int, AttributionMethod]] = {number: name for name, number in METHODS.items()}
"""The name of each value of the enum `AttributionMethod`."""

SCALE_NAMES: Final[Mapping[int, AttributionScale]] = {number: name for name, number in SCALES.items()}
"""The name of each value of the enum `AttributionScale`."""
