"""Calls in, answers out: the predictor. Knows no gRPC."""

from forwardpass_server.serving.calls import Answer, Call, Kind
from forwardpass_server.serving.predictor import Batch, Predictor, TraceChoice, WorkLimits

__all__ = ["Answer", "Batch", "Call", "Kind", "Predictor", "TraceChoice", "WorkLimits"]
