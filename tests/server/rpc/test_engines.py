"""Each row of the table in docs/explanation/engines.md, and what must not differ by engine, over the wire."""

import functools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import grpc
import pytest
from forwardpass import Client
from forwardpass.errors import DrainingError, ForwardpassError
from forwardpass.v1 import network_service_pb2, prediction_service_pb2
from forwardpass.v1.prediction_service_pb2 import PredictManyRequest, PredictRequest, PredictResponse
from forwardpass.v1.tensor_pb2 import DATA_TYPE_FLOAT64, Tensor
from forwardpass_server import engines
from forwardpass_server.settings import Settings
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support import fork_server
from tests.support.ports import free_port
from tests.support.raw_grpc import NETWORKS, PREDICTIONS, call, decode, network_spec, predict_request, refused, register
from tests.support.server_process import ServerProcess, wait_until

Code = grpc.StatusCode
PREDICT = f"{PREDICTIONS}Predict"
GRPCIO = pytest.mark.one_process("engine grpcio serves in one process")
UNIX_SOCKET = pytest.mark.one_process("processes cannot share a Unix socket")
WITHOUT_PACKAGE = """
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "pygrpc_native" else find(name, *rest)
from forwardpass_server.cli import main
main(sys.argv[1:])
"""


def refused_start(folder: Path, *flags: str) -> "subprocess.CompletedProcess[str]":
    """Start a server that must end by itself."""
    arguments = ["serve", "--listen=127.0.0.1:0", f"--database=sqlite:///{folder}/own.db", *flags]
    return fork_server.run("forwardpass-server", arguments, environment=os.environ)


def log_of(folder: Path, *flags: str, **options: Any) -> str:
    """Start a server, let it end, and return its log."""
    with ServerProcess(folder, *flags, **options) as server:
        assert server.stop() == 0
    return server.log.read_text()


def first_line(log: str) -> str:
    """The log's line that says which engine runs."""
    return next(line for line in log.splitlines() if "with engine" in line)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The flags for a certificate for localhost that signs itself."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl makes the certificate, and is not here")
    folder = tmp_path_factory.mktemp("tls")
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    subprocess.run([*command, *files], check=True, capture_output=True)
    return [f"--tls-key={folder}/key.pem", f"--tls-certificate={folder}/certificate.pem"]


@pytest.fixture(params=["tls_certificate", "max_connection_age"])
def beyond_native(request: pytest.FixtureRequest) -> tuple[str, list[str]]:
    """A setting that the native engine cannot honour, and its flags."""
    if request.param == "tls_certificate":
        flags: list[str] = request.getfixturevalue("certificate")
        return request.param, flags
    return request.param, ["--max-connection-age=60"]


def test_what_native_cannot_do_ends_its_start(tmp_path: Path, beyond_native: tuple[str, list[str]]) -> None:
    setting, flags = beyond_native
    ended = refused_start(tmp_path, "--engine=native", *flags)
    assert (ended.returncode, ended.stdout) == (2, "")
    (sentence,) = ended.stderr.splitlines()
    assert sentence.startswith("forwardpass-server: engine native: ")
    assert setting in sentence
    assert "--engine grpcio" in sentence


@GRPCIO
@pytest.mark.parametrize("chosen", ["auto", "grpcio"])
def test_what_native_cannot_do_grpcio_does(tmp_path: Path, beyond_native: tuple[str, list[str]], chosen: str) -> None:
    log = log_of(tmp_path, f"--engine={chosen}", *beyond_native[1])
    assert json.loads(first_line(log))["message"].endswith("with engine grpcio")


def test_auto_is_native_where_it_is_installed(tmp_path: Path) -> None:
    assert first_line(log_of(tmp_path)).count("with engine native") == 1


@GRPCIO
def test_auto_without_the_package_is_grpcio(tmp_path: Path) -> None:
    assert "with engine grpcio" in first_line(log_of(tmp_path, python=("-c", WITHOUT_PACKAGE)))


