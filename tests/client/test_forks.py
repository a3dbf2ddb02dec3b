"""Clients that are inherited by `fork`: no child hangs beyond its timeout, and none dies of a signal."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import grpc
import pytest

from tests.support.fake_server import FakeServer
from tests.support.fork_under_load import KINDS
from tests.support.server_process import ServerProcess

NAME = "article-linear"
ROW = [2.0, 3.0]
FORKS = [pytest.param(10, id="10"), pytest.param(200, id="200", marks=pytest.mark.prove)]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
one_engine = pytest.mark.parametrize("engine", ["native"], indirect=True)
"""Forks are the client's affair, whatever the server is."""


def run(code: str, *arguments: str) -> str:
    """Run a program, since forks in a process with servers of gRPC are not the client's to make safe."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@one_engine
@pytest.mark.parametrize("forks", FORKS)
@pytest.mark.parametrize("kind", KINDS)
def test_under_load(kind: str, forks: int, server: ServerProcess, capsys: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-m", "tests.support.fork_under_load", kind, str(forks), server.address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    with capsys.disabled():
        print(f"\n{kind}: {found['children']}")
    # An event loop that forks while its own calls are in flight cannot end them, which its children report.
    assert found["children"] == {"rejected" if kind == "asyncio-in-loop" else "predicted": forks}
    assert found["parent"] == []


NO_GRACE = """
import sys
from forwardpass._transport import forks
from tests.support.fork_under_load import KINDS

forks.GRACE_SECONDS = 0.0
print(*KINDS[sys.argv[2]](sys.argv[1], 10))
"""


@pytest.mark.prove
@one_engine
@pytest.mark.parametrize("kind", ["plain", "asyncio"])
def test_calls_that_are_cut_short_leave_nothing_of_grpc_running(server: ServerProcess, kind: str) -> None:
    assert run(NO_GRACE, server.address, kind) == "Counter({'predicted': 10}) []\n"


PREFORK = """
import os, sys, time
from forwardpass import Client

client = Client(sys.argv[1])
if sys.argv[2] == "used":
    client.wait_until_ready(10)
    assert client.predict("article-linear", [2, 3]).outputs == 9
workers = []
for _ in range(4):
    pid = os.fork()
    if not pid:
        # As a worker of gunicorn or celery does: calls for a while, then ends as every process does.
        for _ in range(5):
            assert client.predict("article-linear", [2, 3], timeout=30).outputs == 9
        sys.exit(7)
    workers.append(pid)
assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in workers] == [7] * 4
assert client.predict("article-linear", [2, 3]).outputs == 9
client.close()
print("done")
"""


@one_engine
@pytest.mark.parametrize("parent", ["used", "unused"])
def test_workers_that_are_forked_from_a_preloaded_program(server: ServerProcess, parent: str) -> None:
    assert run(PREFORK, server.address, parent) == "done\n"


DURING_THE_FIRST_CALL = """
import os, sys, threading
import grpc
from forwardpass import Client

opening, forked = threading.Event(), threading.Event()
insecure_channel = grpc.insecure_channel

def open_slowly(*arguments, **options):
    opening.set()
    forked.wait(0.5)  # the fork waits for this thread, so it comes later
    return insecure_channel(*arguments, **options)

grpc.insecure_channel = open_slowly
client = Client(sys.argv[1], coalesce=sys.argv[2] == "coalesce")
first = threading.Thread(target=lambda: print(client.predict("article-linear", [2, 3]).outputs.item(), flush=True))
first.start()
opening.wait()
pid = os.fork()
if not pid:
    os._exit(0 if client.predict("article-linear", [2, 3], timeout=30).outputs == 9 else 1)
forked.set()
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
first.join()
print("done")
"""


@one_engine
@pytest.mark.parametrize("kind", ["plain", "coalesce"])
def test_the_first_call_opens_the_connection_while_the_process_forks(server: ServerProcess, kind: str) -> None:
    assert run(DURING_THE_FIRST_CALL, server.address, kind) == "9.0\ndone\n"


POOL = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
from forwardpass import Client

client = Client(sys.argv[1])

def inherited(number):
    return client.predict("article-linear", [number, 1.0], timeout=30).outputs.item()

def passed(given):
    return given[0].predict("article-linear", [given[1], 1.0], timeout=30).outputs.item()

assert inherited(1.0) == 4
expected = [3.0 * number + 1 for number in range(8)]
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(inherited, range(8)) == expected
    assert pool.map(passed, [(client, number) for number in range(8)]) == expected
with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
    assert list(pool.map(inherited, range(8))) == expected
assert inherited(1.0) == 4
print("done")
"""


