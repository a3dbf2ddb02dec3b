"""Replicas for histories: processes with a registry each, forked from one that has everything imported.

`main` forks a replica for each line on stdin, a JSON list: the URL of a database, `right` or `planted`, and the path of
the socket that the replica listens on. A planted replica claims to know the requested revision without a refresh.
"""

import importlib
import json
import logging
import os
import signal
import socket
import sys
import threading
from typing import Any

from forwardpass.errors import ForwardpassError, NotFoundError
from forwardpass_server.registry import Registry, Snapshot, SqlStore

from tests.support.sample_networks import tiny


class Replica:
    """One registry, and its responses."""

    def __init__(self, url: str, *, planted: bool) -> None:
        self._planted = planted
        self._registry = Registry.open(SqlStore(url))
        if not planted:
            self._registry.follow(poll_seconds=0.2)

    def respond(self, method: str, name: str, *arguments: str, min_revision: int) -> object:
        """Do one call; an error of the registry is its name."""
        registry = self._registry
        try:
            if method in {"read", "predict"}:
                return self._read(method, name, *arguments, min_revision=min_revision)
            if method == "register":
                done = registry.register(name, tiny(float(arguments[0])))
                return done.version.number, done.created, done.revision
            if method == "delete_network":
                return registry.delete_network(name)
            if method == "delete_version":
                return registry.delete_version(name, int(arguments[0])).revision
            return getattr(registry.rollout, method)(name, *arguments).revision
        except ForwardpassError as error:
            return type(error).__name__

    def _read(self, method: str, name: str, alias: str = "", *, min_revision: int) -> object:
        snapshot = self._at(min_revision)
        revision = max(min_revision, snapshot.revision) if self._planted else snapshot.revision
        if method == "read":
            network = snapshot.networks.get(name)
            return revision, dict(network.aliases) if network else {}
        try:
            version = snapshot.version(name, alias)
        except ForwardpassError as error:
            return revision, type(error).__name__
        try:
            spec = self._registry.read_spec(name, str(version.number))
        except NotFoundError:  # it was deleted since, and the registry knows by now
            return self._read(method, name, alias, min_revision=revision + 1)
        return revision, str(float(spec.layers[0].weights[0, 0]))

    def _at(self, min_revision: int) -> Snapshot:
        if self._registry.revision < min_revision and not self._planted:
            looked = threading.Event()
            self._registry.refresh(lambda _: looked.set())
            looked.wait()
        return self._registry.snapshot

    def serve(self, listener: socket.socket) -> None:
        """Serve each connection in a thread of its own, for ever."""
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rw") as file:
            for line in file:
                request: dict[str, Any] = json.loads(line)
                file.write(json.dumps(self.respond(*request["call"], min_revision=request["min_revision"])) + "\n")
                file.flush()


def main() -> None:
    """Fork a replica for each line on stdin; it prints its process id when it listens."""
    logging.disable()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with SqlStore("sqlite://") as store:
        Registry.open(store).load_reference("article-linear", "")  # import what replicas need
    importlib.import_module("psycopg")
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            url, kind, path = json.loads(line)
            with socket.socket(socket.AF_UNIX) as listener:
                replica = Replica(url, planted=kind == "planted")
                listener.bind(path)
                listener.listen()
                os.write(1, b"%d\n" % os.getpid())
                replica.serve(listener)
