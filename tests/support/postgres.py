"""A throw-away PostgreSQL cluster for tests, on a Unix socket."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
import pytest

_DEBIAN = Path("/usr/lib/postgresql")


def programs() -> Path | None:
    """Return the folder of `initdb` and `postgres`, the newest there is, or None."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    folders = [path.parent for path in _DEBIAN.glob("*/bin/initdb")]
    return max(folders, key=lambda folder: float(folder.parent.name), default=None)


def needed() -> Path:
    """Return `programs()`; skip the test where there are none."""
    folder = programs()
    if folder is None:
        pytest.skip("PostgreSQL is not installed here (Debian: apt-get install postgresql)")
    return folder


class Cluster:
    """A cluster of its own, started when it is made.

    Attributes:
        folder: Where its socket is.
    """

    def __init__(self, *settings: str) -> None:
        """Make the cluster, with settings of the form `fsync=off`."""
        self._programs = needed()
        # Not pytest's folder, which another user must not enter, and whose path is too long for a socket.
        self.folder = Path(tempfile.mkdtemp(prefix="fp-pg-", dir="/tmp"))
        self._as: list[str] = []
        if os.geteuid() == 0:  # as whom PostgreSQL refuses to run
            user = pwd.getpwnam("postgres")
            os.chown(self.folder, user.pw_uid, -1)
            # Not Popen's `user`, for which Python forks in a way in which gRPC's threads may end the child.
            self._as = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        self._settings = [part for setting in settings for part in ("-c", setting)]
        self._names = count(1)
        self._run("initdb", "-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        self.start()

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database."""
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def new_database(self, template: str = "template1") -> str:
        """Make a database that is empty, or a copy of another; return its URL."""
        name = f"test_{next(self._names)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Execute a statement; return its rows."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def start(self, seconds: float = 60.0) -> None:
        """Start it and wait until it takes connections."""
        end = time.monotonic() + seconds
        self.process = self._postgres()
        while True:
            try:
                self.execute("SELECT 1")
            except psycopg.OperationalError:
                assert time.monotonic() < end, (self.folder / "log").read_text()
                if self.process.poll() is not None:
                    # What was killed a moment ago may still be in its way.
                    self.process = self._postgres()
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """Stop it at once, but in order: connections are cut."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=60)

    def kill(self) -> None:
        """End all its processes as a crash would."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        # The first one may make more until it is gone.
        pids = [self.process.pid, *map(int, children.read_text().split())]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(timeout=60)
        (self.folder / "data" / "postmaster.pid").unlink(missing_ok=True)

    def close(self) -> None:
        """Stop it and delete everything."""
        if self.process.poll() is None:
            self.stop()
        shutil.rmtree(self.folder)

    def _postgres(self) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [*self._as, self._programs / "postgres", "-D", "data", "-k", self.folder, "-h", "", *self._settings],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [*self._as, self._programs / program, *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
