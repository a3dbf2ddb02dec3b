"""Finding a server, following one that drains, TLS, and what belongs to asyncio alone."""

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from forwardpass import AsyncClient, errors

from tests.support.certificates import self_signed
from tests.support.client_factory import ClientFactory
from tests.support.fake_server import FakeServer
from tests.support.ports import free_port
from tests.support.server_process import wait_until

NAME = "article-linear"
ROW = [2.0, 3.0]


class TestSeveralConnections:
    def test_calls_take_turns(self, connect: ClientFactory, fake: FakeServer) -> None:
        client = connect(fake.address, connections=3)
        for _ in range(9):
            assert client.predict(NAME, ROW).outputs == 9
        peers = [received.peer for received in fake.calls if received.method == "Predict"]
        assert len({*peers}) == 3
        assert peers == peers[:3] * 3
        assert list(client.predict_batches(NAME, [ROW])) != []
        client.close()
        with pytest.raises(RuntimeError, match="closed"):
            client.predict(NAME, ROW)

    def test_one_is_the_default(self, connect: ClientFactory, fake: FakeServer) -> None:
        client = connect(fake.address)
        for _ in range(5):
            client.predict(NAME, ROW)
        assert len({received.peer for received in fake.calls}) == 1

    @pytest.mark.parametrize("count", [0, -1, 1_001, 2.0, True, "4", None])
    def test_the_number_is_checked(self, connect: ClientFactory, count: object) -> None:
        with pytest.raises(errors.InvalidFieldError, match=r"connections is .*; must be a whole number from 1 to 1000"):
            connect("127.0.0.1:1", connections=count)


class TestReadiness:
    def test_a_server_that_serves_is_ready(self, client: Any) -> None:
        assert client.ready() is True
        client.wait_until_ready()

    def test_a_server_that_does_not_serve_is_not(self, client: Any, fake: FakeServer) -> None:
        fake.serve(False)
        assert client.ready() is False
        with pytest.raises(errors.DeadlineExceededError, match=r"was not ready to serve within 0\.3 s"):
            client.wait_until_ready(0.3)

    def test_no_server_is_not_ready(self, connect: ClientFactory) -> None:
        client = connect("127.0.0.1:1")
        assert client.ready() is False
        with pytest.raises(TimeoutError):
            client.wait_until_ready(0.3)

    def test_waits_for_a_server_that_starts_to_serve(self, client: Any, fake: FakeServer) -> None:
        fake.serve(False)
        timer = threading.Timer(0.3, fake.serve, [True])
        timer.start()
        client.wait_until_ready(60)
        assert client.predict(NAME, ROW).outputs == 9
        timer.join()

    def test_waits_for_a_server_that_starts(self, connect: ClientFactory) -> None:
        port = free_port()
        client = connect(f"127.0.0.1:{port}")
        started: list[FakeServer] = []
        timer = threading.Timer(0.3, lambda: started.append(FakeServer(port)))
        timer.start()
        client.wait_until_ready(60)
        assert client.predict(NAME, ROW).outputs == 9
        timer.join()
        client.close()
        started[0].stop()


class TestBalancing:
    def test_all_addresses_are_used(self, connect: ClientFactory) -> None:
        with FakeServer() as one, FakeServer() as other:
            client = connect(f"ipv4:{one.address},{other.address}")
            while not (one.calls and other.calls):  # until both are connected
                client.predict(NAME, ROW)
            before = len(one.calls), len(other.calls)
            for _ in range(20):
                client.predict(NAME, ROW)
            assert min(len(one.calls) - before[0], len(other.calls) - before[1]) >= 8
            client.close()

    def test_a_server_that_drains_gets_no_more_calls(self, connect: ClientFactory) -> None:
        with FakeServer() as one, FakeServer() as other:
            client = connect(f"ipv4:{one.address},{other.address}")
            while not (one.calls and other.calls):
                client.predict(NAME, ROW)
            one.serve(False)

            def only_the_other_is_called() -> bool:
                before = len(one.calls)
                for _ in range(20):
                    client.predict(NAME, ROW)
                return len(one.calls) == before

            wait_until(only_the_other_is_called)
            assert only_the_other_is_called()
            client.close()

    def test_calls_go_on_while_one_server_dies(self, connect: ClientFactory) -> None:
        with FakeServer() as one, FakeServer() as other:
            client = connect(f"ipv4:{one.address},{other.address}")
            client.predict(NAME, ROW)
            killer = threading.Timer(0.1, one.stop)
            killer.start()
            end = time.monotonic() + 0.5
            while time.monotonic() < end:
                assert client.predict(NAME, ROW).outputs == 9
            killer.join()
            client.close()

    def test_a_server_that_comes_back_is_found(self, connect: ClientFactory) -> None:
        port = free_port()
        with FakeServer(port) as first:
            client = connect(first.address)
            assert client.predict(NAME, ROW).outputs == 9
        assert client.ready() is False
        with FakeServer(port):
            client.wait_until_ready(60)
            assert client.predict(NAME, ROW).outputs == 9
            client.close()


