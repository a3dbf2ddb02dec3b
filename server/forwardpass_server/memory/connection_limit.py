"""Bound of the connections of a gRPC listener: the newest of the address that has the most are closed.

pygrpc-native accepts whatever comes, and grpcio bounds the connections of all addresses together only. So a thread
looks from time to time how many there are; on Linux only, where the kernel tells.
"""

import logging
import time
from collections import defaultdict
from itertools import count

from forwardpass_server.memory.look_schedule import LookSchedule
from forwardpass_server.memory.sockets import Connection, Sockets, descriptor_count

log = logging.getLogger(__name__)


class ConnectionLimit:
    """The most connections that clients may have, in all and from one address. Not for several threads."""

    def __init__(self, sockets: Sockets, *, max_connections: int) -> None:
        """Make it.

        Args:
            sockets: The connections.
            max_connections: How many there may be; one address may have half of them.
        """
        self._sockets = sockets
        self._max = max_connections
        self._max_of_address = max(1, max_connections // 2)
        self._looks = LookSchedule()
        # In which order connections were seen first.
        self._orders: dict[str, int] = {}
        self._next_order = count()
        # Those that were closed, as long as their engine has not noticed.
        self._closed: set[str] = set()

    def enforce(self) -> int:
        """Close the connections that are too many, if it is time to look again; return how many."""
        if not self._looks.is_due(time.monotonic()) or descriptor_count() <= self._max_of_address:
            return 0
        with self._looks.looking():
            return self._close_surplus()

    def look_again(self) -> None:
        """Look at the next call of `enforce`, however soon that is."""
        self._looks.make_due()

    def _close_surplus(self) -> int:
        connections = self._sockets.connections()
        self._closed &= connections.keys()
        surplus = self._surplus({peer: each for peer, each in connections.items() if peer not in self._closed})
        for connection in surplus:
            self._sockets.close(connection)
            self._closed.add(connection.peer)
        if surplus:
            log.warning(
                "closed %d connections: there are more than %d, or more than half of that from one address "
                "(setting max_connections)",
                len(surplus),
                self._max,
            )
        return len(surplus)

    def _surplus(self, connections: dict[str, Connection]) -> list[Connection]:
        """Return the connections that are too many."""
        new = sorted(connections.keys() - self._orders.keys(), key=lambda peer: connections[peer].descriptor)
        self._orders = {peer: order for peer, order in self._orders.items() if peer in connections}
        self._orders |= dict(zip(new, self._next_order, strict=False))
        by_address: defaultdict[str, list[Connection]] = defaultdict(list)
        for peer in sorted(connections, key=self._orders.__getitem__):
            by_address[peer.rpartition(":")[0]].append(connections[peer])
        surplus: list[Connection] = []
        for those in by_address.values():
            surplus += those[self._max_of_address :]
            del those[self._max_of_address :]
        left = sum(map(len, by_address.values()))
        while left > self._max:
            surplus.append(max(by_address.values(), key=len).pop())
            left -= 1
        return surplus
