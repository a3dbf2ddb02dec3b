"""HTTP proxies that gRPC reads from the environment, for error messages."""

import os
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from forwardpass._transport.addresses import host_of, is_local

# In the order of gRPC: https://github.com/grpc/grpc/blob/master/doc/environment_variables.md
_VARIABLES: Final = ("grpc_proxy", "https_proxy", "http_proxy")
_EXCEPTIONS: Final = ("no_grpc_proxy", "no_proxy")


def proxy_of(address: str) -> tuple[str, str, str] | None:
    """Return the proxy through which gRPC calls an address, or None.

    Returns:
        The environment variable, its URL without the password, and the host to add to `no_proxy`.
    """
    host = host_of(address)
    if host is None or is_local(address):
        return None
    variable = next((name for name in _VARIABLES if os.environ.get(name)), None)
    exceptions = next((os.environ[name] for name in _EXCEPTIONS if os.environ.get(name)), "")
    if variable is None or any(part and host.endswith(part) for part in map(str.strip, exceptions.split(","))):
        return None
    return variable, _without_password(os.environ[variable]), host


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=f"...@{parts.netloc.rpartition('@')[2]}"))