def test_native_without_the_package_is_an_error(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_PACKAGE, "serve", "--listen=127.0.0.1:0", "--engine=native"]
    command += [f"--database=sqlite:///{tmp_path}/own.db"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "pygrpc-native is not installed" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_request_above_the_limit(start_server: Callable[..., ServerProcess], engine: str) -> None:
    with grpc.insecure_channel(start_server("--max-request-bytes=10000").address) as channel:
        request = predict_request("article-linear", [[1.0, 2.0]] * 1_000)
        if engine == "native":
            error = refused(channel, PREDICT, request)
            assert (error.code, error.reason) == (Code.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED")
            assert error.facts["setting"] == "max_request_bytes"
            assert int(error.facts["quotaValue"]) == request.ByteSize()
        else:
            with pytest.raises(grpc.RpcError) as plain:
                call(channel, PREDICT, request)
            assert plain.value.code() is Code.RESOURCE_EXHAUSTED
            assert "grpc-status-details-bin" not in str(plain.value.trailing_metadata())
        call(channel, PREDICT, predict_request("article-linear", [[1.0, 2.0]] * 300))


def test_a_request_above_the_limit_of_a_method_that_is_not_hot(start_server: Callable[..., ServerProcess]) -> None:
    with grpc.insecure_channel(start_server("--max-request-bytes=10000").address) as channel:
        with pytest.raises(grpc.RpcError) as plain:
            call(channel, f"{NETWORKS}GetNetwork", network_service_pb2.GetNetworkRequest(network="n" * 20_000))
        assert plain.value.code() is Code.RESOURCE_EXHAUSTED
        call(channel, PREDICT, predict_request("article-linear", [1, 2]))


def test_metadata_up_to_and_beyond_the_limit(start_server: Callable[..., ServerProcess], engine: str) -> None:
    server = start_server()
    accepted = (1_000, 7_000, 15_000) if engine == "native" else (1_000, 7_000)
    request = predict_request("article-linear", [1, 2])
    for method in (PREDICT, f"{NETWORKS}ListNetworks"):
        for size in (*accepted, 40_000):
            # A connection of its own, since one that is refused may end.
            with grpc.insecure_channel(server.address) as channel:
                data = request if method == PREDICT else b""
                hot = method == PREDICT
                if size in accepted and (hot or size < 8_000):
                    call(channel, method, data, metadata=[("padding", "p" * size)])
                elif size == 40_000:
                    with pytest.raises(grpc.RpcError) as error:
                        call(channel, method, data, metadata=[("padding", "p" * size)])
                    # Native responds with HTTP status 431, for which grpc's clients have no code of their own.
                    code = Code.UNKNOWN if engine == "native" else Code.RESOURCE_EXHAUSTED
                    assert error.value.code() is code
    with grpc.insecure_channel(server.address) as channel:
        call(channel, PREDICT, request)
    assert server.stop() == 0


def test_an_unknown_method_is_named(channel: grpc.Channel) -> None:
    for path in (f"{PREDICTIONS}Guess", "/no.such.Service/Method"):
        error = refused(channel, path, b"")
        assert (error.code, error.reason) == (Code.UNIMPLEMENTED, "METHOD_NOT_FOUND")
        assert error.details["ResourceInfo"].resource_name == path


HEAVY = ("--max-gflop-per-call=1e9", "--max-request-bytes=16777216")
"""Flags of a server that takes what `heavy` does."""


@pytest.fixture
def start_slow(slow_database: Path, start_server: Callable[..., ServerProcess], tmp_path: Path) -> Any:
    """Start a server that has the network `slow`, by flags."""
    shutil.copy(slow_database, tmp_path)
    return functools.partial(start_server, *HEAVY)


def heavy(channel: grpc.Channel) -> Callable[..., Any]:
    """Return what calls a slow network: with 100,000 rows it has 360 GFLOP to do, some ten seconds."""
    predict: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(PREDICT)

    def start(rows: int = 100_000, timeout: float = 600.0) -> Any:
        tensor = Tensor(shape=[rows, 10], data=bytes(rows * 80), dtype=DATA_TYPE_FLOAT64)
        return predict.future(PredictRequest(network="slow", tensor=tensor).SerializeToString(), timeout=timeout)

    return start


def assert_the_work_ended(server: ServerProcess, start: Callable[..., Any]) -> None:
    """The workers take other work, and rest after far fewer seconds than eight calls of many rows are worth."""
    before = server.cpu_seconds()
    assert PredictResponse.FromString(start(rows=200).result()).outputs.shape == [200, 1]
    wait_until(lambda: rests(server), 300)
    assert server.cpu_seconds() - before < 15.0


def rests(server: ServerProcess) -> bool:
    before = server.cpu_seconds()
    time.sleep(0.5)
    return server.cpu_seconds() - before < 0.1


def test_a_deadline_ends_the_call_and_its_work(start_slow: Callable[..., ServerProcess]) -> None:
    server = start_slow("--drain-timeout=60")
    with grpc.insecure_channel(server.address) as channel:
        start = heavy(channel)
        # The first one is taken on, since nothing is known of it; those behind it would end too late.
        late = [start(timeout=1.0) for _ in range(8)]
        codes = {future.code() for future in late}
        assert Code.DEADLINE_EXCEEDED in codes
        assert codes <= {Code.DEADLINE_EXCEEDED, Code.UNAVAILABLE}
        call(channel, PREDICT, predict_request("article-linear", [1, 2]))
        assert_the_work_ended(server, start)
    # Were any call still in flight, the drain would wait for it until its timeout and say so.
    assert server.stop() == 0
    assert "calls in flight" not in server.log.read_text()


def test_a_cancelled_call_frees_the_workers(start_slow: Callable[..., ServerProcess]) -> None:
    server = start_slow("--max-in-flight=8", "--drain-timeout=60")
    with grpc.insecure_channel(server.address) as channel:
        start = heavy(channel)
        calls: list[Any] = []

        def is_full() -> bool:
            # A call of `overloaded` may have the last place for a moment, for which a heavy one is rejected.
            calls.extend(start() for _ in range(8 - sum(not future.done() for future in calls)))
            return overloaded(channel) and overloaded(channel)

        wait_until(is_full, 300)
        gone = [future for future in calls if not future.done()]
        assert gone
        for future in gone:
            future.cancel()
        wait_until(lambda: not overloaded(channel), 300)
        assert_the_work_ended(server, start)
    assert server.stop() == 0
    assert "calls in flight" not in server.log.read_text()


def overloaded(channel: grpc.Channel) -> bool:
    try:
        call(channel, PREDICT, predict_request("article-linear", [1, 2]))
    except grpc.RpcError as error:
        assert decode(error).reason == "OVERLOADED"
        return True
    return False


def test_a_drain_ends_at_its_timeout_whatever_is_computed(start_slow: Callable[..., ServerProcess]) -> None:
    server = start_slow("--drain-timeout=0.5")
    with grpc.insecure_channel(server.address) as channel:
        start, begun = heavy(channel), server.cpu_seconds()
        # They are not all done when it drains, however late this process sees that they have begun.
        futures = [start() for _ in range(4)]
        wait_until(lambda: server.cpu_seconds() > begun + 1.0, 300)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=120) == 0
        assert {future.code() for future in futures} & {Code.UNAVAILABLE, Code.CANCELLED}
    assert "calls in flight" in server.log.read_text()


@pytest.mark.parametrize("method", [PREDICT, f"{NETWORKS}ListNetworks"])
@pytest.mark.parametrize("authority", ["/run/forwardpass.sock", "127.0.0.1:1,127.0.0.1:2"])
def test_an_authority_that_is_none(server: ServerProcess, engine: str, method: str, authority: str) -> None:
    request = predict_request("article-linear", [1, 2]) if method == PREDICT else b""
    with grpc.insecure_channel(server.address, options=[("grpc.default_authority", authority)]) as channel:
        if engine == "grpcio":
            call(channel, method, request)
        else:
            with pytest.raises(grpc.RpcError, match="RST_STREAM"):
                call(channel, method, request)
    # What the table of engines tells to do.
    with grpc.insecure_channel(server.address, options=[("grpc.default_authority", "localhost")]) as channel:
        call(channel, method, request)


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_requests(server: ServerProcess, engine: str, compression: grpc.Compression) -> None:
    with grpc.insecure_channel(server.address, compression=compression) as channel:
        call(channel, f"{NETWORKS}ListNetworks", b"")
        if engine == "native" and compression is grpc.Compression.Deflate:
            with pytest.raises(grpc.RpcError) as error:
                call(channel, PREDICT, predict_request("article-linear", [1, 2]))
            assert error.value.code() is Code.UNIMPLEMENTED
            assert "deflate" in str(error.value.details())
        else:
            call(channel, PREDICT, predict_request("article-linear", [1, 2]))


@UNIX_SOCKET
def test_a_unix_socket(tmp_path: Path, engine: str) -> None:
    path = tmp_path / "socket"
    for _ in range(2):  # the second one finds the file of the first
        path.touch() if not path.exists() else None
        path.unlink()
        with ServerProcess(tmp_path, "--engine", engine, "--listen", f"unix:{path}") as server:
            assert server.address == f"unix:{path}"
            with grpc.insecure_channel(server.address) as channel:
                call(channel, PREDICT, predict_request("article-linear", [1, 2]))
                call(channel, f"{NETWORKS}ListNetworks", b"")
            assert server.stop() == 0


@UNIX_SOCKET
def test_the_file_of_a_unix_socket_is_replaced(tmp_path: Path, engine: str) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as stale:  # what a killed server leaves
        stale.bind(str(path))
    with ServerProcess(tmp_path, "--engine", engine, "--listen", f"unix:{path}") as server:
        with grpc.insecure_channel(server.address) as channel:
            call(channel, PREDICT, predict_request("article-linear", [1, 2]))
        assert server.stop() == 0


@pytest.mark.parametrize("second", ["native", pytest.param("grpcio", marks=GRPCIO)])
def test_a_second_server_of_any_engine_cannot_have_the_port(server: ServerProcess, tmp_path: Path, second: str) -> None:
    ended = refused_start(tmp_path, f"--engine={second}", f"--listen={server.address}")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"forwardpass-server: cannot listen on {server.address}: Address already in use\n"


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("192.0.2.1:0", "Cannot assign requested address"),
        ("nothing.invalid:0", "Name or service not known"),
        pytest.param("unix:/nothing/here", "No such file or directory", marks=UNIX_SOCKET),
        pytest.param(f"unix:/{'long' * 40}", "AF_UNIX path too long", marks=UNIX_SOCKET),
        pytest.param(f"unix:{__file__}", "Address already in use", marks=UNIX_SOCKET),
    ],
)
def test_an_address_that_cannot_be_bound_is_one_sentence(
    tmp_path: Path, engine: str, address: str, reason: str
) -> None:
    flags = [f"--database=sqlite:///{tmp_path}/own.db", f"--engine={engine}", f"--listen={address}", "--insecure"]
    ended = fork_server.run("forwardpass-server", ["serve", "--log-level=error", *flags], environment=os.environ)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"forwardpass-server: cannot listen on {address}: {reason}\n"


