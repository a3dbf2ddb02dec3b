"""The Open Inference Protocol, as the clients of Triton and KServe speak it, over the same networks."""

from forwardpass_server.oip.service import INFERENCE, inference_service

__all__ = ["INFERENCE", "inference_service"]
