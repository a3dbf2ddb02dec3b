"""Goodput and latency beyond a server's capacity: `python -m benchmarks.overload`.

Calls leave at a rate, whatever comes back, as those of many independent callers do, each with a deadline of a second.
The peak is what 16 callers get who wait for each response; loads are multiples of it. Beside either, other processes
ask for the server's health, list its networks, and predict with a token of their own: the healthy caller. Goodput is
the number of calls a second whose response comes before the deadline, the healthy caller's among them. The server runs
on core 0, everything else on core 1. With `--envoy`, calls go through Envoy with deploy/envoy.yaml, on core 1 too.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import threading
import time
import timeit
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import grpc
import numpy as np
from forwardpass import spec
from forwardpass.v1.prediction_service_pb2 import PredictRequest
from forwardpass.v1.tensor_pb2 import DATA_TYPE_FLOAT32, Tensor
from forwardpass_server.serving import Admission, BatchingPolicy
from forwardpass_server.serving.shedding import Shedding

from benchmarks import machine, plots
from benchmarks.lab import LOAD_CORE, Lab, on_core
from benchmarks.server import PREDICT, Server

LOADS: Final = (0.5, 1, 2, 5, 10)
DEADLINE: Final = 1.0
CONNECTIONS: Final = 8
CALLERS: Final = 16
WIDTH: Final = 1_000
LAYERS: Final = 6
ROWS: Final = 6
"""Rows of a call. Each goes through six layers of 1,000 nodes; six are 72 million operations, 4 to 10 ms of a core."""
PROBES: Final = {
    "health": "/grpc.health.v1.Health/Check",
    "list": "/forwardpass.v1.NetworkService/ListNetworks",
    "healthy": PREDICT,
}
PROBE_SECONDS: Final = {"health": 0.02, "list": 0.02, "healthy": 0.1}
"""How long each probe waits between its calls."""
TOKENS: Final = ("flood", "healthy")
"""The tokens of the callers and of the healthy one; probes have the latter."""
COLUMNS: Final = (
    *(
        "load",
        "sent/s",
        "goodput/s",
        "of peak",
        "useful CPU",
        "rejected",
        "late",
        "p50",
        "p99",
        "rejection p99",
        "its CPU",
    ),
    *("health p99", "list p99", "healthy caller in time", "its p99"),
)
FIGURES: Final = Path(__file__).parents[1] / "docs" / "explanation" / "performance"


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of the calls of one load; times in milliseconds.

    Attributes:
        load: The load, as a multiple of the peak; 0 for callers who wait.
        rate: Calls sent a second.
        goodput: Calls a second that ended in time.
        rejected: The share of calls that were rejected as overloaded.
        late: The share of calls that got nothing in time.
        p50: The median time of the calls that ended in time.
        p99: The 99th percentile of these.
        rejection_p99: The 99th percentile of the time to a rejection.
        useful: The share of the server's processor time that calls took which ended in time. Beyond the capacity it is
            what goodput is of the peak on a machine that does nothing else.
        rejection_us: The rest of it for each rejected call, in microseconds; the calls of the probes are in it too.
        health_p99: The 99th percentile of the time of a health check meanwhile.
        list_p99: That of listing the networks meanwhile.
        healthy: The share of the healthy caller's calls that ended in time.
        healthy_p99: The 99th percentile of their time.
    """

    load: float
    rate: float
    goodput: float
    rejected: float
    late: float
    p50: float
    p99: float
    rejection_p99: float
    useful: float = 0.0
    rejection_us: float = 0.0
    health_p99: float = 0.0
    list_p99: float = 0.0
    healthy: float = 0.0
    healthy_p99: float = 0.0


def network() -> spec.NetworkSpec:
    """Make the network that is called."""
    rng = np.random.default_rng(0)
    hidden = {"weights": rng.standard_normal((WIDTH, WIDTH)) / 30, "activation": "relu"}
    layers = [
        {"weights": rng.standard_normal((WIDTH, 4))},
        *[hidden] * LAYERS,
        {"weights": rng.standard_normal((1, WIDTH))},
    ]
    return spec.parse({"format": spec.FORMAT, "dtype": "float32", "inputs": 4, "layers": layers})


def request(rows: int) -> bytes:
    """Make the request that is sent."""
    data = np.full((rows, 4), 0.1, "<f4").tobytes()
    tensor = Tensor(dtype=DATA_TYPE_FLOAT32, shape=[rows, 4], data=data)
    return PredictRequest(network="overload", tensor=tensor).SerializeToString()