UNARY = {
    f"/{service.full_name}/{method.name}": method
    for service in (
        prediction_service_pb2.DESCRIPTOR.services_by_name["PredictionService"],
        network_service_pb2.DESCRIPTOR.services_by_name["NetworkService"],
    )
    for method in service.methods
    if not method.client_streaming and not method.server_streaming
}
SEEDS = [
    predict_request("article-linear", [1, 2]).SerializeToString(),
    PredictManyRequest(requests=[predict_request("article-1-hidden", [1, 2])] * 2).SerializeToString(),
    network_service_pb2.RegisterNetworkRequest(network="seed", spec=network_spec([[1.0, 2.0]])).SerializeToString(),
    network_service_pb2.SetAliasRequest(network="article-linear", alias="a", version="1").SerializeToString(),
    PredictRequest(
        network="article-linear", tensor=Tensor(shape=[1] * 70, data=bytes(16), dtype=DATA_TYPE_FLOAT64)
    ).SerializeToString(),
]


def garbage(rng: random.Random) -> bytes:
    """Random bytes, or a right request that was damaged."""
    if rng.random() < 0.3:
        return rng.randbytes(rng.randrange(60))
    data = bytearray(rng.choice(SEEDS))
    for _ in range(rng.randrange(1, 4)):
        place = rng.randrange(len(data) + 1)
        change = rng.randrange(3)
        if change == 0:
            data[place:place] = rng.randbytes(rng.randrange(1, 5))
        elif change == 1:
            del data[place : place + rng.randrange(1, 9)]
        elif place < len(data):
            data[place] ^= 1 << rng.randrange(8)
    return bytes(data)


