"""gRPC: the door for hot calls, servicers for the rest, the error table, interceptors, health."""

from forwardpass_server.rpc.auth import Guard, TokensFileError
from forwardpass_server.rpc.server import ListenError, Server

__all__ = ["Guard", "ListenError", "Server", "TokensFileError"]
