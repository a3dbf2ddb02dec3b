"""A worker process as its owner sees it: an interpreter of its own, and a socket to it that no other process has."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Final

from forwardpass_server.settings import PREFIX

MODULE: Final = "forwardpass_server.worker"


class WorkerProcess:
    """A process that runs `forwardpass_server.worker`. It ends by itself when this process ends, however it does.

    Attributes:
        pid: Its process id.
    """

    def __init__(self, *shared: int) -> None:
        """Start the process.

        Args:
            shared: The file descriptors of shared memory that it inherits.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            # Not forked: threads and gRPC would not survive it.
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-P", "-m", MODULE, *map(str, (theirs.fileno(), *shared))],
                stdin=subprocess.DEVNULL,
                # Settings come over the socket, whatever has become of their file.
                env={name: value for name, value in os.environ.items() if not name.startswith(PREFIX)},
                pass_fds=[theirs.fileno(), *shared],
            )
        self.pid = self._process.pid
        self._connection = Connection(ours.detach())
        self._sending = threading.Lock()

    def send(self, message: object) -> None:
        """Send a message, unless the process has ended."""
        with self._sending, contextlib.suppress(OSError):
            self._connection.send(message)

    def receive_all(self, receive: Callable[[object], None]) -> None:
        """Call back with each message until the process has ended."""
        with contextlib.suppress(EOFError, OSError):
            while True:
                receive(self._connection.recv())

    def kill(self) -> None:
        """End the process now."""
        self._process.kill()

    def wait(self) -> int:
        """Wait for the end, and close the socket; return the exit code."""
        code = self._process.wait()
        with self._sending:
            self._connection.close()
        return code
