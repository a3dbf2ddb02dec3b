"""Calls in, answers out: the predictor and what dispatches to it. Knows no gRPC."""

from forwardpass_server.serving.calls import Answer, Call, Kind
from forwardpass_server.serving.dispatch import Dispatcher, Door
from forwardpass_server.serving.predictor import Predictor, WorkLimits
from forwardpass_server.serving.workers import lower_priority

__all__ = ["Answer", "Call", "Dispatcher", "Door", "Kind", "Predictor", "WorkLimits", "lower_priority"]
