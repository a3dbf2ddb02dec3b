"""A name server for tests: one name, whose addresses change as a fleet grows and shrinks.

What it sends is of RFC 1035: the query back, and one record of type A for each address.
"""

import ipaddress
import socket
import struct
import threading
from collections.abc import Iterable
from typing import Final, Self

TYPE_A: Final = 1
RESPONSE: Final = 0x8580
"""A response, authoritative, recursion desired and available."""

TO_THE_QUESTION: Final = 0xC00C
"""A name that stands at byte 12 already."""


class NameServer:
    """Responds to every query of type A with its addresses, over UDP on loopback.

    Attributes:
        port: Where it listens.
    """

    def __init__(self) -> None:
        self._addresses: tuple[bytes, ...] = ()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._answer)

    def says(self, addresses: Iterable[str]) -> None:
        """Have these IPv4 addresses from now on."""
        self._addresses = tuple(ipaddress.IPv4Address(address).packed for address in addresses)

    def _answer(self) -> None:
        while True:
            packet, asker = self._socket.recvfrom(4096)
            if not packet:
                return
            self._socket.sendto(self._reply(packet), asker)

    def _reply(self, packet: bytes) -> bytes:
        end = packet.index(b"\0", 12) + 5
        query = packet[12:end]
        (kind,) = struct.unpack("!H", query[-4:-2])
        found = self._addresses if kind == TYPE_A else ()
        records = [struct.pack("!HHHIH", TO_THE_QUESTION, TYPE_A, 1, 0, len(address)) + address for address in found]
        header = packet[:2] + struct.pack("!HHHHH", RESPONSE, 1, len(records), 0, 0)
        return header + query + b"".join(records)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()
