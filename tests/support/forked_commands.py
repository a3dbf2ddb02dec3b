"""The command line in forked processes, which have everything imported and start in milliseconds instead of 0.6 s.

`python -m tests.support.forked_commands SOCKET` imports the command line, and forks a process for each request over
the socket. It must never have made a gRPC channel, whose threads a fork would lose.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class ForkedCommands:
    """Runs `forwardpass ...` in forked processes, one after another.

    Args:
        folder: An empty folder, for the socket.
    """

    def __init__(self, folder: Path) -> None:
        address = folder / "socket"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(address))
            listener.listen(1)
            listener.settimeout(60)
            # One BLAS thread, as a thread does not survive a fork.
            environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
            self._process = subprocess.Popen([sys.executable, "-m", __name__, str(address)], env=environment)
            self._connection, _ = listener.accept()

    def run(
        self,
        arguments: tuple[str, ...],
        *,
        stdin: str = "",
        environment: Mapping[str, str],
        cwd: Path | None = None,
        timeout: float = 180.0,
    ) -> "subprocess.CompletedProcess[str]":
        """Run one command to its end, as `subprocess.run` with text and captured output."""
        with tempfile.TemporaryFile() as into, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            into.write(stdin.encode())
            into.seek(0)
            request = {"arguments": arguments, "environment": dict(environment), "cwd": str(cwd or Path.cwd())}
            message = json.dumps(request).encode()
            files = [into.fileno(), out.fileno(), err.fileno()]
            socket.send_fds(self._connection, [len(message).to_bytes(4)], files)
            self._connection.sendall(message)
            process = int.from_bytes(_receive(self._connection, 4))
            self._connection.settimeout(timeout)
            try:
                code = int.from_bytes(_receive(self._connection, 4), signed=True)
            except TimeoutError:
                os.kill(process, signal.SIGKILL)
                self.close()
                raise
            for file in (out, err):
                file.seek(0)
            return subprocess.CompletedProcess([*arguments], code, out.read().decode(), err.read().decode())

    def close(self) -> None:
        """End the process that forks."""
        self._connection.close()
        self._process.wait(60)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _receive(connection: socket.socket, size: int) -> bytes:
    content = b""
    while len(content) < size:
        part = connection.recv(size - len(content))
        if not part:
            raise EOFError("the other side has closed the socket")
        content += part
    return content


def serve(address: str) -> None:
    """Fork a process for each request, until the socket is closed."""
    import forwardpass.cli.app

    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        while True:
            header, files, _, _ = socket.recv_fds(connection, 4, 3)
            if not header:
                return
            request = json.loads(_receive(connection, int.from_bytes(header)))
            process = os.fork()
            if not process:
                connection.close()
                _run(forwardpass.cli.app.run, request, files)
            for file in files:
                os.close(file)
            connection.sendall(process.to_bytes(4))
            _, status = os.waitpid(process, 0)
            with contextlib.suppress(BrokenPipeError):
                connection.sendall(os.waitstatus_to_exitcode(status).to_bytes(4, signed=True))


def _run(command: Any, request: Any, files: list[int]) -> None:
    """Run the command line in the forked process, and end the process as the interpreter would."""
    code: Any = 1
    try:
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["environment"])
        sys.argv = ["forwardpass", *request["arguments"]]
        command()
    except SystemExit as ended:
        code = ended.code
    except BaseException:  # noqa: BLE001 - as the interpreter does it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)


if __name__ == "__main__":
    serve(sys.argv[1])
