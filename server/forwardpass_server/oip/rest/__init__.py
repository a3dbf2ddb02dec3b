"""The HTTP half of the Open Inference Protocol, beside gRPC in the same process and event loop.

A body becomes a `ModelInferRequest`, goes in by the door that gRPC's calls go in by, and the answer becomes a body;
every other endpoint calls a function of gRPC's servicer. So no rule is here twice. Needs the extra `rest`.
"""

from forwardpass_server.oip.rest.app import RestApp
from forwardpass_server.oip.rest.server import RestServer

__all__ = ["RestApp", "RestServer"]
