from collections.abc import Iterator
from typing import Any

import pytest

from tests.client.fake_server import FakeServer
from tests.client.twins import Loop, Twin


@pytest.fixture(scope="session")
def _loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture(params=["sync", "async"])
def connect(request: pytest.FixtureRequest, _loop: Loop) -> Iterator[Twin]:
    """Make clients, of each kind in turn."""
    twin = Twin(request.param, _loop)
    yield twin
    twin.close()


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    """A server in this process that fails on demand."""
    with FakeServer() as server:
        yield server


@pytest.fixture
def client(fake: FakeServer, connect: Twin) -> Any:
    """A client of `fake`, of each kind in turn."""
    return connect(fake.address)
