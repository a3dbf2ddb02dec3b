"""The log is JSON lines, and callers cannot fill it."""

import json
import logging
import re
import socket
import struct
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from forwardpass_server import command
from forwardpass_server.cli import main
from forwardpass_server.logs import BURST, MAX_CHARACTERS, PER_SECOND, JsonLines, RateLimit
from forwardpass_server.rpc.context import read_metadata

from tests.support.raw_grpc import NETWORKS
from tests.support.server_process import ServerProcess

CALLS = 60
ESCAPE = "\x1b[2J"


def record(message: str = "failed", line: int = 1) -> logging.LogRecord:
    return logging.LogRecord("one", logging.ERROR, "one.py", line, message, None, None)


def test_messages_of_one_place_are_limited_and_counted() -> None:
    now = 0.0
    limit = RateLimit(lambda: now)
    assert sum(limit.filter(record()) for _ in range(1_000)) == BURST
    assert limit.filter(record(line=2)), "another place has messages of its own"
    now = 1.5
    after = record()
    assert limit.filter(after)
    assert json.loads(JsonLines().format(after))["suppressed"] == 1_000 - BURST
    assert not limit.filter(record())
    now = 1_000.0
    assert sum(limit.filter(record()) for _ in range(1_000)) == BURST


def test_a_message_is_one_short_line_of_ascii() -> None:
    line = JsonLines().format(record(f"a\nb{ESCAPE}é" + "x" * 10 * MAX_CHARACTERS))
    assert line.isascii()
    assert line.isprintable()
    assert len(line) < 2 * MAX_CHARACTERS
    assert json.loads(line)["message"].startswith(f"a\nb{ESCAPE}é")


def test_what_callers_send_does_not_fill_the_log(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server("--rest-listen=127.0.0.1:0", fresh=True)
    before, begun = len(server.log.read_text().splitlines()), time.monotonic()
    host, _, port = server.address.rpartition(":")
    grpc_port, rest_port = int(port), urlsplit(server.rest).port or 0
    hostile = [
        (grpc_port, _goaway()),
        (grpc_port, _call("x-request-id", "é".encode())),
        (grpc_port, _call("grpc-encoding", b"evil\x1b[2J")),
        (rest_port, b"no HTTP" + ESCAPE.encode() + b"\r\n\r\n"),
    ]
    for _ in range(CALLS):
        with ExitStack() as stack:
            for place, sent in hostile:
                connection = stack.enter_context(socket.create_connection((host, place), timeout=60))
                connection.sendall(sent)
                connection.recv(65_536)
    assert server.stop() == 0
    written = server.log.read_text().splitlines()[before:]
    for line in written:
        assert line.isprintable(), line
        assert isinstance(json.loads(line), dict)
    # Of two places in the code, and a busy machine takes some time for this.
    allowed = 2 * (BURST + PER_SECOND * (time.monotonic() - begun))
    assert len(written) < allowed
    assert sum(map(len, written)) < 500 * allowed


@pytest.mark.parametrize("given", ["é", "a\x1b[2Jb", "x" * 129, ""], ids=["latin", "escape", "long", "empty"])
def test_a_request_id_that_is_no_text_is_replaced(given: str) -> None:
    made, _ = read_metadata([("x-request-id", given)])
    assert re.fullmatch("[0-9a-f]{16}", made)
    assert read_metadata([("x-request-id", "request 1")]) == ("request 1", None)


@pytest.mark.parametrize("name", ["check", "serve"])
def test_what_the_command_prints_is_escaped(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([name, f"--database=sqlite:///{tmp_path}/{ESCAPE}no/folder.db"])
    printed = capsys.readouterr().err
    assert r"\x1b[2J" in printed
    assert "\x1b" not in printed


def test_the_command_prints_by_one_function_alone() -> None:
    folder = Path(command.__file__).parent
    modules = {str(path.relative_to(folder)) for path in folder.rglob("*.py") if " print(" in path.read_text()}
    assert modules == {"command.py"}


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def _literal(name: str, value: bytes) -> bytes:
    return b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value


_START = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(4, 0, 0)


def _goaway() -> bytes:
    return _START + _frame(7, 0, 0, struct.pack(">II", 0, 11) + f"evil{ESCAPE}\n{{}}".encode() * 50)


def _call(name: str, value: bytes) -> bytes:
    headers = [(":path", f"{NETWORKS}ListNetworks".encode()), (":authority", b"x"), ("te", b"trailers")]
    headers += [("content-type", b"application/grpc"), (name, value)]
    block = b"\x83\x86" + b"".join(_literal(*header) for header in headers)
    return _START + _frame(1, 4, 1, block) + _frame(0, 1, 1, bytes(5))
