"""Calls in, answers out: the predictor and what dispatches to it. Knows no gRPC."""

from forwardpass_server.serving.calls import (
    Computed,
    InferenceRequest,
    Method,
    OutputOptions,
    RawRequest,
    RawResponse,
    TraceOptions,
)
from forwardpass_server.serving.dispatch import Dispatcher, Transport
from forwardpass_server.serving.predictor import Predictor, WorkLimits
from forwardpass_server.serving.questions import PREDICT, PREDICT_MANY, TRACE
from forwardpass_server.serving.shadows import Shadows
from forwardpass_server.serving.workers import lower_priority

__all__ = [
    "PREDICT",
    "PREDICT_MANY",
    "TRACE",
    "Computed",
    "Dispatcher",
    "InferenceRequest",
    "Method",
    "OutputOptions",
    "Predictor",
    "RawRequest",
    "RawResponse",
    "Shadows",
    "TraceOptions",
    "Transport",
    "WorkLimits",
    "lower_priority",
]