class Callers:
    """Callers on some connections, and what became of their calls."""

    def __init__(self, address: str, rows: int) -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        self._channels = [grpc.insecure_channel(address, options=options) for _ in range(CONNECTIONS)]
        self._calls: list[Any] = [channel.unary_unary(PREDICT) for channel in self._channels]
        self._request = request(rows)
        self._lock = threading.Lock()
        self._times: dict[str, list[float]] = {"OK": [], "UNAVAILABLE": []}
        self._counts: Counter[str] = Counter()
        self._open = 0

    def wait(self, seconds: float) -> Outcome:
        """Let some callers wait for each response."""
        end = time.monotonic() + seconds

        def caller(number: int) -> None:
            while time.monotonic() < end:
                self._send(number, timeout=60.0).exception()

        threads = [threading.Thread(target=caller, args=(number,)) for number in range(CALLERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return self._outcome(0, seconds)

    def flood(self, load: float, rate: float, seconds: float) -> Outcome:
        """Send calls at a rate, whatever comes back."""
        begun = time.monotonic()
        sent = 0
        while (now := time.monotonic() - begun) < seconds:
            while sent < now * rate:
                self._send(sent, timeout=DEADLINE)
                sent += 1
            time.sleep(0.001)
        while self._open:
            time.sleep(0.01)
        return self._outcome(load, seconds)

    def close(self) -> None:
        """Close the connections."""
        for channel in self._channels:
            channel.close()

    def _send(self, number: int, timeout: float) -> Any:
        begun = time.monotonic()

        def ended(call: Any) -> None:
            code = call.code().name
            with self._lock:
                self._open -= 1
                self._counts[code] += 1
                if code in self._times:
                    self._times[code].append(time.monotonic() - begun)

        with self._lock:
            self._open += 1
        metadata = _metadata(TOKENS[0])
        call = self._calls[number % CONNECTIONS].future(self._request, timeout=timeout, metadata=metadata)
        call.add_done_callback(ended)
        return call

    def _outcome(self, load: float, seconds: float) -> Outcome:
        with self._lock:
            times, counts = self._times, self._counts
            self._times, self._counts = {"OK": [], "UNAVAILABLE": []}, Counter()
        sent = max(sum(counts.values()), 1)
        in_time = [each for each in times["OK"] if not load or each <= DEADLINE]
        return Outcome(
            load=load,
            rate=round(sent / seconds, 1),
            goodput=round(len(in_time) / seconds, 1),
            rejected=round(counts["UNAVAILABLE"] / sent, 3),
            late=round((sent - counts["UNAVAILABLE"] - len(in_time)) / sent, 3),
            p50=_percentile(in_time, 50),
            p99=_percentile(in_time, 99),
            rejection_p99=_percentile(times["UNAVAILABLE"], 99),
        )


def _percentile(seconds: Sequence[float], percent: float) -> float:
    return round(float(np.percentile(seconds, percent)) * 1000, 1) if seconds else 0.0


@contextmanager
def _probe(address: str, name: str, rows: int) -> Iterator[dict[str, float]]:
    """Make a call every 20 ms from a process of its own; at the end the figures are in what is yielded."""
    command = [sys.executable, "-m", "benchmarks.overload", "--rows", str(rows), "--probe", address, name]
    figures: dict[str, float] = {}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        yield figures
        out, _ = process.communicate("")
        figures.update(json.loads(out))


def _run_probe(address: str, name: str, *, rows: int) -> None:
    ended = threading.Event()
    times = []
    with grpc.insecure_channel(address) as channel:
        multicallable: Any = channel.unary_unary(PROBES[name])
        data = request(rows) if PROBES[name] == PREDICT else b""
        deadline = DEADLINE if PROBES[name] == PREDICT else 60.0

        def call(timeout: float) -> bool:
            try:
                multicallable(data, timeout=timeout, metadata=_metadata(TOKENS[1]))
            except grpc.RpcError:
                return False
            return True

        call(60.0)
        print("begun", flush=True)

        def wait_for_the_end() -> None:
            sys.stdin.read()
            ended.set()

        threading.Thread(target=wait_for_the_end, daemon=True).start()
        made, first = 0, time.monotonic()
        while not ended.wait(PROBE_SECONDS[name]):
            begun = time.monotonic()
            made += 1
            if call(deadline):
                times.append(time.monotonic() - begun)
        rate = len(times) / (time.monotonic() - first)
    print(json.dumps({"p99": _percentile(times, 99), "in_time": len(times) / max(made, 1), "rate": rate}))


def admission_costs() -> dict[str, float]:
    """Measure the microseconds that a call pays for being admitted, in process, by the way that it takes."""
    admission = Admission(1, BatchingPolicy(), 1_000)
    idle, shedding = Shedding(admission), Shedding(admission, lambda: 0.0)

    def short() -> None:
        assert not idle.active

    def long() -> None:
        work, _ = admission.admit(["caller"], [time.monotonic() + DEADLINE], [10**8], "version", [1_000])
        assert work is not None
        admission.spend(work, 0.004)
        admission.end(work, done=True)

    def rejected() -> None:
        work, _ = admission.admit(["caller"], [time.monotonic() + DEADLINE], [10**11], "version", [1_000])
        assert work is None

    def unread() -> None:
        assert shedding.judge("caller", "Predict", time.monotonic() + DEADLINE) is not None

    costs = {"computed at once": _microseconds(short), "given to the workers": _microseconds(long)}
    admission.admit(["caller"], [time.monotonic() + DEADLINE], [10**11], "version", [1_000])
    costs["rejected"] = _microseconds(rejected)
    shedding.note_long("caller", "Predict", 10**11, "version", rejected=True)
    shedding.judge("caller", "Predict", time.monotonic() + DEADLINE)
    costs["rejected unread"] = _microseconds(unread)
    return costs


def _microseconds(function: Callable[[], None], number: int = 1_000) -> float:
    return min(timeit.repeat(function, number=number, repeat=50)) / number * 1e6


def measure(
    engine: str, seconds: float, loads: Sequence[float] = LOADS, *, rows: int = ROWS, envoy: bool = False
) -> list[Outcome]:
    """Measure a server's peak, and the loads after it; the first outcome is the peak's."""
    outcomes = []
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        tokens = folder / "tokens"
        tokens.touch(mode=0o600)
        lines = [f"{hashlib.sha256(token.encode()).hexdigest()} predict,read,write\n" for token in TOKENS]
        tokens.write_text("".join(lines))
        lab = Lab(folder=folder, engine=engine, seconds=int(seconds))
        flags = ["--tokens-file", str(tokens)]
        server = stack.enter_context(Server(lab, specs={"overload": network()}, flags=flags, token=TOKENS[1]))
        stack.enter_context(on_core(LOAD_CORE))
        address = stack.enter_context(_behind_envoy(server.address, folder)) if envoy else server.address
        callers = Callers(address, rows)
        stack.callback(callers.close)
        callers.wait(1.0)
        peak, used, _ = _beside_probes(server, address, rows, partial(callers.wait, seconds))
        outcomes.append(peak)
        # What a call costs that is computed.
        cost = used / max(peak.goodput * seconds, 1)
        for load in loads:
            flood = partial(callers.flood, load, load * peak.goodput, seconds)
            outcome, used, probes = _beside_probes(server, address, rows, flood)
            computed = outcome.goodput * seconds
            rejected = outcome.rejected * outcome.rate * seconds
            outcomes.append(
                replace(
                    outcome,
                    useful=round(min(computed * cost / used, 1.0), 3),
                    rejection_us=round(max(used - computed * cost, 0.0) / rejected * 1e6) if rejected else 0.0,
                    health_p99=probes["health"]["p99"],
                    list_p99=probes["list"]["p99"],
                    healthy=probes["healthy"]["in_time"],
                    healthy_p99=probes["healthy"]["p99"],
                )
            )
    return outcomes


def _beside_probes(
    server: Server, address: str, rows: int, run: Callable[[], Outcome]
) -> tuple[Outcome, float, dict[str, dict[str, float]]]:
    """Run callers beside the probes; return the outcome, the server's processor time, and the probes' figures."""
    with ExitStack() as probing:
        probes = {name: probing.enter_context(_probe(address, name, rows)) for name in PROBES}
        used = server.processor_seconds()
        outcome = run()
        used = server.processor_seconds() - used
    return replace(outcome, goodput=outcome.goodput + probes["healthy"]["rate"]), used, probes


@contextmanager
def _behind_envoy(address: str, folder: Path) -> Iterator[str]:
    """Run Envoy in front of a server, with the configuration of `deploy`; yield its address."""
    # It is installed by the tests of that configuration.
    from tests.clients.environments import ENVIRONMENTS, envoy  # noqa: PLC0415
    from tests.deploy.edge.envoy import ROOT, Edge, configuration, located, servers  # noqa: PLC0415
    from tests.support.environments import made  # noqa: PLC0415

    document = located(
        configuration(), descriptors=ROOT / "build" / "protos.binpb", port=int(address.rpartition(":")[2])
    )
    (endpoint,) = servers(document)["load_assignment"]["endpoints"][0]["lb_endpoints"]
    endpoint["endpoint"]["address"]["socket_address"]["address"] = "localhost"
    with Edge(envoy(made(ENVIRONMENTS["envoy"])), folder, document) as edge:
        edge.wait_for(address)
        yield edge.address


def _metadata(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


def table(outcomes: Sequence[Outcome]) -> list[str]:
    """Return the outcomes as a table in Markdown."""
    peak = outcomes[0].goodput
    lines = [
        f"| {' | '.join(COLUMNS)} |",
        f"|{'---|' * len(COLUMNS)}",
    ]
    for each in outcomes:
        name = f"{each.load:g} x" if each.load else f"{CALLERS} who wait"
        probes = [""] * 4
        if each.load:
            probes = [f"{each.health_p99:g} ms", f"{each.list_p99:g} ms", f"{each.healthy:.1%}"]
            probes.append(f"{each.healthy_p99:g} ms")
        cells = [name, f"{each.rate:,.0f}", f"{each.goodput:,.0f}", f"{each.goodput / peak:.0%}"]
        cells += [
            f"{each.useful:.0%}" if each.load else "",
            f"{each.rejected:.0%}",
            f"{each.late:.1%}",
            f"{each.p50:g} ms",
            f"{each.p99:g} ms",
        ]
        cells += [f"{each.rejection_p99:g} ms", f"{each.rejection_us:.0f} us"] if each.rejected else ["", ""]
        cells += probes
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def draw(by_engine: dict[str, list[Outcome]]) -> None:
    """Write the curves for the documentation."""
    loads = {engine: outcomes[1:] for engine, outcomes in by_engine.items()}
    goodput = plots.Plot(
        title="useful processor time by load",
        x="calls sent, as a multiple of the peak",
        y="for calls in time, per cent",
        lines={
            engine: [(each.load, 100 * each.useful) for each in outcomes if each.load >= 1]
            for engine, outcomes in loads.items()
        },
        log_y=False,
    )
    latency = plots.Plot(
        title="p99 by load",
        x="calls sent, as a multiple of the peak",
        y="milliseconds",
        lines={
            f"{engine}{what}": [(each.load, max(getattr(each, name), 0.1)) for each in outcomes]
            for engine, outcomes in loads.items()
            for what, name in ((", calls", "p99"), (", health", "health_p99"))
        },
    )
    (FIGURES / "overload-goodput.svg").write_text(plots.svg(goodput))
    (FIGURES / "overload-p99.svg").write_text(plots.svg(latency))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overload", description=__doc__)
    parser.add_argument("--engine", choices=("native", "grpcio"), action="append", help="default: both")
    parser.add_argument("--seconds", type=float, default=8.0, help="duration of each load (default: %(default)s)")
    parser.add_argument("--rows", type=int, default=ROWS, help="rows of a call (default: %(default)s)")
    parser.add_argument("--envoy", action="store_true", help="call through Envoy (first: make descriptors)")
    parser.add_argument("--write-docs", action="store_true", help="write the curves of docs/explanation/overload.md")
    parser.add_argument("--probe", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.probe:
        _run_probe(*options.probe, rows=options.rows)
        return
    print(f"{machine.describe()['cpu']}; other processes use {machine.busy():.0%} of the cores")
    costs = [f"{way} {cost:.1f} us" for way, cost in admission_costs().items()]
    print(f"admission costs a call, by its way: {', '.join(costs)}")
    by_engine = {}
    for engine in options.engine or ("native", "grpcio"):
        by_engine[engine] = measure(engine, options.seconds, rows=options.rows, envoy=options.envoy)
        print("", f"engine {engine}", "", *table(by_engine[engine]), sep="\n")
    if options.write_docs:
        draw(by_engine)


if __name__ == "__main__":
    main()
