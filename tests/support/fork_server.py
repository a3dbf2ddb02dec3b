"""Processes of both commands, forked from one that has imported everything: they start in 0.1 s instead of 1 s.

`python -m tests.support.fork_server SOCKET` imports the commands' modules and forks a process for each request that
comes over the socket. It makes no thread and no gRPC channel of its own, which a fork would lose. Each test process
starts one when it first needs it; it ends with that process.
"""

import atexit
import contextlib
import functools
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Literal, NoReturn, TypeAlias

Command: TypeAlias = Literal["forwardpass", "forwardpass-server"]

PRELOADED: Final = (
    "forwardpass.cli.app",
    "forwardpass_server.cli",
    "forwardpass_server.app",
    "forwardpass_server.metrics",
    "forwardpass_server.oip.rest",
    "forwardpass.view",
    "psycopg",
    "pygrpc_native",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite",
    "uvicorn.protocols.http.httptools_impl",
)
"""What the commands import when they run; what is not installed is left out."""


class ForkedProcess:
    """A forked process; has those methods of `subprocess.Popen` that tests need.

    Attributes:
        pid: Its process id.
        returncode: Its exit code, or None while it runs.
    """

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._connection = connection

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(timeout=0.0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; return the exit code.

        Raises:
            subprocess.TimeoutExpired: It still runs.
        """
        if self.returncode is None:
            self._connection.settimeout(timeout)
            try:
                code = _receive(self._connection, 4)
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0) from None
            self.returncode = int.from_bytes(code, signed=True)
            self._connection.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it may end between the two
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send it SIGTERM, unless it has ended."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send it SIGKILL, unless it has ended."""
        self.send_signal(signal.SIGKILL)


def start(
    command: Command,
    arguments: Sequence[str],
    *,
    files: tuple[int, int, int],
    environment: Mapping[str, str],
    cwd: Path | None = None,
) -> ForkedProcess:
    """Start a command in a forked process.

    Args:
        command: Its name.
        arguments: Its arguments.
        files: The descriptors that become its stdin, stdout and stderr.
        environment: All its environment variables; PYTHONPATH and others that are read at Python's start do nothing.
        cwd: Its folder; the one of the caller by default.
    """
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(_address())
    request = {
        "command": command,
        "arguments": [*arguments],
        "environment": dict(environment),
        "cwd": str(cwd or Path.cwd()),
    }
    message = json.dumps(request).encode()
    socket.send_fds(connection, [len(message).to_bytes(4)], files)
    connection.sendall(message)
    return ForkedProcess(int.from_bytes(_receive(connection, 4)), connection)


def run(
    command: Command,
    arguments: Sequence[str],
    *,
    stdin: str = "",
    environment: Mapping[str, str],
    cwd: Path | None = None,
    timeout: float = 180.0,
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end, as `subprocess.run` does with text and captured output."""
    with tempfile.TemporaryFile() as into, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        into.write(stdin.encode())
        into.seek(0)
        files = (into.fileno(), out.fileno(), err.fileno())
        process = start(command, arguments, files=files, environment=environment, cwd=cwd)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        for file in (out, err):
            file.seek(0)
        return subprocess.CompletedProcess([command, *arguments], code, out.read().decode(), err.read().decode())


@functools.cache
def _address() -> str:
    """Start the process that forks; return the address of its socket, which ends with this process."""
    address = str(Path(tempfile.mkdtemp(prefix="fork-server-")) / "socket")
    ours, theirs = socket.socketpair()
    # One BLAS thread, since a fork loses threads.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", __name__, address, str(theirs.fileno())]
    process = subprocess.Popen(command, env=environment, pass_fds=[theirs.fileno()], cwd=Path(__file__).parents[2])
    theirs.close()
    ours.settimeout(120)
    _receive(ours, 1)

    def end() -> None:
        ours.close()  # at which it ends
        process.wait(60)

    atexit.register(end)
    return address


def _receive(connection: socket.socket, size: int) -> bytes:
    content = b""
    while len(content) < size:
        part = connection.recv(size - len(content))
        if not part:
            raise EOFError("the other side has closed the socket")
        content += part
    return content


class _Forker:
    """The process that forks."""

    def __init__(self, address: str, lifeline: socket.socket) -> None:
        self._selector = selectors.DefaultSelector()
        self._lifeline = lifeline
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(address)
        self._listener.listen(64)
        self._running: dict[int, tuple[int, socket.socket]] = {}
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._selector.register(lifeline, selectors.EVENT_READ, self._end)

    def serve(self) -> NoReturn:
        self._lifeline.sendall(b"!")
        while True:
            for key, _ in self._selector.select():
                key.data(key.fd)

    def _end(self, _: int) -> NoReturn:
        raise SystemExit

    def _accept(self, _: int) -> None:
        connection, _address = self._listener.accept()
        header, files, _flags, _sender = socket.recv_fds(connection, 4, 3)
        request = json.loads(_receive(connection, int.from_bytes(header)))
        pid = os.fork()
        if not pid:
            for opened in (self._listener, self._lifeline, connection, self._selector):
                opened.close()
            for watched, other in self._running.values():
                os.close(watched)
                other.close()
            _become(request, files)
        for file in files:
            os.close(file)
        watched = os.pidfd_open(pid)
        self._running[watched] = (watched, connection)
        self._selector.register(watched, selectors.EVENT_READ, functools.partial(self._reap, pid))
        connection.sendall(pid.to_bytes(4))

    def _reap(self, pid: int, watched: int) -> None:
        self._selector.unregister(watched)
        _, status = os.waitpid(pid, 0)
        os.close(watched)
        _, connection = self._running.pop(watched)
        with contextlib.suppress(OSError):
            connection.sendall(os.waitstatus_to_exitcode(status).to_bytes(4, signed=True))
        connection.close()


def _become(request: Any, files: Sequence[int]) -> NoReturn:
    """Run a command in the forked process, and end the process as the interpreter would."""
    code: Any = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["environment"])
        if "TZ" in request["environment"]:
            time.tzset()
        sys.argv = [request["command"], *request["arguments"]]
        _COMMANDS[request["command"]]()
        code = 0
    except SystemExit as ended:
        code = ended.code
    except BaseException:  # noqa: BLE001 - as the interpreter does it
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)


def _run_client() -> None:
    # Not its `main`, which looks for the extra first.
    import_module("forwardpass.cli.app").run()


def _run_server() -> None:
    import_module("forwardpass_server.cli").main()


_COMMANDS: Final[Mapping[Command, Callable[[], None]]] = {
    "forwardpass": _run_client,
    "forwardpass-server": _run_server,
}


def main(address: str, lifeline: str) -> None:
    """Import what the commands need, then fork."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for module in PRELOADED:
        with contextlib.suppress(ImportError):
            import_module(module)
    _Forker(address, socket.socket(fileno=int(lifeline))).serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
