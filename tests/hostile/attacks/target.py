"""A server that is attacked, and how."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from forwardpass import Client

MIB: Final = 2**20
ATTACK_SECONDS: Final = 6.0
UNREAD: Final = [("grpc.http2.lookahead_bytes", 1_024), ("grpc.max_receive_message_length", -1)]
"""Options of a channel that receives a response only when it is read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A server, as its callers reach it.

    Attributes:
        address: Where gRPC is served: by the server, or by Envoy in front of it.
        url: Where HTTP is served: the server's `rest_listen`, or Envoy, which makes gRPC of JSON.
        predict_path: The path of a prediction there, by the network `article-linear`.
        client: A client that reaches the server, to register what an attack needs.
    """

    address: str
    url: str
    predict_path: str
    client: Client

    @property
    def http(self) -> tuple[str, int]:
        """The host and the port of `url`."""
        place = urlsplit(self.url)
        return place.hostname or "", place.port or 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Attack:
    """What a hostile or careless caller does.

    Attributes:
        act: Does it, for about `ATTACK_SECONDS`.
        flags: Settings of the server that let the attack reach what it attacks.
        descriptors: The file descriptors that the server may have, if few.
        is_bounded_by_native: Whether engine native bounds it without a proxy.
        is_bounded_by_envoy: Whether Envoy bounds what it does for it.
    """

    act: Callable[[Target], None]
    flags: tuple[str, ...] = ()
    descriptors: int | None = None
    is_bounded_by_native: bool = True
    is_bounded_by_envoy: bool = True


def rounds(pause: float = 0.0) -> Iterator[None]:
    """Let a loop go round until the time of an attack is over."""
    ends = time.monotonic() + ATTACK_SECONDS
    while time.monotonic() < ends:
        yield
        time.sleep(pause)
