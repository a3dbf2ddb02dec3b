"""gRPC: the transports of hot calls, servicers for the rest, the error table, interceptors, health."""

from forwardpass_server.rpc.auth import Guard, TokensFileError, declared_scopes
from forwardpass_server.rpc.descriptors import descriptor_set
from forwardpass_server.rpc.health import SCOPES as HEALTH_SCOPES
from forwardpass_server.rpc.listening import ListenError
from forwardpass_server.rpc.network_service import SERVICE as NETWORK_SERVICE
from forwardpass_server.rpc.prediction_service import SERVICE as PREDICTION_SERVICE
from forwardpass_server.rpc.server import Bounds, Server

__all__ = [
    "HEALTH_SCOPES",
    "NETWORK_SERVICE",
    "PREDICTION_SERVICE",
    "Bounds",
    "Guard",
    "ListenError",
    "Server",
    "TokensFileError",
    "declared_scopes",
    "descriptor_set",
]
