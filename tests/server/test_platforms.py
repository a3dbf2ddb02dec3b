"""Systems other than Linux, made by taking away what they do not have; and missing extras."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import grpc
import numpy as np
import pytest
from forwardpass.extras import EXTRAS

from tests.support.plain_http import Http
from tests.support.raw_grpc import NETWORKS, PREDICTIONS, call, predict_request
from tests.support.server_process import ServerProcess

LIKE_MACOS = """
import os, select, socket, sys
for module, names in {
    os: ("sched_getaffinity", "sched_setaffinity", "sched_setscheduler", "pidfd_open", "eventfd", "memfd_create"),
    select: ("epoll",),
    socket: ("TCP_USER_TIMEOUT", "AF_NETLINK", "AF_VSOCK", "SO_PEERCRED", "MSG_NOSIGNAL"),
}.items():
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
uname = os.uname()
os.uname = lambda: os.uname_result(("Darwin", *tuple(uname)[1:]))
opened = open
def without_proc(file, *arguments, **options):
    # threadpoolctl finds libraries by sys.platform, which cannot be changed in a running process.
    if str(file).startswith("/proc") and file != "/proc/self/maps":
        raise FileNotFoundError(2, "No such file or directory", file)
    return opened(file, *arguments, **options)
import builtins, io
builtins.open = io.open = without_proc
from forwardpass_server.cli import main
main(sys.argv[1:])
"""

WITHOUT = """
import importlib.util, sys
missing = set({names!r})
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name.partition(".")[0] in missing else find(name, *rest)
sys.meta_path.insert(0, Missing())
from forwardpass_server.cli import main
main(sys.argv[1:])
"""


def run(code: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_a_server_needs_nothing_that_only_linux_has(tmp_path: Path, engine: str) -> None:
    flags = (
        "--engine",
        engine,
        "--rest-listen=127.0.0.1:0",
        "--metrics-listen=127.0.0.1:0",
        "--preload=article-linear",
    )
    with ServerProcess(tmp_path, *flags, python=("-c", LIKE_MACOS)) as server:
        with grpc.insecure_channel(server.address) as channel:
            call(channel, f"{PREDICTIONS}Predict", predict_request("article-linear", [2, 3]))
            call(channel, f"{PREDICTIONS}Trace", predict_request("article-linear", [2, 3]))
            call(channel, f"{NETWORKS}ListNetworks", b"")
        with closing(Http(server.rest)) as http:
            assert http.infer("article-linear", np.array([[2.0, 3.0]])).output().tolist() == [[9.0]]
        with closing(Http(server.metrics.removesuffix("/metrics"))) as http:
            assert b"forwardpass_build_info" in http.get("/metrics").body
        assert server.stop() == 0
        assert "Traceback" not in server.log.read_text()
        assert f"with engine {engine}" in server.log.read_text()


def test_where_the_server_does_not_run_it_says_so() -> None:
    ended = run(WITHOUT.format(names=["fcntl"]), "serve")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("forwardpass-server: the server runs on Linux and macOS, not on this system; ")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "packages"),
    [
        *(("serve", (package,)) for package in EXTRAS["server"]),
        *((command, EXTRAS["server"]) for command in ("serve", "migrate", "check", "gc", "health", "descriptors")),
    ],
    ids=lambda value: value if isinstance(value, str) else "+".join(value),
)
def test_a_missing_extra_is_named(tmp_path: Path, command: str, packages: tuple[str, ...]) -> None:
    arguments = {"health": ["127.0.0.1:1"], "descriptors": [str(tmp_path / "own.binpb")]}
    given = arguments.get(command, [f"--database=sqlite:///{tmp_path}/own.db"])
    ended = run(WITHOUT.format(names=packages), command, *given)
    assert (ended.returncode, ended.stdout) == (2, "")
    words = f"whose {', '.join(packages)} {'is' if len(packages) == 1 else 'are'} not installed"
    assert ended.stderr == (
        f"forwardpass-server: forwardpass-server needs the extra `server`, {words}; pip install 'forwardpass[server]'\n"
    )


def test_a_missing_package_of_no_extra_stays_an_error() -> None:
    ended = run(WITHOUT.format(names=["annotated_types"]), "serve")
    assert ended.returncode == 1
    assert "ModuleNotFoundError" in ended.stderr
