"""Connections that repeat one request, with a few microseconds of Python for each call, for `benchmarks.open_loop`.

Every call sends the same bytes, except for the number of its stream. gRPC goes over HTTP/2 (RFC 9113), whose header
fields are sent once and repeated by their index (RFC 7541, section 6.1); everything else goes over HTTP/1.1.
"""

import re
import socket
import struct
import time
from abc import ABC, abstractmethod
from collections import deque
from typing import Final, NamedTuple

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4
HEADER_TABLE_SIZE, MAX_CONCURRENT_STREAMS = 1, 3
PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
WINDOW: Final = 65_535
LARGEST_WINDOW: Final = 2**31 - 1
RECEIVE_BYTES: Final = 2**20
LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Call(NamedTuple):
    """The times of one call, of `time.perf_counter`."""

    scheduled: float
    begun: float
    ended: float


class Connection(ABC):
    """A connection that begins the calls which wait, as far as the server takes them.

    Attributes:
        waiting: The scheduled times of the calls that wait; connections share it.
        calls: The calls that have ended.
        failed: The number of them that ended with an error.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.waiting: deque[float] = deque()
        self.calls: list[Call] = []
        self.failed = 0
        self._socket = socket.create_connection((host, int(port)), timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""

    def fileno(self) -> int:
        """Return the descriptor of the socket."""
        return self._socket.fileno()

    def send(self) -> None:
        """Begin waiting calls."""
        data = self._begin()
        if data:
            self._socket.sendall(data)

    def receive(self) -> None:
        """Wait for bytes, and end the calls whose responses are complete."""
        received = self._socket.recv(RECEIVE_BYTES)
        if not received:
            raise ConnectionError("the server closed a connection")
        self._received += received
        self._parse()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    @abstractmethod
    def _begin(self) -> bytes:
        """Take the waiting calls that can begin now; return their bytes."""

    @abstractmethod
    def _parse(self) -> None:
        """Take what is complete from the received bytes."""


class GrpcConnection(Connection):
    """Calls of one unary method, as many at once as the server allows."""

    def __init__(self, address: str, method: str, message: bytes) -> None:
        super().__init__(address)
        self._message = struct.pack(">?I", False, len(message)) + message
        self._stream = -1
        self._window = WINDOW  # of the connection; a call is smaller than that of its stream
        self._max_open = LARGEST_WINDOW
        self._open: dict[int, tuple[float, float]] = {}
        self._with_message: set[int] = set()
        fields = (
            b"\x41" + _string(address),  # :authority
            b"\x44" + _string(method),  # :path
            b"\x5f" + _string("application/grpc"),  # content-type
            b"\x40" + _string("te") + _string("trailers"),
        )
        # POST and http are in the table of every connection; the other fields enter it here, and the last is then 62.
        self._block = b"\x83\x86" + b"".join(fields)
        try:
            self._open_connection()
        except BaseException:
            self.close()
            raise
        self._block = b"\x83\x86\xc1\xc0\xbf\xbe"

    def _open_connection(self) -> None:
        """Make the first call, whose header fields the others repeat."""
        opening = _frame(SETTINGS, 0, 0) + _frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", LARGEST_WINDOW - WINDOW))
        self._socket.sendall(PREFACE + opening)
        self.waiting.append(time.perf_counter())
        self.send()
        while not self.calls:
            self.receive()
        if self.failed:
            raise ConnectionError("the server responded with an error")
        self.calls.clear()

    def _begin(self) -> bytes:
        parts = []
        size = len(self._message)
        while self.waiting and self._window >= size and len(self._open) < self._max_open:
            self._stream += 2
            self._window -= size
            self._open[self._stream] = self.waiting.popleft(), time.perf_counter()
            parts.append(_frame(HEADERS, END_HEADERS, self._stream, self._block))
            parts.append(_frame(DATA, END_STREAM, self._stream, self._message))
        return b"".join(parts)

    def _parse(self) -> None:
        now = time.perf_counter()
        data, place = self._received, 0
        while len(data) >= place + 9:
            length = int.from_bytes(data[place : place + 3], "big")
            end = place + 9 + length
            if len(data) < end:
                break
            kind, flags = data[place + 3], data[place + 4]
            stream = int.from_bytes(data[place + 5 : place + 9], "big")
            if kind == DATA:
                self._with_message.add(stream)
            elif kind != HEADERS:
                self._handle(kind, flags, stream, data[place + 9 : end])
            if kind <= HEADERS and flags & END_STREAM:
                self._end(stream, now)
            place = end
        self._received = data[place:]

    def _end(self, stream: int, now: float) -> None:
        """End a call; one without a message has failed."""
        self.calls.append(Call(*self._open.pop(stream), now))
        if stream in self._with_message:
            self._with_message.remove(stream)
        else:
            self.failed += 1

    def _handle(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == WINDOW_UPDATE and not stream:
            self._window += struct.unpack(">I", payload)[0]
        elif kind == PING and not flags & ACK:
            self._socket.sendall(_frame(PING, ACK, 0, payload))
        elif kind == SETTINGS and not flags & ACK:
            settings = dict(struct.iter_unpack(">HI", payload))
            self._max_open = settings.get(MAX_CONCURRENT_STREAMS, self._max_open)
            if settings.get(HEADER_TABLE_SIZE, 4096) < 4096:
                raise ConnectionError("the server does not keep the header fields")
            self._socket.sendall(_frame(SETTINGS, ACK, 0))
        elif kind == RST_STREAM:
            self._with_message.discard(stream)
            self._end(stream, time.perf_counter())
        elif kind == GOAWAY:
            raise ConnectionError(f"the server ended a connection: {payload!r}")


class HttpConnection(Connection):
    """POSTs of one JSON body, one at a time."""

    def __init__(self, address: str, path: str, body: bytes) -> None:
        super().__init__(address)
        fields = f"Host: {address}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        self._request = f"POST {path} HTTP/1.1\r\n{fields}\r\n\r\n".encode() + body
        self._open: tuple[float, float] | None = None

    def _begin(self) -> bytes:
        if self._open is not None or not self.waiting:
            return b""
        self._open = self.waiting.popleft(), time.perf_counter()
        return self._request

    def _parse(self) -> None:
        head, found, body = self._received.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        if not found or length is None or len(body) < int(length[1]) or self._open is None:
            return
        self.calls.append(Call(*self._open, time.perf_counter()))
        self.failed += not head.startswith(b"HTTP/1.1 200 ")
        self._open, self._received = None, b""


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Encode a frame; see RFC 9113, section 4.1."""
    return struct.pack(">BHBBI", len(payload) >> 16, len(payload) & 0xFFFF, kind, flags, stream) + payload


def _string(text: str) -> bytes:
    """Encode a string of less than 127 bytes; see RFC 7541, section 5.2."""
    return bytes([len(text)]) + text.encode()
