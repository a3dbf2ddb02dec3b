"""The road of a request: from raw requests to raw responses, in five stages. Knows no gRPC.

    transport -> decode -> resolve -> batch -> execute -> encode -> transport

The transports are in `rpc`; `dispatcher` and `predictor` lead from one stage to the next.
"""

from forwardpass_server.serving.admission import Admission
from forwardpass_server.serving.batching_policy import BatchingPolicy
from forwardpass_server.serving.decode import EXPLAIN, PREDICT, PREDICT_MANY, TRACE
from forwardpass_server.serving.dispatcher import NO_CLAIMS, Dispatcher, Transport
from forwardpass_server.serving.predictor import Predictor
from forwardpass_server.serving.requests import (
    Computation,
    Computed,
    InferenceRequest,
    Method,
    OutputOptions,
    RawRequest,
    RawResponse,
    TraceOptions,
)
from forwardpass_server.serving.shadows import Shadows
from forwardpass_server.serving.tasks import Workers, lower_priority
from forwardpass_server.serving.work_limits import WorkLimits

__all__ = [
    "EXPLAIN",
    "NO_CLAIMS",
    "PREDICT",
    "PREDICT_MANY",
    "TRACE",
    "Admission",
    "BatchingPolicy",
    "Computation",
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
    "Workers",
    "lower_priority",
]
