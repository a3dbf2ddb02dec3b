"""Frames of HTTP/2 by hand, for what no client of gRPC would send. See RFC 9113; headers are not indexed (RFC 7541)."""

import select
import socket
import struct
import time
from typing import Final

DATA, HEADERS, SETTINGS, WINDOW_UPDATE = 0, 1, 4, 8
PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_FRAME: Final = 16_384
WINDOW: Final = 65_535


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Encode a frame."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


class RawConnection:
    """A connection on which a test sends what it likes.

    Attributes:
        is_closed: Whether the server has closed it.
    """

    def __init__(self, address: str) -> None:
        host, port = address.rsplit(":", 1)
        self._socket = socket.create_connection((host, int(port)), timeout=10)
        self._socket.sendall(PREFACE + frame(SETTINGS, 0, 0))
        self._received = b""
        self._stream = -1
        self._windows: dict[int, int] = {0: WINDOW}
        self._initial = WINDOW
        self.is_closed = False

    def begin(self, path: str, size: int, *, compressed: bool = False) -> int:
        """Begin a call, and declare a message of a size; return the stream."""
        self._stream += 2
        fields = {":path": path, ":authority": "localhost", "te": "trailers", "content-type": "application/grpc"}
        if compressed:
            fields["grpc-encoding"] = "gzip"
        block = b"\x83\x86"  # POST, http
        for name, value in fields.items():
            block += b"".join([b"\0", bytes([len(name)]), name.encode(), bytes([len(value)]), value.encode()])
        self._send(frame(HEADERS, 4, self._stream, block))
        self.send(self._stream, bytes([compressed]) + struct.pack(">I", size))
        return self._stream

    def send(self, stream: int, data: bytes, *, seconds: float = 2.0) -> int:
        """Send data as far as the windows allow; return how many bytes were sent before nothing went on for a time."""
        sent, since = 0, time.monotonic()
        while sent < len(data) and not self.is_closed:
            room = min(self._windows[0], self._windows.setdefault(stream, self._initial), MAX_FRAME, len(data) - sent)
            if room > 0:
                self._send(frame(DATA, 0, stream, data[sent : sent + room]))
                self._windows[0] -= room
                self._windows[stream] -= room
                sent, since = sent + room, time.monotonic()
            elif time.monotonic() - since > seconds:
                break
            self._receive(0.0 if room > 0 else 0.1)
        return sent

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError:
            self.is_closed = True

    def _receive(self, seconds: float) -> None:
        readable, _, _ = select.select([self._socket], [], [], seconds)
        if not readable:
            return
        try:
            received = self._socket.recv(65_536)
        except OSError:
            received = b""
        self.is_closed = self.is_closed or not received
        self._received += received
        while len(self._received) >= 9 + (length := int.from_bytes(self._received[:3], "big")):
            kind, flags = self._received[3], self._received[4]
            stream = int.from_bytes(self._received[5:9], "big")
            self._handle(kind, flags, stream, self._received[9 : 9 + length])
            self._received = self._received[9 + length :]

    def _handle(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == SETTINGS and not flags & 1:
            for place in range(0, len(payload), 6):
                name, value = struct.unpack_from(">HI", payload, place)
                if name == 4:  # SETTINGS_INITIAL_WINDOW_SIZE
                    self._windows = {n: w + (value - self._initial if n else 0) for n, w in self._windows.items()}
                    self._initial = value
            self._send(frame(SETTINGS, 1, 0))
        elif kind == WINDOW_UPDATE:
            self._windows[stream] = self._windows.get(stream, self._initial) + struct.unpack(">I", payload)[0]
