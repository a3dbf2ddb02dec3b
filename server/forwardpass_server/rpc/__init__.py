"""gRPC: the doors for hot calls, servicers for the rest, the error table, interceptors, health."""

from forwardpass_server.rpc.auth import Guard, TokensFileError
from forwardpass_server.rpc.descriptors import descriptor_set
from forwardpass_server.rpc.server import Bounds, ListenError, Server

__all__ = ["Bounds", "Guard", "ListenError", "Server", "TokensFileError", "descriptor_set"]
