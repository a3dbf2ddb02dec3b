"""`forwardpass-server serve`, and `health` for containers.

Exit codes: 0 ended as asked, 1 not healthy, 2 settings, database or address that cannot be used.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from forwardpass_server.settings import CONFIG_VARIABLE, BadSettingsError, Settings, load


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    options = vars(_parser().parse_args(arguments))
    command = options.pop("command")
    if command == "health":
        raise SystemExit(_health(options["address"]))
    config = options.pop("config", None)
    if config is not None:
        os.environ[CONFIG_VARIABLE] = config
    raise SystemExit(_serve(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="forwardpass-server", description="Serves feed-forward networks.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser(
        "serve",
        help="serve until SIGTERM or SIGINT",
        argument_default=argparse.SUPPRESS,
        epilog="Each setting may also be an environment variable, FORWARDPASS_SERVER_ and its name in "
        "capitals, or a key of the TOML file. A flag comes first, then the variable, then the file.",
    )
    serve.add_argument("--config", metavar="FILE", help="TOML file with settings")
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else f" (default {field.default})"
        help_text = f"{field.description}{default}".replace("%", "%%")
        serve.add_argument(f"--{name.replace('_', '-')}", dest=name, metavar="VALUE", help=help_text)
    health = commands.add_parser("health", help="ask a server whether it serves; exit 0 if so, else 1")
    health.add_argument("address", nargs="?", default="127.0.0.1:50051", metavar="ADDRESS")
    return parser


def _serve(flags: dict[str, str]) -> int:
    try:
        settings = load(flags)
    except BadSettingsError as error:
        return _refuse(error)
    # Only now, so that a bad setting and --help are answered at once.
    from forwardpass_server import app, logs  # noqa: PLC0415
    from forwardpass_server.engines import EngineError  # noqa: PLC0415
    from forwardpass_server.registry import StoreOpenError  # noqa: PLC0415
    from forwardpass_server.rpc import ListenError, TokensFileError  # noqa: PLC0415

    logs.configure(settings.log_level)
    try:
        app.serve(settings, ready=_say_ready)
    except (BadSettingsError, EngineError, StoreOpenError, ListenError, TokensFileError) as error:
        return _refuse(error)
    return 0


def _say_ready(address: str) -> None:
    print(f"forwardpass-server ready on {address}", flush=True)  # noqa: T201 - scripts wait for this line


def _refuse(error: Exception) -> int:
    print(f"forwardpass-server: {error}", file=sys.stderr)  # noqa: T201 - the sentence for whoever typed
    return 2


def _health(address: str) -> int:
    import grpc  # noqa: PLC0415 - not needed to serve --help
    from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse  # noqa: PLC0415

    with grpc.insecure_channel(address) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=HealthCheckRequest.SerializeToString,
            response_deserializer=HealthCheckResponse.FromString,
        )
        try:
            state = check(HealthCheckRequest(), timeout=5).status
        except grpc.RpcError as error:
            print(f"not healthy: {error.code().name}", file=sys.stderr)  # noqa: T201 - the answer
            return 1
    name = HealthCheckResponse.ServingStatus.Name(state)
    print(name.lower())  # noqa: T201 - the answer
    return 0 if state == HealthCheckResponse.SERVING else 1
