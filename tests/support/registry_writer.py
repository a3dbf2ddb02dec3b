"""Processes that write to a registry until they are killed; forked, so that each starts in milliseconds."""

import json
import os
import signal
import sys
import time
from pathlib import Path

from forwardpass_server.registry import Registry, SqlStore

from tests.support.sample_networks import tiny


def write(database: str, output: str) -> None:
    """Register, alias and delete versions of `net` for ever; append each acknowledged write to a file as a line."""
    with Path(output).open("a", buffering=1) as lines, SqlStore(f"sqlite:///{database}") as store:
        registry = Registry.open(store, max_versions=10**6)
        while True:
            # Some pages long, so that there is much to tear.
            long_texts = {"description": "x" * 9_000, "metadata": {str(index): "y" * 9_000 for index in range(5)}}
            version = registry.register("net", tiny(time.time_ns() / 1e9, **long_texts)).version
            print("registered", version.number, version.digest, file=lines)
            if version.number % 3 == 0:
                registry.rollout.set_alias("net", "stable", str(version.number))
                print("aliased", version.number, file=lines)
            elif version.number % 3 == 2 and version.number > 3:
                print("deleting", version.number, file=lines)
                registry.delete_version("net", version.number)
                print("deleted", version.number, file=lines)


def main() -> None:
    """Fork a writer for each line on stdin, a JSON list of `write`'s arguments, and print its process id."""
    with SqlStore("sqlite://") as store:
        Registry.open(store).load_reference("article-linear", "")  # import what writers need
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            write(*json.loads(line))
        print(pid, flush=True)
