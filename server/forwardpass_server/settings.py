"""The settings: by flag, environment variable or TOML file, in that order of precedence.

docs/reference/settings.md has the table of these fields, generated from this class.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from annotated_types import Ge, Gt, Le
from forwardpass.errors import InvalidFieldError
from forwardpass.listening import is_host_and_port, is_loopback
from forwardpass.numerics import Numerics
from forwardpass.spec import DEFAULT_LIMITS, Limits, check_name
from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from forwardpass_server.cores import available_cores
from forwardpass_server.memory import MemoryShares, default_max_memory
from forwardpass_server.serving import WorkLimits

PREFIX: Final = "FORWARDPASS_SERVER_"
CONFIG_VARIABLE: Final = f"{PREFIX}CONFIG"

Count = Annotated[int, Ge(1)]
Seconds = Annotated[float, Ge(0), Field(allow_inf_nan=False)]

_WORK: Final = WorkLimits()


class BadSettingsError(Exception):
    """A setting cannot be used; the sentence names it, its value and the values that are allowed."""


class Settings(BaseSettings):
    """The settings of `forwardpass-server serve`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    listen: str = Field(
        "127.0.0.1:50051",
        description="Address to listen on: `HOST:PORT` (port 0 takes a free one) or `unix:PATH`.",
    )
    rest_listen: str | None = Field(
        None,
        description="Address for the Open Inference Protocol over HTTP, `HOST:PORT`; off unless set, and needs the "
        "extra `rest`.",
    )
    metrics_listen: str | None = Field(
        None,
        description="Address of Prometheus metrics, `HOST:PORT` (docs/reference/metrics.md); off unless set. "
        "Needs the extra `metrics`.",
    )
    view_listen: str | None = Field(
        None,
        description="Address of the page that shows the networks, `HOST:PORT` (docs/how-to/view.md); off unless set. "
        "Needs the extra `view`.",
    )
    admin_listen: str | None = Field(
        None,
        description="Address of a gRPC listener of its own for administration, `HOST:PORT` or `unix:PATH`: health, "
        "NetworkService and reflection, however busy `listen` is (docs/explanation/overload.md); off unless set.",
    )
    database: str = Field(
        "sqlite:///forwardpass.db",
        description="URL of the registry's database: `sqlite:///FILE`, or `postgresql://USER@HOST/DATABASE` for "
        "several servers on one (docs/how-to/postgres.md).",
    )
    database_connect_timeout: Seconds = Field(
        30.0, description="Seconds to retry at start while a PostgreSQL database cannot be reached."
    )
    database_poll: Annotated[float, Gt(0), Field(allow_inf_nan=False)] = Field(
        1.0, description="Seconds between polls for changes by other servers, if no notification comes before."
    )
    engine: Literal["auto", "native", "grpcio"] = Field(
        "auto",
        description="gRPC server (docs/explanation/engines.md); `auto` is native if installed and able.",
    )
    processes: Annotated[int, Ge(1), Le(1_000)] | Literal["auto"] = Field(
        1,
        description="Worker processes that share the port and respond to calls, or `auto` for one on each core "
        "(docs/explanation/scaling.md); 1 serves in one process. Needs engine native, and Linux.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least important level that is logged, as JSON lines on stderr."
    )
    tokens_file: Path | None = Field(
        None,
        description="File of token hashes, their scopes and limits (docs/explanation/security.md); without it no call "
        "needs a token.",
    )
    insecure: bool = Field(
        False,
        description="Serve without a tokens file on an address that other machines can reach, so that everyone who "
        "reaches it may do everything; refused unless set.",
    )
    tls_certificate: Path | None = Field(None, description="PEM file of the server's certificate chain; enables TLS.")
    tls_key: Path | None = Field(None, description="PEM file of the certificate's private key.")
    tls_client_ca: Path | None = Field(
        None,
        description="PEM file of the authorities that sign the certificates of clients; then a client needs such a "
        "certificate, and the tokens file may name it (docs/explanation/security.md). Needs `tls_certificate`.",
    )
    call_timeout: Annotated[float, Gt(0)] = Field(
        300.0,
        description="Seconds after which a unary call ends, if the deadline of its caller is later.",
    )
    max_connection_age: Annotated[float, Gt(0)] | None = Field(
        None,
        description="Seconds after which a connection is closed gracefully; engine grpcio only, there 600 if unset.",
    )
    max_connections: Count = Field(
        2_000,
        description="Connections of each listener, fewer where the process may have fewer descriptors; one address may "
        "have half of them. Engine native has this bound on Linux only.",
    )
    max_in_flight: Count = Field(1_000, description="Calls in flight; further ones get an error.")
    max_memory: Annotated[int, Ge(32 * 2**20)] | None = Field(
        None,
        description="Bytes that callers can make the server hold, beside plans: requests that are arriving, uploads "
        "and the rest (docs/explanation/reliability.md). Unset, a quarter of the container's or "
        "machine's memory, from 256 MiB to 1 GiB.",
    )
    receive_timeout: Annotated[float, Gt(0)] = Field(
        60.0, description="Seconds in which a request, or the next part of an upload, must arrive."
    )
    send_timeout: Annotated[float, Gt(0)] = Field(
        30.0,
        description="Seconds after which a connection is closed that reads nothing of a large response; on Linux only.",
    )
    max_request_bytes: Count = Field(4 * 2**20, description="Bytes of one request.")
    max_response_bytes: Count = Field(_WORK.max_response_bytes, description="Bytes of the numbers in one response.")
    max_rows: Count = Field(_WORK.max_rows, description="Rows of one call.")
    max_gflop_per_call: Annotated[float, Gt(0)] = Field(
        _WORK.max_gflop_per_call, description="Floating-point operations of one call, in billions."
    )
    max_networks: Count = Field(100_000, description="Networks in the registry.")
    max_versions: Count = Field(1_000, description="Versions of one network, not counting deleted ones.")
    plan_cache_bytes: Count = Field(
        2**30, description="Bytes of compiled versions in memory; the least recently used ones are evicted."
    )
    preload: str | None = Field(
        None,
        description="Versions that are compiled at start and stay in memory, within `plan_cache_bytes`: "
        "`NAME` or `NAME/VERSION` or `NAME/ALIAS`, separated by commas.",
    )
    max_layers: Count = Field(DEFAULT_LIMITS.max_layers, description="Layers of one network.")
    max_width: Count = Field(DEFAULT_LIMITS.max_width, description="Inputs of a network, or nodes of one layer.")
    max_network_bytes: Count = Field(
        DEFAULT_LIMITS.max_network_bytes, description="Bytes of one network's file, and of its weights and biases."
    )
    numerics: Numerics = Field(
        "exact",
        description="Numerics of networks whose spec does not set them: `exact` or `fast` (docs/reference/spec.md).",
    )
    blas_threads: Count = Field(1, description="Threads that numpy's BLAS may use for one matrix product.")
    lame_duck: Seconds = Field(
        2.0, description="Seconds to continue serving after SIGTERM, while load balancers see NOT_SERVING."
    )
    drain_timeout: Seconds = Field(30.0, description="Seconds to wait for calls in flight before the server exits.")

    @field_validator("processes", mode="wrap")
    @classmethod
    def _processes(cls, value: object, handler: ValidatorFunctionWrapHandler) -> object:
        try:
            return handler(value)
        except ValidationError:
            raise ValueError("must be a number from 1 to 1000, or auto") from None

    @field_validator("listen", "admin_listen")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not (value.startswith("unix:") and len(value) > len("unix:")) and not is_host_and_port(value):
            raise ValueError("must be HOST:PORT, with a port from 0 to 65535, or unix:PATH")
        return value

    @field_validator("rest_listen", "metrics_listen", "view_listen")
    @classmethod
    def _http_address(cls, value: str | None) -> str | None:
        if value is not None and not is_host_and_port(value):
            raise ValueError("must be HOST:PORT, with a port from 0 to 65535")
        return value

    @field_validator("preload")
    @classmethod
    def _versions(cls, value: str | None) -> str | None:
        for entry in value.split(",") if value else ():
            name, slash, reference = entry.strip().partition("/")
            try:
                check_name(name)
                if slash and not re.fullmatch(r"[1-9][0-9]{0,18}", reference):
                    check_name(reference, "alias")
            except InvalidFieldError as error:
                raise ValueError(f"must be NAME or NAME/VERSION, separated by commas: {error}") from None
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - part of the signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - part of the signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources in order of precedence: flags, the environment, the file."""
        path = os.environ.get(CONFIG_VARIABLE)
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, path)

    @property
    def exposed(self) -> dict[str, str]:
        """The addresses of calls that other machines can reach, by the names of their settings."""
        names = [name for name in Settings.model_fields if name.endswith("listen") and name != "metrics_listen"]
        addresses: dict[str, str | None] = {name: getattr(self, name) for name in names}
        return {name: address for name, address in addresses.items() if address and not is_loopback(address)}

    @property
    def process_count(self) -> int:
        """The number of worker processes; 1 means none beside the process itself."""
        return available_cores() if self.processes == "auto" else self.processes

    @property
    def memory(self) -> MemoryShares:
        """How much memory callers may take, and for what."""
        return MemoryShares(max_memory=self.max_memory or default_max_memory())

    @property
    def spec_limits(self) -> Limits:
        """The limits of specs."""
        return Limits(
            max_layers=self.max_layers,
            max_width=self.max_width,
            max_network_bytes=self.max_network_bytes,
        )

    @property
    def preload_references(self) -> list[tuple[str, str]]:
        """The name and reference of each version that is compiled at start; an empty reference is `latest`."""
        entries = self.preload.split(",") if self.preload else []
        parts = [entry.strip().partition("/") for entry in entries]
        return [(name, reference) for name, _, reference in parts]

    @property
    def work_limits(self) -> WorkLimits:
        """The limits of one call."""
        return WorkLimits(
            max_rows=self.max_rows,
            max_gflop_per_call=self.max_gflop_per_call,
            max_response_bytes=self.max_response_bytes,
        )


def load(flags: dict[str, Any]) -> Settings:
    """Read the settings.

    Args:
        flags: The values of flags, by the names of the fields; they have precedence.

    Raises:
        BadSettingsError: A value is not allowed, a name is unknown, or the file cannot be read.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {CONFIG_VARIABLE}
    unknown = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)
    if unknown:
        raise BadSettingsError(
            f"the environment variable {unknown[0]} is not a setting; see docs/reference/settings.md"
        )
    path = os.environ.get(CONFIG_VARIABLE)
    if path and not Path(path).is_file():
        raise BadSettingsError(f"the settings file {path} does not exist")
    try:
        settings = Settings(**flags)
    except ValidationError as error:
        raise BadSettingsError("; ".join(map(_sentence, error.errors()))) from None
    except (SettingsError, ValueError, OSError) as error:
        raise BadSettingsError(f"the settings cannot be read: {error}") from None
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        raise BadSettingsError("settings tls_certificate and tls_key must be set together; only one of them is set")
    if settings.tls_client_ca is not None and settings.tls_certificate is None:
        raise BadSettingsError("setting tls_client_ca needs TLS; set tls_certificate and tls_key too")
    return settings


def _sentence(error: Any) -> str:
    name = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        return f"there is no setting {name!r}"
    reason = error["msg"].removeprefix("Value error, ")
    return f"setting {name} is {error['input']!r}: {reason[:1].lower()}{reason[1:]}"


def table() -> str:
    """Return the table of all settings in docs/reference/settings.md, as Markdown."""
    lines = ["| flag | variable | default | what |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        flag = f"`--{name.replace('_', '-')}`"
        default = "" if field.default is None else f"`{field.default}`"
        lines.append(f"| {flag} | `{PREFIX}{name.upper()}` | {default} | {field.description} |")
    return "\n".join(lines)
