"""The limits of the page."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class ViewLimits:
    """Bounds on what callers make the page hold, and for how long.

    Attributes:
        max_request_bytes: Bytes of one body.
        max_bytes: Bytes that all requests hold at once, by estimate; the conversion of one body may take half of them.
        max_requests: Requests whose bodies have arrived, in progress at once.
        max_watches: Watches at once.
        body_seconds: Seconds in which a body must arrive.
        heartbeat_seconds: Seconds without a change after which a watch sends an empty line, so that a client that has
            gone is noticed.
    """

    max_request_bytes: int = 16 * 2**20
    max_bytes: int = 512 * 2**20
    max_requests: int = 64
    max_watches: int = 100
    body_seconds: float = 60.0
    heartbeat_seconds: float = 15.0
