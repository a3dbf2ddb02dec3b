"""Factories of synchronous clients and of asyncio clients that block, so that one test covers both."""

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType
from typing import Any, Self

from forwardpass import AsyncClient, Client

SECONDS = 30.0


class BackgroundLoop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def run(self, coroutine: Any) -> Any:
        """Run a coroutine to its end."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(SECONDS)

    def close(self) -> None:
        self.run(self._loop.shutdown_asyncgens())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class BlockingClient:
    """An `AsyncClient` whose methods block until their result is there."""

    def __init__(self, client: AsyncClient, loop: BackgroundLoop) -> None:
        self._client = client
        self._loop = loop
        self._iterators: list[Iterator[Any]] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)

        def call(*arguments: Any, **options: Any) -> Any:
            result = method(*arguments, **options)
            if inspect.iscoroutine(result):
                return self._loop.run(result)
            if inspect.isasyncgen(result):
                self._iterators.append(self._iterate(result))
                return self._iterators[-1]
            return result

        return call

    def _iterate(self, items: AsyncIterator[Any]) -> Iterator[Any]:
        try:
            while True:
                try:
                    yield self._loop.run(anext(items))
                except StopAsyncIteration:
                    return
        finally:
            self._loop.run(items.aclose())  # type: ignore[attr-defined] # an async generator has it

    def end(self) -> None:
        """End what was left in the middle, while the loop still runs."""
        for iterator in self._iterators:
            iterator.close()  # type: ignore[attr-defined] # a generator has it

    def __enter__(self) -> Self:
        self._loop.run(self._client.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.run(self._client.__aexit__(kind, error, trace))

    def __repr__(self) -> str:
        return repr(self._client)


class ClientFactory:
    """Makes clients of one kind, sync or asyncio, and closes them at the end."""

    def __init__(self, kind: str, loop: BackgroundLoop) -> None:
        self.kind = kind
        self._loop = loop
        self._made: list[Any] = []

    def __call__(self, address: str, **options: Any) -> Any:
        """Make a client."""
        client: Any
        if self.kind == "sync":
            client = Client(address, **options)
        else:
            client = BlockingClient(AsyncClient(address, **options), self._loop)
        self._made.append(client)
        return client

    def close(self) -> None:
        for client in self._made:
            if isinstance(client, BlockingClient):
                client.end()
            client.close()
