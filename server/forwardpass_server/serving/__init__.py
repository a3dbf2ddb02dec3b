"""Calls in, answers out: the predictor and what dispatches to it. Knows no gRPC."""

from forwardpass_server.serving.calls import Answer, Call, Computed, Kind, Question, TraceChoice, Wanted
from forwardpass_server.serving.dispatch import Dispatcher, Door
from forwardpass_server.serving.predictor import Predictor, WorkLimits
from forwardpass_server.serving.questions import PREDICT, PREDICT_MANY, TRACE
from forwardpass_server.serving.shadows import Shadows
from forwardpass_server.serving.workers import lower_priority

__all__ = [
    "PREDICT",
    "PREDICT_MANY",
    "TRACE",
    "Answer",
    "Call",
    "Computed",
    "Dispatcher",
    "Door",
    "Kind",
    "Predictor",
    "Question",
    "Shadows",
    "TraceChoice",
    "Wanted",
    "WorkLimits",
    "lower_priority",
]
