from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, settings
from threadpoolctl import threadpool_limits

from tests.support.postgres import Cluster
from tests.support.server_process import ServerProcess
from tests.support.worker_processes import PROCESSES, worker_pids

# How long an example takes says something about the machine only.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same examples", settings.get_profile("any machine"), derandomize=True)


def pytest_configure(config: pytest.Config) -> None:
    """Let `make test` try the same examples each time, so that it fails by no chance; `make prove` tries new ones."""
    if not config.getoption("--hypothesis-profile"):
        settings.load_profile("same examples" if config.option.markexpr == "not prove" else "any machine")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what several processes cannot do, where the variable of `PROCESSES` lets all servers have them."""
    if PROCESSES == 1:
        return
    called = getattr(item, "callspec", None)
    if called is not None and called.params.get("engine") == "grpcio":
        pytest.skip("engine grpcio serves in one process")
    for mark in item.iter_markers("one_process"):
        pytest.skip(*mark.args)


@pytest.fixture(scope="session", autouse=True)
def _one_blas_thread() -> None:
    # As the server does: the bits of a product depend on it.
    threadpool_limits(1, user_api="blas")


@pytest.fixture(scope="session", params=["native", "grpcio"])
def engine(request: pytest.FixtureRequest) -> str:
    """Both engines: what a server does must not depend on which one runs."""
    return str(request.param)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """One PostgreSQL cluster for all tests that leave it running."""
    with Cluster("fsync=off", "max_connections=200") as cluster:
        yield cluster


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, engine: str) -> Iterator[ServerProcess]:
    """One server process for all tests that only add networks of their own."""
    with ServerProcess(tmp_path_factory.mktemp("server"), "--engine", engine) as process:
        assert len(worker_pids(process)) == (PROCESSES if PROCESSES > 1 else 0)
        yield process
        assert process.stop() == 0


@pytest.fixture(autouse=True)
def _server_runs_the_engine(request: pytest.FixtureRequest) -> None:
    # Where a file overrides `engine` alone, pytest gives its server to the next file's tests, whatever their engine is.
    if {"engine", "server"} <= {*request.fixturenames}:
        server, engine = request.getfixturevalue("server"), request.getfixturevalue("engine")
        assert getattr(server, "engine", None) in {None, engine}, "override `server` beside `engine`"


@pytest.fixture
def start_server(tmp_path: Path, engine: str) -> Iterator[Callable[..., ServerProcess]]:
    """Start server processes of the test's own, by flags."""
    with ExitStack() as stack:

        def start(*flags: str, **options: Any) -> ServerProcess:
            return stack.enter_context(ServerProcess(tmp_path, "--engine", engine, *flags, **options))

        yield start


@pytest.fixture
def channel(server: ServerProcess) -> Iterator[grpc.Channel]:
    """A plain gRPC channel to `server`."""
    with grpc.insecure_channel(server.address) as channel:
        yield channel
