"""gRPC: the transports of hot calls, servicers for the rest, the error table, interceptors, health."""

from forwardpass_server.rpc.administration import Administration
from forwardpass_server.rpc.asyncio_transport import AsyncioTransport
from forwardpass_server.rpc.auth import Guard, declared_scopes
from forwardpass_server.rpc.broadcast import Broadcast
from forwardpass_server.rpc.call_quota import CallQuota
from forwardpass_server.rpc.caller_counts import CallerCounts, CountsByCaller
from forwardpass_server.rpc.descriptors import descriptor_set
from forwardpass_server.rpc.error_mapping import ErrorMapper
from forwardpass_server.rpc.health import CHECK as HEALTH_CHECK
from forwardpass_server.rpc.health import SCOPES as HEALTH_SCOPES
from forwardpass_server.rpc.health import SERVICE as HEALTH_SERVICE
from forwardpass_server.rpc.health import Health
from forwardpass_server.rpc.interceptors import InFlight, Interceptor, admission, authorization, deadline, errors
from forwardpass_server.rpc.listening import raise_descriptor_limit, usable_connections
from forwardpass_server.rpc.methods import Around, Service, UnknownMethods, handlers
from forwardpass_server.rpc.native_transport import NativeTransport, cores, open_front
from forwardpass_server.rpc.network_service import SERVICE as NETWORK_SERVICE
from forwardpass_server.rpc.network_service import NetworkService
from forwardpass_server.rpc.prediction_service import HOT as HOT_PREDICTIONS
from forwardpass_server.rpc.prediction_service import SERVICE as PREDICTION_SERVICE
from forwardpass_server.rpc.prediction_service import prediction_service
from forwardpass_server.rpc.receiving import Receiver
from forwardpass_server.rpc.reflection import reflection_services
from forwardpass_server.rpc.server import Server, grpc_server
from forwardpass_server.rpc.server_handlers import server_handlers
from forwardpass_server.rpc.tokens_file import TokensFileError, parse_tokens
from forwardpass_server.rpc.tokens_file import read_text as read_tokens_file

__all__ = [
    "HEALTH_CHECK",
    "HEALTH_SCOPES",
    "HEALTH_SERVICE",
    "HOT_PREDICTIONS",
    "NETWORK_SERVICE",
    "PREDICTION_SERVICE",
    "Administration",
    "Around",
    "AsyncioTransport",
    "Broadcast",
    "CallQuota",
    "CallerCounts",
    "CountsByCaller",
    "ErrorMapper",
    "Guard",
    "Health",
    "InFlight",
    "Interceptor",
    "NativeTransport",
    "NetworkService",
    "Receiver",
    "Server",
    "Service",
    "TokensFileError",
    "UnknownMethods",
    "admission",
    "authorization",
    "cores",
    "deadline",
    "declared_scopes",
    "descriptor_set",
    "errors",
    "grpc_server",
    "handlers",
    "open_front",
    "parse_tokens",
    "prediction_service",
    "raise_descriptor_limit",
    "read_tokens_file",
    "reflection_services",
    "server_handlers",
    "usable_connections",
]
