"""A clock of the day that jumps by hours: deadlines, retries, drains and the history of aliases do not depend on it."""

import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from forwardpass import Client, spec
from forwardpass.v1.prediction_service_pb2_grpc import PredictionServiceStub

from tests.support.faults.shim import Faults, environment
from tests.support.python_process import start_python
from tests.support.raw_grpc import predict_request
from tests.support.server_process import ServerProcess

HOUR = 3_600
JUMPS = (3 * HOUR, -3 * HOUR, 26 * HOUR, -26 * HOUR, 0)
SECONDS = 12.0

CALLS = """
import json, sys, time
from forwardpass import Client, spec
from forwardpass.errors import DeadlineExceededError

address, silent, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
worst, calls, clocks, early, late, deadlines = 0.0, 0, set(), 0.0, 0.0, 0
end = time.monotonic() + seconds
with Client(address, timeout=20.0, token="secret") as client, Client(silent, retries=False) as unanswered:
    while time.monotonic() < end:
        for _ in range(20):
            start = time.monotonic()
            assert client.predict("article-linear", [[1.0, 2.0]]).outputs.shape == (1, 1)
            worst, calls = max(worst, time.monotonic() - start), calls + 1
        clocks.add(round((time.time() - time.monotonic()) / 3600))
        start = time.monotonic()
        try:
            unanswered.predict("article-linear", [[1.0, 2.0]], timeout=0.5)
        except DeadlineExceededError:
            deadlines += 1
        took = time.monotonic() - start
        early, late = max(early, 0.5 - took), max(late, took - 0.5)
print(json.dumps([calls, len(clocks), worst, deadlines, early, late]))
"""


@pytest.fixture
def faults(tmp_path: Path) -> Faults:
    return Faults(tmp_path / "control")


@pytest.fixture
def variables(faults: Faults, tmp_path: Path) -> dict[str, str]:
    del faults  # its file is there
    return environment(tmp_path / "control")


@contextmanager
def jumping(faults: Faults) -> Iterator[None]:
    """Let the clock jump several times a second, by hours, forward and back."""
    stopped = threading.Event()
    rng = random.Random(3)

    def jump() -> None:
        while not stopped.wait(rng.uniform(0.05, 0.5)):
            faults.set_clock(rng.choice(JUMPS))

    thread = threading.Thread(target=jump)
    thread.start()
    yield
    stopped.set()
    thread.join()
    faults.set_clock(0)


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a listener that accepts connections and never responds."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.prove
def test_calls_and_deadlines(
    start_server: Callable[..., ServerProcess],
    faults: Faults,
    variables: dict[str, str],
    silent: str,
    tmp_path: Path,
    engine: str,
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b predict\n")
    tokens.chmod(0o600)
    server = start_server("--tokens-file", str(tokens), environment=variables, fresh=True)
    with start_python(CALLS, server.address, silent, SECONDS, environment=variables) as process, jumping(faults):
        out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    calls, clocks, worst, deadlines, early, late = json.loads(out)
    print(
        f"{engine}: {calls} calls while the clocks of server and client jumped by up to 26 hours: 0 failed, "
        f"the longest took {worst:.2f} s; {deadlines} deadlines of 0.5 s were early by {max(early, 0):.3f} s and late "
        f"by {late:.2f} s at most"
    )
    assert clocks > 1, "the client saw the clock jump"
    assert worst < 10
    assert deadlines > 0
    assert early < 0.05
    assert late < 10
    assert server.stop() == 0


@pytest.mark.prove
def test_drain_and_history(
    start_server: Callable[..., ServerProcess], faults: Faults, variables: dict[str, str], engine: str
) -> None:
    server = start_server("--lame-duck", "2", environment=variables, fresh=True)
    network: dict[str, Any] = {"format": spec.FORMAT, "inputs": 1}
    with Client(server.address) as client:
        for number in (1, 2, 3):
            faults.set_clock(-number * HOUR)
            client.register("net", {**network, "layers": [{"weights": [[float(number)]]}]})
            client.set_alias("net", "stable", number)
        for expected in (2, 1):
            faults.set_clock(expected * HOUR)
            client.rollback("net", "stable")
            assert client.network("net").aliases["stable"] == expected
    faults.set_clock(0)
    # A plain channel: our client looks for another server as soon as this one drains.
    with grpc.insecure_channel(server.address) as channel:
        predict = PredictionServiceStub(channel).Predict
        start = time.monotonic()
        server.process.terminate()
        served = 0
        while time.monotonic() < start + 1.0:
            faults.set_clock(JUMPS[served % len(JUMPS)])
            predict(predict_request("net", [1.0]), timeout=20)
            served += 1
        code = server.wait()
    drained = time.monotonic() - start
    print(f"{engine}: a drain with a lame duck of 2 s took {drained:.1f} s, and {served} calls meanwhile succeeded")
    assert code == 0
    assert 1.9 < drained < 30
