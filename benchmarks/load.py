"""Load on one unary method, with h2load on the load's core."""

import re
import statistics
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.lab import LOAD_CORE, Lab, pinned
from benchmarks.server import call

WARM_UP_SECONDS: Final = 1


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
    lab: Lab, address: str, method: str, request: bytes, *, connections: int = 4, streams: int = 16, pace: int = 0
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
    """
    response = call(address, method, request)
    with tempfile.TemporaryDirectory(dir=lab.folder) as folder:
        log, body = Path(folder) / "log", Path(folder) / "request"
        body.write_bytes(_framed(request))
        ran = subprocess.run(
            pinned(
                LOAD_CORE,
                "h2load",
                "--threads=1",
                f"--clients={connections}",
                f"--max-concurrent-streams={streams}",
                f"--duration={lab.seconds}",
                f"--warm-up-time={WARM_UP_SECONDS}",
                *([f"--rps={pace}"] if pace else []),
                f"--log-file={log}",
                f"--data={body}",
                "--header=content-type: application/grpc",
                "--header=te: trailers",
                f"http://{address}{method}",
            ),
            check=True,
            capture_output=True,
            text=True,
            timeout=lab.seconds + 60,
        )
        lines = [line.split("\t") for line in log.read_text().splitlines()]
    times = [int(microseconds) for _, status, microseconds in lines if status == "200"]
    _check(ran.stdout, lines=len(lines), responses=len(times), size=len(_framed(response)))
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
    if received < 0.5 * responses * size:
        raise RuntimeError(f"h2load: {responses} responses of {size} bytes are more than {received} bytes\n{report}")
