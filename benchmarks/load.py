"""Load on one unary method, by h2load on the load's core."""

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
    """What a load saw.

    Attributes:
        rate: Answers in a second.
        p50: Half of the calls took at most so many microseconds.
        p99: 99 of 100 calls did.
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
        connections: How many.
        streams: Calls in flight on each, or with a pace at most so many.
        pace: Calls that each connection begins in a second, however long answers take; 0 means the next
            call begins when one is answered.
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
    """Return a message as gRPC sends it."""
    return struct.pack(">?I", False, len(message)) + message


def _check(report: str, *, lines: int, responses: int, size: int) -> None:
    """Refuse a load whose calls were not answered.

    To h2load each HTTP 200 is a success, and a gRPC error is one too; but it has no message. What h2load calls
    data has the warm-up's in it; the total and the headers have not.
    """
    if responses < 100 or responses < 0.99 * lines:
        raise RuntimeError(f"h2load: {responses} answers to {lines} calls\n{report}")
    found = re.search(r"^traffic: .*?\((\d+)\) total, .*?\((\d+)\) headers", report, flags=re.MULTILINE)
    received = int(found[1]) - int(found[2]) if found else 0
    # Half is enough to tell, since h2load may count the bytes of an answer before or after the answer itself.
    if received < 0.5 * responses * size:
        raise RuntimeError(f"h2load: {responses} answers of {size} bytes are more than {received} bytes\n{report}")