@one_engine
def test_pools_of_processes(server: ServerProcess) -> None:
    assert run(POOL, server.address) == "done\n"


CUT_SHORT = """
import os, sys, threading, time
from forwardpass import Client, StreamRequest, UnavailableError

client = Client(sys.argv[1], timeout=100)
client.predict("article-linear", [2, 3])
found = {}

def call(name, function):
    def run():
        try:
            found[name] = function()
        except Exception as error:
            found[name] = error
    thread = threading.Thread(target=run)
    thread.start()
    return thread

def endless():
    while True:
        yield StreamRequest(network="article-linear", rows=[2, 3])
        time.sleep(0.01)

def until(condition):
    while not condition():
        time.sleep(0.01)

watched, predicted = [], []
threads = [
    call("watch", lambda: [watched.append(change) for change in client.watch()]),
    call("stream", lambda: [predicted.append(one) for one in client.predict_stream(endless())]),
]
until(lambda: len(watched) >= 4 and predicted)
threads += [
    call("read", lambda: client.predict("article-linear", [2, 3]).outputs.item()),
    call("write", lambda: client.delete_network("article-linear")),
]
until(lambda: len(os.listdir(sys.argv[2])) == 2)  # the server holds both
begun = time.monotonic()
pid = os.fork()
if not pid:
    os._exit(0 if client.predict("article-linear", [2, 3], timeout=30).outputs == 9 else 1)
took = time.monotonic() - begun
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
for thread in threads:
    thread.join(100)
print(code, took < 50, found["read"], type(found["write"]).__name__, "cut it short" in str(found["write"]))
print(type(found["watch"]).__name__, "start it again" in str(found["watch"]), len(watched) >= 4)
print(type(found["stream"]).__name__, "start it again" in str(found["stream"]))
client.close()
"""


def test_calls_that_do_not_end_are_cut_short_and_repeated_where_they_may_be(fake: FakeServer, tmp_path: Path) -> None:
    released = threading.Event()

    def hold(context: grpc.ServicerContext) -> None:
        (tmp_path / str(id(context))).touch()
        released.wait()

    fake.script.extend([lambda _: None] * 3 + [hold] * 2)
    # The server lives in this process; the program that forks is another one.
    try:
        lines = run(CUT_SHORT, fake.address, str(tmp_path)).splitlines()
    finally:
        released.set()
    assert lines == ["0 True 9.0 UnavailableError True", "UnavailableError True True", "UnavailableError True"]


IN_LOOP = """
import asyncio, os, sys, time
from forwardpass import AsyncClient

async def main():
    async with AsyncClient(sys.argv[1]) as client:
        calls = [asyncio.create_task(client.predict("article-linear", [2, 3])) for _ in range(20)]
        await asyncio.sleep(0)
        await asyncio.sleep(0.002)
        pid = os.fork()
        if not pid:
            time.sleep(0.3)  # a child that does not call at all
            os._exit(0)
        assert [(await call).outputs.item() for call in calls] == [9.0] * 20
        assert (await client.predict("article-linear", [2, 3])).outputs.item() == 9
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    print("done")

asyncio.run(main())
"""


@one_engine
def test_an_event_loop_may_fork_while_its_calls_are_in_flight(server: ServerProcess) -> None:
    assert run(IN_LOOP, server.address) == "done\n"


BETWEEN_LOOPS = """
import asyncio, os, sys
from forwardpass import AsyncClient

client = AsyncClient(sys.argv[1])

async def ask():
    return (await client.predict("article-linear", [2, 3], timeout=30)).outputs.item()

assert asyncio.run(ask()) == 9
pid = os.fork()
if not pid:
    os._exit(0 if asyncio.run(ask()) == 9 else 1)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
print("done")
"""


@one_engine
def test_a_client_of_an_event_loop_that_has_ended_serves_the_child(server: ServerProcess) -> None:
    assert run(BETWEEN_LOOPS, server.address) == "done\n"