@pytest.mark.parametrize("count", [2_000, pytest.param(20_000, marks=pytest.mark.prove)])
def test_any_bytes_on_any_method_get_an_error_in_words(
    start_server: Callable[..., ServerProcess], capsys: pytest.CaptureFixture[str], count: int
) -> None:
    rng = random.Random(1)
    server = start_server()
    counts: dict[str, int] = {}
    with grpc.insecure_channel(server.address) as channel:
        for path in UNARY:
            method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
            sent = [garbage(rng) for _ in range(count // len(UNARY))]
            for start in range(0, len(sent), 50):
                futures: list[Any] = [method.future(data, timeout=300) for data in sent[start : start + 50]]
                for data, future in zip(sent[start:], futures, strict=False):
                    code = future.code()
                    counts[code.name] = counts.get(code.name, 0) + 1
                    assert code not in {Code.UNKNOWN, Code.INTERNAL, Code.UNAVAILABLE}, (path, data, future.details())
                    if code is not Code.OK:
                        decode(future)
        call(channel, f"{NETWORKS}ListNetworks", b"")
    with capsys.disabled():
        print(f"\nrandom requests: {counts}")
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text()


class Load:
    """Calls made all the time by a few threads; a call that fails is not made again.

    Attributes:
        sent: How many calls were made.
        failures: What came of those that failed.
        seen: The replicas that have responded.
        responses: The replica of each response that tells it, in order.
    """

    def __init__(self, client: Client, *, mixed: bool) -> None:
        self.sent = 0
        self.failures: list[Exception] = []
        self.seen: set[float] = set()
        self.responses: list[float] = []
        self._client, self._mixed = client, mixed
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._rounds = [0] * 6
        self._threads = [threading.Thread(target=self._go_on, args=[index]) for index in range(len(self._rounds))]

    def _go_on(self, index: int) -> None:
        while not self._stopping.is_set():
            with self._lock:
                self.sent += 1
                number = self.sent
            try:
                self._ask(number)
            except ForwardpassError as error:
                self.failures.append(error)
            self._rounds[index] += 1

    def _ask(self, number: int) -> None:
        if self._mixed and number % 3 == 1:
            self._client.trace("article-2-hidden", [[float(number), 1.0]])
        elif self._mixed and number % 3 == 2:
            self._client.network("article-linear")
        else:
            self.responses.append(self._client.predict("replica", [[1.0]]).outputs.item())
            self.seen.add(self.responses[-1])

    def wait_for_all(self, replicas: int) -> None:
        """Wait until each of the replicas has responded anew, so that the client is connected to all."""
        self.seen.clear()
        wait_until(lambda: len(self.seen) == replicas, 120)

    def wait_for_other_than(self, replica: int) -> None:
        """Wait until every thread calls replicas other than this one: the client takes turns as long as it is open."""

        def left() -> bool:
            start, before = len(self.responses), [*self._rounds]
            wait_until(lambda: all(now > then + 5 for now, then in zip(self._rounds, before, strict=True)), 120)
            return replica not in self.responses[start:]

        wait_until(left, 120)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.prove  # it starves threads, which on a busy machine get no time at all
def test_a_drain_ends_every_stream_however_late_its_end_is_passed_on(
    start_server: Callable[..., ServerProcess],
) -> None:
    server = start_server("--lame-duck=0.1")
    outcomes: list[object] = []
    watching = threading.Barrier(33)

    def watch() -> None:
        with grpc.insecure_channel(server.address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            states = stub.Watch(health_pb2.HealthCheckRequest(), timeout=60)
            next(states)
            watching.wait(60)
            try:
                outcomes.append([state.status for state in states])
            except grpc.RpcError as error:
                outcomes.append((error.code(), error.details()))

    threads = [threading.Thread(target=watch) for _ in range(watching.parties - 1)]
    for thread in threads:
        thread.start()
    # The native engine's threads get time only when no other thread wants it.
    for task in Path(f"/proc/{server.process.pid}/task").iterdir():
        if (task / "comm").read_text().strip() == "grpc-native-io":
            os.sched_setscheduler(int(task.name), os.SCHED_IDLE, os.sched_param(0))
    watching.wait(60)
    assert server.stop() == 0
    for thread in threads:
        thread.join()
    assert outcomes == [[health_pb2.HealthCheckResponse.NOT_SERVING]] * len(threads)


@pytest.fixture
def replicas(tmp_path: Path, engine: str) -> Iterator[Callable[..., list[ServerProcess]]]:
    """Start two servers, whose responses tell them apart, by flags."""
    with ExitStack() as stack:

        def start(*flags: str) -> list[ServerProcess]:
            servers = []
            for number in range(2):
                folder = tmp_path / f"{number}"
                folder.mkdir()
                listen = f"--listen=127.0.0.1:{free_port()}"
                servers.append(stack.enter_context(ServerProcess(folder, "--engine", engine, listen, *flags)))
                with grpc.insecure_channel(servers[-1].address) as channel:
                    register(channel, "replica", network_spec([[float(number)]]))
            return servers

        yield start


def client_of(servers: Sequence[ServerProcess]) -> Client:
    """A client of all servers, which repeats no call."""
    client = Client("ipv4:" + ",".join(server.address for server in servers), retries=False)
    client.wait_until_ready(120)
    return client


def test_callers_have_left_a_server_before_it_stops(replicas: Callable[..., list[ServerProcess]]) -> None:
    """While it is a lame duck: the long form below lets that end by time, and so needs a machine that keeps up."""
    servers = replicas("--lame-duck=600")
    with client_of(servers) as client, Load(client, mixed=True) as load:
        for number, server in enumerate(servers):
            load.wait_for_all(2)
            server.process.send_signal(signal.SIGTERM)
            load.wait_for_other_than(number)
            server.kill()
            server.start()
        load.wait_for_all(2)
    assert [(type(error), str(error)) for error in load.failures] == []


@pytest.mark.prove
@pytest.mark.parametrize("mixed", [False, True], ids=["predict", "mixed"])
def test_a_rolling_restart_under_load_loses_no_call(
    replicas: Callable[..., list[ServerProcess]], engine: str, capsys: pytest.CaptureFixture[str], *, mixed: bool
) -> None:
    drains = 4
    servers = replicas("--lame-duck=0.3")
    with client_of(servers) as client, Load(client, mixed=mixed) as load:
        for number in range(drains):
            load.wait_for_all(2)
            stopped = servers[number % 2]
            assert stopped.stop() == 0
            stopped.start()
    draining = [error for error in load.failures if isinstance(error, DrainingError)]
    lost = [error for error in load.failures if not isinstance(error, DrainingError)]
    with capsys.disabled():
        print(
            f"\n{engine}, {'mixed' if mixed else 'predict'}: {drains} drains, {load.sent} calls sent, "
            f"{len(draining)} refused with DRAINING, {len(lost)} lost"
        )
    assert [(type(error), str(error)) for error in lost] == []


def test_after_the_drain_there_is_draining_or_no_connection(tmp_path: Path, engine: str) -> None:
    flags = ("--engine", engine, "--lame-duck", "0", f"--listen=127.0.0.1:{free_port()}")
    rejections: set[tuple[grpc.StatusCode, str]] = set()
    # Without a health check, so that calls are made until the server no longer listens.
    with ServerProcess(tmp_path, *flags) as server, grpc.insecure_channel(server.address) as channel:
        call(channel, PREDICT, predict_request("article-linear", [1, 2]))
        server.process.send_signal(signal.SIGTERM)
        number, has_ended = 0, False
        while not has_ended:
            has_ended = server.process.poll() is not None  # and then comes a last call
            number += 1
            method = PREDICT if number % 2 else f"{NETWORKS}ListNetworks"
            try:
                call(channel, method, predict_request("article-linear", [1, 2]) if number % 2 else b"")
            except grpc.RpcError as error:
                details = str(error.details())
                rejections.add((error.code(), decode(error).reason if "stopping" in details else details))
        assert server.wait() == 0
    # gRPC's stop may cancel a call that came after the last response: https://github.com/grpc/grpc/issues/41785
    assert Code.UNAVAILABLE in {code for code, _ in rejections} <= {Code.UNAVAILABLE, Code.CANCELLED}, rejections


@pytest.mark.parametrize(
    ("address", "opened"),
    [
        ("127.0.0.1:50051", False),
        ("127.8.8.8:0", False),
        ("[::1]:0", False),
        ("localhost:0", False),
        pytest.param("unix:/run/forwardpass", False, marks=UNIX_SOCKET),
        pytest.param("0.0.0.0:50051", True, marks=GRPCIO),
        pytest.param("[::]:50051", True, marks=GRPCIO),
        pytest.param("192.0.2.1:50051", True, marks=GRPCIO),
    ],
)
def test_an_open_address_gets_the_engine_with_bounds(address: str, opened: bool) -> None:
    for chosen in ("auto", "native"):
        engine = engines.choose(Settings(listen=address, engine=chosen, insecure=True))
        assert engine is (engines.Engine.GRPCIO if opened and chosen == "auto" else engines.Engine.NATIVE)


def test_native_on_an_open_address_warns(tmp_path: Path) -> None:
    lines = map(json.loads, log_of(tmp_path, "--engine=native", "--listen=0.0.0.0:0", "--insecure").splitlines())
    (warning,) = [line["message"] for line in lines if "no bound" in line["message"]]
    assert "--engine grpcio" in warning
