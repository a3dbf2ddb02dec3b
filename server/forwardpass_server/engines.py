"""The engines, which are gRPC servers, and the choice between them.

`native` is pygrpc-native: HTTP/2 and gRPC in Rust for the hot methods, with a grpc.aio server
behind it for all others. `grpcio` is grpc.aio alone. docs/explanation/engines.md lists the differences.
"""

import importlib.util
import sys
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
        EngineError: The setting is `native`, and that engine cannot do what another setting needs; or several processes
            cannot serve.
    """
    engine = _choose(settings)
    if settings.process_count > 1:
        _check_processes(settings, engine)
    return engine


def _choose(settings: "Settings") -> Engine:
    if settings.engine == Engine.GRPCIO.value:
        return Engine.GRPCIO
    obstacle = _obstacle(settings)
    if obstacle is None and (settings.engine == Engine.NATIVE.value or is_loopback(settings.listen)):
        return Engine.NATIVE
    if settings.engine == Engine.NATIVE.value:
        raise EngineError(f"engine native: {obstacle}; remove that setting, or use --engine grpcio")
    return Engine.GRPCIO


def _check_processes(settings: "Settings", engine: Engine) -> None:
    """Reject settings with which several processes cannot serve.

    Raises:
        EngineError: They cannot; the sentence says what to do.
    """
    count = f"processes {settings.processes}"
    if sys.platform != "linux":
        raise EngineError(f"{count}: this system does not share a port fairly between processes; leave it out")
    if engine is not Engine.NATIVE:
        raise EngineError(f"{count}: engine grpcio serves in one process; use --engine native, or --processes 1")
    if settings.listen.startswith("unix:"):
        raise EngineError(f"{count}: processes cannot share a Unix socket; listen on HOST:PORT, or use --processes 1")
    if settings.database.rstrip("/").endswith(":") or settings.database.endswith(":memory:"):
        raise EngineError(f"{count}: processes cannot share a database in memory; use sqlite:///FILE")


def _obstacle(settings: "Settings") -> str | None:
    """Return the reason why the native engine cannot be used, or None."""
    if settings.tls_certificate is not None:
        return "it has no TLS, which the setting tls_certificate asks for"
    if settings.max_connection_age is not None:
        return "it does not close connections by age, which the setting max_connection_age asks for"
    if importlib.util.find_spec(PACKAGE) is None:
        return f"the package {PACKAGE.replace('_', '-')} is not installed"
    return None
