"""The stage `decode`: from the bytes of a request to a prepared request, or to an `InferenceRequest`."""

from forwardpass_server.serving.decode.explain import EXPLAIN
from forwardpass_server.serving.decode.predict import PREDICT, PREDICT_MANY, TRACE
from forwardpass_server.serving.decode.prepared_requests import PreparedRequest, PreparedRequestCache

__all__ = ["EXPLAIN", "PREDICT", "PREDICT_MANY", "TRACE", "PreparedRequest", "PreparedRequestCache"]
