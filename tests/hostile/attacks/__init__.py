"""What hostile and careless callers do to a server, one function for each attack."""

from typing import Final

from tests.hostile.attacks.arriving import bombs, half_sent, half_sent_bodies, half_sent_requests
from tests.hostile.attacks.computing import own_functions, registrations
from tests.hostile.attacks.connecting import connections
from tests.hostile.attacks.parts import PARTS, empty_messages, json_objects
from tests.hostile.attacks.target import Attack, Target
from tests.hostile.attacks.unread import unread_bodies, unread_networks, unread_streams, unread_traces, watchers

MIB: Final = 2**20
MAX_PARTS: Final = (f"--max-request-bytes={16 * MIB}",)

ATTACKS: Final[dict[str, Attack]] = {
    "half_sent": Attack(act=half_sent),
    "half_sent_requests": Attack(act=half_sent_requests),
    "half_sent_bodies": Attack(act=half_sent_bodies),
    "bombs": Attack(act=bombs, is_bounded_by_native=False),
    "empty_messages": Attack(act=empty_messages),
    **{name: Attack(act=act, flags=MAX_PARTS) for name, act in PARTS.items()},
    "json_objects": Attack(act=json_objects, flags=MAX_PARTS, is_bounded_by_envoy=False),
    "unread_traces": Attack(act=unread_traces),
    "unread_networks": Attack(act=unread_networks),
    "unread_streams": Attack(act=unread_streams),
    "unread_bodies": Attack(act=unread_bodies),
    "watchers": Attack(act=watchers),
    "own_functions": Attack(act=own_functions),
    "registrations": Attack(act=registrations),
    "connections": Attack(act=connections, descriptors=256),
}

__all__ = ["ATTACKS", "Attack", "Target"]
