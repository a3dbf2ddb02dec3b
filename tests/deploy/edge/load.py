"""Callers of several kinds that call without pause, while servers come and go."""

import base64
import json
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any, Final, TypeAlias

import grpc
from forwardpass import Client, StreamRequest
from forwardpass.v1 import network_service_pb2 as networks
from forwardpass.v1 import prediction_service_pb2 as predictions
from forwardpass.v1.network_service_pb2_grpc import NetworkServiceStub
from forwardpass.v1.prediction_service_pb2_grpc import PredictionServiceStub

from tests.deploy.edge.fleet import MARKED
from tests.deploy.edge.http import ask
from tests.support.raw_grpc import predict_request
from tests.support.server_process import wait_until

SECONDS: Final = 60
"""How long a call may take: nothing here is about speed."""

PAUSE: Final = 0.05
"""Seconds between a failure and the next call, so that a caller that fails leaves the machine to the others."""

BALANCED: Final = {"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": ""}}
"""What the documentation of gRPC has a client of several servers say."""

Turns: TypeAlias = Sequence[Callable[[], float | None]]
"""What a caller does by turns; a prediction returns the mark of the server that computed it."""


class StatusError(Exception):
    """The response to a call over HTTP has another status than 200."""


@contextmanager
def stock(target: str) -> Iterator[Turns]:
    """Calls of gRPC as it is, without retries."""
    options = [
        ("grpc.service_config", json.dumps(BALANCED)),
        ("grpc.enable_retries", 0),
        ("grpc.use_local_subchannel_pool", 1),
        # gRPC makes an invalid authority of a list of addresses; with a DNS name it needs no help.
        ("grpc.default_authority", "server"),
    ]
    request = predict_request(MARKED, [[1.0]])
    with grpc.insecure_channel(target, options) as channel:
        predict: Any = PredictionServiceStub(channel)
        network: Any = NetworkServiceStub(channel)
        trace = predictions.TraceRequest(network=MARKED, tensor=request.tensor)
        many = predictions.PredictManyRequest(requests=[request, request])
        yield (
            lambda: _number(predict.Predict(request, timeout=SECONDS).outputs.data),
            lambda: _done(network.GetNetwork(networks.GetNetworkRequest(network=MARKED), timeout=SECONDS)),
            lambda: _done(predict.Trace(trace, timeout=SECONDS)),
            lambda: _done(network.ListNetworks(networks.ListNetworksRequest(), timeout=SECONDS)),
            lambda: _done(predict.PredictMany(many, timeout=SECONDS)),
        )


@contextmanager
def ours(target: str) -> Iterator[Turns]:
    """Calls of our own client."""
    with Client(target, timeout=SECONDS) as client:
        yield (
            lambda: float(client.predict(MARKED, [[1.0]]).outputs.item()),
            lambda: _done(client.network(MARKED)),
            lambda: _done(client.trace(MARKED, [[1.0]])),
            lambda: _done(client.version(MARKED)),
            lambda: _done(client.predict_many([StreamRequest(network=MARKED, rows=[1.0])] * 2)),
        )


@contextmanager
def over_json(address: str) -> Iterator[Turns]:
    """Calls over HTTP, each on a connection of its own."""

    def fetched(path: str, body: Any = None) -> Any:
        response = ask(address, path, body)
        if response.status != 200:
            raise StatusError(response)
        return response.json

    rows = {"tensor": {"values": [1.0]}}
    yield (
        lambda: _number(base64.b64decode(fetched(f"/v1/networks/{MARKED}:predict", rows)["outputs"]["data"])),
        lambda: _done(fetched(f"/v1/networks/{MARKED}")),
        lambda: _done(fetched(f"/v1/networks/{MARKED}:trace", rows)),
    )


def _number(data: bytes) -> float:
    return float(struct.unpack("<d", data)[0])


def _done(_: object) -> None:
    pass


@dataclass(kw_only=True)
class Caller:
    """A thread that calls.

    Attributes:
        kind: What it is called in a report.
        turns: What it does.
        sent: How many calls it has made.
        failures: Exceptions that were raised.
        seen: The marks of the servers that computed its predictions since this was emptied.
    """

    kind: str
    turns: Turns
    sent: int = 0
    failures: list[Exception] = field(default_factory=list)
    seen: set[float] = field(default_factory=set)

    def run(self, stopping: threading.Event, pause: float) -> None:
        """Call until it is time to stop, with a pause of some seconds between calls."""
        for turn in cycle(self.turns):
            if stopping.wait(pause):
                return
            self.sent += 1
            try:
                mark = turn()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is counted
                self.failures.append(error)
                stopping.wait(PAUSE)
                continue
            if mark is not None:
                self.seen.add(mark)


@dataclass(kw_only=True)
class Load:
    """Callers at work."""

    callers: list[Caller]

    def wait_for_all(self, servers: int) -> None:
        """Wait until each caller has had responses of `servers` servers, from now on."""
        for caller in self.callers:
            caller.seen.clear()
        try:
            wait_until(lambda: all(len(caller.seen) >= servers for caller in self.callers))
        except AssertionError:
            raise AssertionError(f"not all servers responded:\n{self.report()}\n{self.failures()[:5]}") from None

    def wait_for_more(self, calls: int) -> None:
        """Wait until each caller has made a number of further calls."""
        goals = [caller.sent + calls for caller in self.callers]
        wait_until(lambda: all(caller.sent >= sent for caller, sent in zip(self.callers, goals, strict=True)), 180)

    def failures(self) -> list[tuple[str, str]]:
        """What failed, and whose it was."""
        return [(caller.kind, repr(error)) for caller in self.callers for error in caller.failures]

    def report(self) -> str:
        """How many calls each kind has made, and how many failed."""
        kinds = dict.fromkeys(caller.kind for caller in self.callers)
        return "\n".join(
            f"  {kind}: {sum(caller.sent for caller in self.callers if caller.kind == kind):,} RPCs sent, "
            f"{sum(len(caller.failures) for caller in self.callers if caller.kind == kind)} failed"
            for kind in kinds
        )


Kind: TypeAlias = tuple[Callable[[str], Any], str]
"""What makes a caller's turns, of which target."""


@contextmanager
def load(kinds: Mapping[str, Kind], threads: int = 2, pause: float = 0.0) -> Iterator[Load]:
    """Run callers of these kinds, each in several threads with a connection of its own.

    Args:
        kinds: The callers, by what they are called.
        threads: How many of each.
        pause: Seconds between two calls of one, to leave a machine to others.
    """
    stopping = threading.Event()
    with ExitStack() as stack:
        callers = [
            Caller(kind=kind, turns=stack.enter_context(make(target)))
            for kind, (make, target) in kinds.items()
            for _ in range(threads)
        ]
        running = [threading.Thread(target=caller.run, args=(stopping, pause)) for caller in callers]
        for thread in running:
            thread.start()
        try:
            yield Load(callers=callers)
        finally:
            stopping.set()
            for thread in running:
                thread.join()
