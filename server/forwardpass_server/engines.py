"""The engines, which are gRPC servers, and the choice between them.

`native` is pygrpc-native: HTTP/2 and gRPC in Rust for the hot methods, with a grpc.aio server
behind it for all others. `grpcio` is grpc.aio alone. docs/explanation/engines.md lists the differences.
"""

import importlib.util
from enum import Enum
from typing import TYPE_CHECKING, Final

from forwardpass.listening import is_loopback

if TYPE_CHECKING:
    from forwardpass_server.settings import Settings

PACKAGE: Final = "pygrpc_native"

UNBOUNDED: Final = (
    "engine native, which has no bound on what a compressed message unpacks to, listens to other machines on %s; let "
    "only a proxy reach it that refuses compressed requests, or use --engine grpcio"
)
"""The warning where native is set and other machines may connect (docs/explanation/reliability.md)."""


class Engine(Enum):
    """A gRPC server."""

    NATIVE = "native"
    GRPCIO = "grpcio"


class EngineError(Exception):
    """The engine cannot do what another setting needs; the sentence names it."""


def choose(settings: "Settings") -> Engine:
    """Return the engine to run; `auto` is native if it is installed, safe here, and can do what the settings need.

    Raises:
        EngineError: The setting is `native`, and that engine cannot do what another setting needs.
    """
    if settings.engine == Engine.GRPCIO.value:
        return Engine.GRPCIO
    obstacle = _obstacle(settings)
    if obstacle is None and (settings.engine == Engine.NATIVE.value or is_loopback(settings.listen)):
        return Engine.NATIVE
    if settings.engine == Engine.NATIVE.value:
        raise EngineError(f"engine native: {obstacle}; remove that setting, or use --engine grpcio")
    return Engine.GRPCIO


def _obstacle(settings: "Settings") -> str | None:
    """Return the reason why the native engine cannot be used, or None."""
    if settings.tls_certificate is not None:
        return "it has no TLS, which the setting tls_certificate asks for"
    if settings.max_connection_age is not None:
        return "it does not close connections by age, which the setting max_connection_age asks for"
    if importlib.util.find_spec(PACKAGE) is None:
        return f"the package {PACKAGE.replace('_', '-')} is not installed"
    return None
