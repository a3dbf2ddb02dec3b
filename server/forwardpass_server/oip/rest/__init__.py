"""The Open Inference Protocol over HTTP, in the process and event loop of the gRPC server. Needs the extra `rest`.

A body of `infer` is decoded into a `ModelInferRequest`, which goes through the same transport as gRPC requests; the
response is encoded as a body. Every other endpoint calls a method of the gRPC servicer. No rule is implemented twice.
"""

from forwardpass_server.oip.rest.app import RestApp

__all__ = ["RestApp"]
