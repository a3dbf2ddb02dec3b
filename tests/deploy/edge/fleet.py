"""Several servers behind one name, each at a loopback address of its own and all on one port, as in containers.

Without a flag that says otherwise each has a database of its own. What is written through a proxy is then on one of
them only, and our client, which accepts no state older than what it saw, would get errors of the others.
"""

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import grpc

from tests.deploy.edge.names import NameServer
from tests.support.ports import free_port
from tests.support.raw_grpc import network_spec, register
from tests.support.server_process import ServerProcess

MARKED: Final = "replica"
"""A network whose output for 1 says which server computes: the last number of its address."""


class Fleet:
    """Servers, and the name server that tells their addresses.

    Attributes:
        port: The one on which all listen.
        servers: Those that there are, in the order in which they were added.
        names: Tells the addresses of those that were not taken away.
    """

    def __init__(self, folder: Path, *flags: str, fresh: bool = False) -> None:
        self._folder = folder
        self._fresh = fresh
        self._flags = flags
        self._stack = ExitStack()
        self._taken = 0
        self.port = free_port()
        self.servers: list[ServerProcess] = []
        self.names = self._stack.enter_context(NameServer())

    def add(self, count: int = 1) -> list[ServerProcess]:
        """Start some more servers."""
        added = []
        for _ in range(count):
            self._taken += 1
            folder = self._folder / f"server-{self._taken}"
            folder.mkdir(parents=True)
            listen = f"--listen=127.0.0.{self._taken + 1}:{self.port}"
            added.append(self._stack.enter_context(ServerProcess(folder, *self._flags, listen, fresh=self._fresh)))
        self.servers += added
        self._tell()
        return added

    def add_marked(self, count: int) -> list[ServerProcess]:
        """Start some more servers, each with a network `MARKED` of its own."""
        added = self.add(count)
        for server in added:
            with grpc.insecure_channel(server.address) as channel:
                mark = float(_host(server.address).rpartition(".")[2])
                register(channel, MARKED, network_spec([[mark]]))
        return added

    def remove(self, server: ServerProcess) -> int:
        """Take a server out of the name's addresses and let it drain; return its exit code."""
        self.servers.remove(server)
        self._tell()
        return server.stop()

    @property
    def addresses(self) -> list[str]:
        """Where the servers listen."""
        return [server.address for server in self.servers]

    @property
    def target(self) -> str:
        """All addresses, as a client of gRPC has them."""
        return "ipv4:" + ",".join(self.addresses)

    def _tell(self) -> None:
        self.names.says(_host(address) for address in self.addresses)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def _host(address: str) -> str:
    return address.rpartition(":")[0]
