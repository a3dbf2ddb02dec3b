"""The Open Inference Protocol, as the clients of Triton and KServe speak it, over the same networks."""

from forwardpass_server.oip.service import INFERENCE, inference_service
from forwardpass_server.oip.service import SERVICE as INFERENCE_SERVICE

__all__ = ["INFERENCE", "INFERENCE_SERVICE", "inference_service"]
