"""The Open Inference Protocol, which clients of Triton, KServe and MLServer speak, for the networks of the registry."""

from forwardpass_server.oip.infer import INFER
from forwardpass_server.oip.service import INFERENCE, inference_service
from forwardpass_server.oip.service import SERVICE as INFERENCE_SERVICE

__all__ = ["INFER", "INFERENCE", "INFERENCE_SERVICE", "inference_service"]
