"""Memory that callers make the server hold: counted in bytes before it is held, and bounded. Knows no gRPC."""

from forwardpass_server.memory.allocator import give_back, limit_arenas
from forwardpass_server.memory.arrivals import SOON, Arrival, Arrivals
from forwardpass_server.memory.byte_budget import ByteBudget, Claim
from forwardpass_server.memory.field_count import Nesting, check_field_count, nesting_of
from forwardpass_server.memory.shares import MemoryShares, default_max_memory
from forwardpass_server.memory.sockets import Sockets, peer_of
from forwardpass_server.memory.unsent import COUNTED_BYTES, Unsent
from forwardpass_server.memory.watch import MemoryWatch

__all__ = [
    "COUNTED_BYTES",
    "SOON",
    "Arrival",
    "Arrivals",
    "ByteBudget",
    "Claim",
    "MemoryShares",
    "MemoryWatch",
    "Nesting",
    "Sockets",
    "Unsent",
    "check_field_count",
    "default_max_memory",
    "give_back",
    "limit_arenas",
    "nesting_of",
    "peer_of",
]
