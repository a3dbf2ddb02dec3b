"""Attributions: the share of every feature, and of every node, in an output of a row."""

from forwardpass_server.core.attribution.methods import (
    METHODS,
    Method,
    attribute,
    attribution_bytes,
    attribution_flops,
    attribution_steps,
    empty_attributions,
)
from forwardpass_server.core.attribution.perturbation import MAX_EXACT_FEATURES
from forwardpass_server.core.attribution.quadrature import MIN_STEPS
from forwardpass_server.core.attribution.targets import has_logits
from forwardpass_server.core.attribution.values import (
    BASELINES,
    DEFAULT_MAX_STEPS,
    DEFAULT_SAMPLES,
    DEFAULT_TOLERANCE,
    AttributionOptions,
    Attributions,
    LayerAttributions,
    baseline_rows,
)

__all__ = [
    "BASELINES",
    "DEFAULT_MAX_STEPS",
    "DEFAULT_SAMPLES",
    "DEFAULT_TOLERANCE",
    "MAX_EXACT_FEATURES",
    "METHODS",
    "MIN_STEPS",
    "AttributionOptions",
    "Attributions",
    "LayerAttributions",
    "Method",
    "attribute",
    "attribution_bytes",
    "attribution_flops",
    "attribution_steps",
    "baseline_rows",
    "empty_attributions",
    "has_logits",
]
