"""Forward propagation with numpy: no I/O, no logging, no clock. It trusts its arguments."""

from forwardpass_server.core.activations import ACTIVATIONS
from forwardpass_server.core.elementwise import Elementwise
from forwardpass_server.core.forward import forward, forward_steps
from forwardpass_server.core.held import held_bytes
from forwardpass_server.core.layers import Dense, Layer, Operation
from forwardpass_server.core.plan import Plan
from forwardpass_server.core.tracing import LayerTrace, Trace, empty_trace, rows_of, trace, trace_steps
from forwardpass_server.core.validation import FeatureViolations, Rules, validate_and_fill

__all__ = [
    "ACTIVATIONS",
    "Dense",
    "Elementwise",
    "FeatureViolations",
    "Layer",
    "LayerTrace",
    "Operation",
    "Plan",
    "Rules",
    "Trace",
    "empty_trace",
    "forward",
    "forward_steps",
    "held_bytes",
    "rows_of",
    "trace",
    "trace_steps",
    "validate_and_fill",
]