async def _called(fake: FakeServer) -> None:
    while not fake.calls:
        await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost that signs itself, and its key."""
    return self_signed(tmp_path_factory.mktemp("tls"))


class TestTls:
    @pytest.fixture
    def secure(self, certificate: tuple[Path, Path]) -> Any:
        chain, key = certificate
        credentials = grpc.ssl_server_credentials([(key.read_bytes(), chain.read_bytes())])
        with FakeServer(credentials=credentials) as server:
            yield server

    @pytest.mark.parametrize("form", ["path", "str", "bytes", "credentials"])
    def test_trusts_the_given_certificates(
        self, secure: FakeServer, connect: ClientFactory, certificate: tuple[Path, Path], form: str
    ) -> None:
        root = certificate[0]
        forms = {
            "path": root,
            "str": str(root),
            "bytes": root.read_bytes(),
            "credentials": grpc.ssl_channel_credentials(root.read_bytes()),
        }
        client = connect(secure.address, tls=forms[form], token="sesame")  # noqa: S106 - a test's token
        assert client.predict(NAME, ROW).outputs == 9
        assert secure.calls[0].metadata["authorization"] == "Bearer sesame"

    @pytest.mark.parametrize("tls", [True, False])
    def test_does_not_trust_another(self, secure: FakeServer, connect: ClientFactory, tls: bool) -> None:
        client = connect(secure.address, tls=tls, retries=False)
        with pytest.raises(errors.UnavailableError, match="agree about TLS"):
            client.predict(NAME, ROW)
        assert secure.calls == []


class TestAsyncio:
    async def test_a_cancelled_task_ends_its_call(self, fake: FakeServer) -> None:
        hold = fake.hold()
        async with AsyncClient(fake.address) as client:
            task = asyncio.create_task(client.predict(NAME, ROW))
            await _called(fake)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert task.cancelled()
            assert await asyncio.to_thread(fake.calls[0].ended.wait, 60)
            hold.set()
            assert (await client.predict(NAME, ROW)).outputs == 9

    async def test_a_cancelled_watch_ends_its_call(self, fake: FakeServer) -> None:
        async with AsyncClient(fake.address) as client:

            async def watch() -> None:
                async for _ in client.watch():
                    pass

            task = asyncio.create_task(watch())
            await _called(fake)
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(fake.calls[0].ended.wait, 60)

    async def test_many_calls_wait_together(self, fake: FakeServer) -> None:
        async with AsyncClient(fake.address) as client:
            predictions = await asyncio.gather(*(client.predict(NAME, [n, 0.0]) for n in range(200)))
        assert [float(prediction.outputs[0, 0]) for prediction in predictions] == [3.0 * n for n in range(200)]

    async def test_asyncios_own_timeout_holds_too(self, fake: FakeServer) -> None:
        fake.hold()
        async with AsyncClient(fake.address) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await client.predict(NAME, ROW)

    def test_one_client_belongs_to_one_loop(self, fake: FakeServer) -> None:
        client = AsyncClient(fake.address)

        async def use() -> float:
            return float((await client.predict(NAME, ROW)).outputs[0, 0])

        with asyncio.Runner() as first:
            assert first.run(use()) == 9.0
            with asyncio.Runner() as second, pytest.raises(RuntimeError, match="another event loop"):
                second.run(use())
            first.run(client.close())

    def test_can_be_made_before_there_is_a_loop(self) -> None:
        assert repr(AsyncClient("localhost:1")) == "AsyncClient('localhost:1')"
