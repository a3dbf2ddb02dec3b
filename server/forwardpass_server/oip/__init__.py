"""The Open Inference Protocol, as the clients of Triton and KServe speak it, over the same networks."""

from forwardpass_server.oip.service import inference_service

__all__ = ["inference_service"]
