"""Load on one unary method, or on one path of HTTP/1.1, with h2load on the load's core."""

import re
import statistics
import struct
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Final

from benchmarks.lab import LOAD_CORE, Lab, pinned
from benchmarks.server import call

WARM_UP_SECONDS: Final = 1
GRPC_HEADERS: Final = {"content-type": "application/grpc", "te": "trailers"}
JSON_HEADERS: Final = {"content-type": "application/json"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """The figures of a load.

    Attributes:
        rate: Responses per second.
        p50: The median latency in microseconds.
        p99: The 99th percentile of the latency in microseconds.
    """

    rate: float
    p50: float
    p99: float


def load(
    lab: Lab,
    address: str,
    method: str,
    request: bytes,
    *,
    connections: int = 4,
    streams: int = 16,
    pace: int = 0,
    on_its_core: bool = True,
) -> Load:
    """Keep `connections` times `streams` calls in flight.

    Args:
        lab: The conditions.
        address: The server's.
        method: The path of a unary method.
        request: The serialized message.
        connections: The number of connections.
        streams: Calls in flight on each connection; with a pace, the highest number of them.
        pace: Calls that each connection starts per second, however long responses take; 0 starts the next call when
            one is completed.
        on_its_core: Whether h2load runs on the load's core; otherwise it runs on any.
    """
    response = call(address, method, request)
    flags = [f"--clients={connections}", f"--max-concurrent-streams={streams}", *([f"--rps={pace}"] if pace else [])]
    url = f"http://{address}{method}"
    program = pinned(LOAD_CORE, "h2load") if on_its_core else ["h2load"]
    return _h2load(
        lab, url, _framed(request), *flags, program=program, headers=GRPC_HEADERS, size=len(_framed(response))
    )


def load_json(lab: Lab, address: str, path: str, body: bytes, *, connections: int = 64) -> Load:
    """Keep one POST with a JSON body in flight on each connection, over HTTP/1.1."""
    post_json(address, path, body)
    flags, program = ("--h1", f"--clients={connections}"), pinned(LOAD_CORE, "h2load")
    return _h2load(lab, f"http://{address}{path}", body, *flags, program=program, headers=JSON_HEADERS)


def post_json(address: str, path: str, body: bytes) -> bytes:
    """POST a JSON body; return the body of the response."""
    with closing(HTTPConnection(address, timeout=60)) as connection:
        connection.request("POST", path, body, JSON_HEADERS)
        response = connection.getresponse()
        received = response.read()
    if response.status != 200:
        raise RuntimeError(f"{address}{path}: {response.status} {received[:200]!r}")
    return received


def _h2load(
    lab: Lab,
    url: str,
    body: bytes,
    *flags: str,
    program: Sequence[str],
    headers: Mapping[str, str],
    size: int = 0,
) -> Load:
    """Run h2load with some flags; `size` is that of the body of a success where its status does not tell it."""
    with tempfile.TemporaryDirectory(dir=lab.folder) as folder:
        log, file = Path(folder) / "log", Path(folder) / "request"
        file.write_bytes(body)
        ran = subprocess.run(
            [
                *program,
                "--threads=1",
                f"--duration={lab.seconds}",
                f"--warm-up-time={WARM_UP_SECONDS}",
                *flags,
                f"--log-file={log}",
                f"--data={file}",
                *(f"--header={name}: {value}" for name, value in headers.items()),
                url,
            ],
            check=True,
            capture_output=True,
            text=True,
            timeout=lab.seconds + 60,
        )
        lines = [line.split("\t") for line in log.read_text().splitlines()]
    times = [int(microseconds) for _, status, microseconds in lines if status == "200"]
    _check(ran.stdout, lines=len(lines), responses=len(times), size=size)
    cuts = statistics.quantiles(times, n=100)
    return Load(rate=len(times) / lab.seconds, p50=cuts[49], p99=cuts[98])


def _framed(message: bytes) -> bytes:
    """Return a message with gRPC's frame."""
    return struct.pack(">?I", False, len(message)) + message


def _check(report: str, *, lines: int, responses: int, size: int) -> None:
    """Check that the calls of a load succeeded.

    h2load counts each HTTP 200 as a success, gRPC errors too; but those have no message, so the received bytes tell.
    Its figure for data includes the warm-up; those for the total and the headers do not.
    """
    if responses < 100 or responses < 0.99 * lines:
        raise RuntimeError(f"h2load: {responses} responses to {lines} calls\n{report}")
    found = re.search(r"^traffic: .*?\((\d+)\) total, .*?\((\d+)\) headers", report, flags=re.MULTILINE)
    received = int(found[1]) - int(found[2]) if found else 0
    # Half is enough, since h2load may count the bytes of a response before or after the response itself.
    if size and received < 0.5 * responses * size:
        raise RuntimeError(f"h2load: {responses} responses of {size} bytes are more than {received} bytes\n{report}")
