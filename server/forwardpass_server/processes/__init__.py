"""Worker processes: they share a port, respond to hot calls, and follow the process that owns the registry."""

from forwardpass_server.processes.connection_drain import ConnectionDrain
from forwardpass_server.processes.counts import Counter
from forwardpass_server.processes.in_flight import SharedCounts, SharedInFlight
from forwardpass_server.processes.messages import (
    Collect,
    Counts,
    Damaged,
    Failed,
    Follow,
    Followed,
    Opened,
    Relay,
    Retire,
    Retired,
    Serving,
    Start,
    Stop,
)
from forwardpass_server.processes.pool import ProcessPool
from forwardpass_server.processes.quotas import SharedQuotas

__all__ = [
    "Collect",
    "ConnectionDrain",
    "Counter",
    "Counts",
    "Damaged",
    "Failed",
    "Follow",
    "Followed",
    "Opened",
    "ProcessPool",
    "Relay",
    "Retire",
    "Retired",
    "Serving",
    "SharedCounts",
    "SharedInFlight",
    "SharedQuotas",
    "Start",
    "Stop",
]
