"""A worker process, as far as its messages to the owner go."""

from multiprocessing import Pipe
from types import SimpleNamespace
from typing import Any

import pytest
from forwardpass_server import worker
from forwardpass_server.processes import ConnectionDrain, Retired


def test_it_retires_even_where_its_connections_cannot_be_drained(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError("no descriptor is free")

    monkeypatch.setattr(ConnectionDrain, "run", fail)
    owner, own = Pipe()
    with owner, own:
        started = SimpleNamespace(address="127.0.0.1:1")
        part: Any = SimpleNamespace(_transport=object(), _start=started, _send=own.send)
        with pytest.raises(OSError, match="no descriptor"):
            worker.Worker._retire(part, 1.0)
        assert owner.poll(10)
        assert owner.recv() == Retired(connections=0)
