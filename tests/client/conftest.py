from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.client_factory import BackgroundLoop, ClientFactory
from tests.support.fake_server import FakeServer


@pytest.fixture(scope="session")
def _loop() -> Iterator[BackgroundLoop]:
    loop = BackgroundLoop()
    yield loop
    loop.close()


@pytest.fixture(params=["sync", "async"])
def connect(request: pytest.FixtureRequest, _loop: BackgroundLoop) -> Iterator[ClientFactory]:
    """Make clients, of each kind in turn."""
    factory = ClientFactory(request.param, _loop)
    yield factory
    factory.close()


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    """A server in this process that fails on demand."""
    with FakeServer() as server:
        yield server


@pytest.fixture
def client(fake: FakeServer, connect: ClientFactory) -> Any:
    """A client of `fake`, of each kind in turn."""
    return connect(fake.address)
