"""The client for asyncio; `_client` is the same but for `await`, and has the longer docstrings."""

# ruff: noqa: ASYNC109 - grpc counts this timeout, and tells it to the server

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable
from contextlib import aclosing
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
import grpc.aio

from forwardpass import _calls
from forwardpass._base import BaseClient
from forwardpass._batches import MAX_AWAY, Batches, batch_size
from forwardpass._calls import Call, Page, SpecLike
from forwardpass._failures import closed, out_of_time, rest_of
from forwardpass._sending import AsyncSender
from forwardpass._streams import Progress, countdown
from forwardpass._transport.connections import AsyncConnection, Interrupted
from forwardpass._transport.endpoint import UNSET, Timeout, Tls
from forwardpass._transport.memory import AsyncByteLimit, large_bytes
from forwardpass._transport.retries import Retries
from forwardpass.errors import DeadlineExceededError, ForwardpassError, UnavailableError
from forwardpass.models import (
    AliasMove,
    NetworkChange,
    NetworkInfo,
    Prediction,
    Registered,
    RolledBack,
    ShadowReport,
    Trace,
    VersionInfo,
)
from forwardpass.rows import RowsLike, StreamRequest
from forwardpass.spec import NetworkSpec

Result = TypeVar("Result")


class AsyncClient(BaseClient):
    """Calls a forwardpass server from asyncio.

    The arguments, methods, answers and exceptions are those of `Client`, whose documentation
    holds here too. One client serves all tasks of one event loop: the loop in which it is first
    used. A task that is cancelled ends its call on the server too.

    Example:
        >>> async with AsyncClient("localhost:50051") as client:  # doctest: +SKIP
        ...     (await client.predict("article-linear", [2, 3])).outputs
        array([[9.]])
    """

    def __init__(
        self,
        address: str = "localhost:50051",
        *,
        timeout: float | None = 10.0,
        token: str | None = None,
        tls: Tls = False,
        allow_insecure_token: bool = False,
        retries: bool = True,
        coalesce: bool = False,
        pickle_token: bool = False,
    ) -> None:
        super().__init__(
            address,
            timeout=timeout,
            token=token,
            tls=tls,
            allow_insecure_token=allow_insecure_token,
            retries=retries,
            coalesce=coalesce,
            pickle_token=pickle_token,
        )
        self._connection: AsyncConnection = AsyncConnection(self._endpoint, self._begin_anew)
        self._begin_anew()

    def _begin_anew(self) -> None:
        """Make what belongs to the event loop of this process; in a forked child once more."""
        self._bytes = AsyncByteLimit()
        self._sender: AsyncSender | None = None
        if self._settings["coalesce"]:
            self._sender = AsyncSender(self._ask, self._endpoint.address)

    async def register(
        self,
        name: str,
        spec: SpecLike,
        *,
        validate_only: bool = False,
        keep_latest: bool = False,
        progress: Progress | None = None,
        timeout: Timeout = UNSET,
    ) -> Registered:
        """Register a network, or a new version of one; content that it has already is found, not repeated."""
        # In a thread, for to read and check a large spec takes seconds.
        call = await asyncio.to_thread(
            _calls.register,
            name,
            spec,
            validate_only=validate_only,
            keep_latest=keep_latest,
            progress=progress,
        )
        return await self._ask(call, timeout)

    async def predict(
        self, name: str, rows: RowsLike, *, version: str | int = "", top_k: int = 0, timeout: Timeout = UNSET
    ) -> Prediction:
        """Compute a network's outputs for one row or many."""
        if self._sender is None or large_bytes(rows):
            make = partial(_calls.predict, name, rows, version=version, top_k=top_k)
            return await self._ask_for(rows, make, timeout)
        read = _calls.predict_in_company(name, rows, version=version, top_k=top_k)
        if isinstance(read, Call):
            return await self._ask(read, timeout)
        self._connection.check()
        return await self._sender.predict(*read, self._endpoint.limit(timeout))

    async def predict_many(
        self, requests: Iterable[StreamRequest], *, timeout: Timeout = UNSET
    ) -> tuple[Prediction | ForwardpassError, ...]:
        """Compute several requests, for one network or many, in one call."""
        return await self._ask(_calls.predict_many(requests), timeout)

    def predict_stream(
        self,
        requests: Iterable[StreamRequest] | AsyncIterable[StreamRequest],
        *,
        timeout: float | None = None,
    ) -> AsyncIterator[tuple[str, Prediction | ForwardpassError]]:
        """Compute many requests over one stream, many at a time."""
        return self._each(_calls.predict_stream(requests), timeout)

    async def predict_batches(
        self,
        name: str,
        rows: Iterable[Any] | AsyncIterable[Any],
        *,
        version: str | int = "",
        batch_rows: int = 1024,
        top_k: int = 0,
        timeout: float | None = None,
    ) -> AsyncIterator[Prediction]:
        """Compute any number of rows over one stream, in bounded memory; yield predictions in the rows' order."""
        batches, room = Batches(name, version, batch_size(batch_rows), top_k), asyncio.Semaphore(MAX_AWAY)
        requests = _calls.predict_stream(batches.requests_async(rows, room))
        try:
            async with aclosing(self._each(requests, timeout)) as answers:
                async for identity, answer in answers:
                    for prediction in batches.answers(identity, answer):
                        room.release()
                        yield prediction
        finally:
            batches.leave()
            room.release()

    async def trace(
        self,
        name: str,
        rows: RowsLike,
        *,
        version: str | int = "",
        layers: Iterable[str] = (),
        contributions: bool = False,
        top_k: int = 0,
        timeout: Timeout = UNSET,
    ) -> Trace:
        """Compute the same as `predict` and show every node on the way; `str` of the trace draws it."""
        make = partial(
            _calls.trace, name, rows, version=version, layers=layers, contributions=contributions, top_k=top_k
        )
        return await self._ask_for(rows, make, timeout)

    async def network(self, name: str, *, timeout: Timeout = UNSET) -> NetworkInfo:
        """Get a network: its aliases, and how many versions there are."""
        return await self._ask(_calls.network(name), timeout)

    async def version(self, name: str, *, version: str | int = "", timeout: Timeout = UNSET) -> VersionInfo:
        """Get one version of a network, by number or alias, without its weights."""
        return await self._ask(_calls.version(name, version), timeout)

    async def spec(self, name: str, *, version: str | int = "", timeout: Timeout = UNSET) -> NetworkSpec:
        """Get the whole content of a version: what was registered, weights and examples included."""
        return await self._ask(_calls.get_spec(name, version), timeout)

    def networks(self, *, timeout: Timeout = UNSET) -> AsyncIterator[NetworkInfo]:
        """Go through all networks by name; each page of the list has the timeout for itself."""
        return self._pages(_calls.networks, timeout)

    def versions(self, name: str, *, timeout: Timeout = UNSET) -> AsyncIterator[VersionInfo]:
        """Go through a network's versions, newest first; each page of the list has the timeout for itself."""
        return self._pages(partial(_calls.versions, name), timeout)

    async def delete_network(self, name: str, *, timeout: Timeout = UNSET) -> int:
        """Delete a network with all its versions and aliases; return the registry's revision."""
        return await self._ask(_calls.delete_network(name), timeout)

    async def delete_version(self, name: str, number: int, *, timeout: Timeout = UNSET) -> NetworkInfo:
        """Delete one version; return the network as it then is."""
        return await self._ask(_calls.delete_version(name, number), timeout)

    async def set_alias(
        self, name: str, alias: str, version: str | int, *, expected: int | None = None, timeout: Timeout = UNSET
    ) -> NetworkInfo:
        """Make an alias name a version, given by number or alias; return the network as it then is.

        Args:
            name: The network's name.
            alias: The alias, for example `production`.
            version: A version's number, or an alias that names it now.
            expected: The number of the version that the alias must name until now, 0 if it must not exist;
                None means whatever it names. So two people who move it at the same time cannot miss it.
            timeout: Seconds, or None for no limit.

        Raises:
            AliasMovedError: The alias names another version than expected; nothing was changed.
        """
        return await self._ask(_calls.set_alias(name, alias, version, expected=expected), timeout)

    async def rollback(
        self, name: str, alias: str, *, expected: int | None = None, timeout: Timeout = UNSET
    ) -> RolledBack:
        """Move an alias back to the version that it named before; each call goes one move further back.

        Versions that were deleted since are passed over. The call is not repeated by itself, since two would
        go back twice; with `expected` the second one is refused.

        Args:
            name: The network's name.
            alias: The alias, for example `production`.
            expected: The number of the version that the alias must name until now; None means any.
            timeout: Seconds, or None for no limit.

        Raises:
            AliasMovedError: The alias names another version than expected; nothing was changed.
            NoEarlierVersionError: There is no version to go back to.
        """
        return await self._ask(_calls.rollback(name, alias, expected=expected), timeout)

    async def alias_moves(self, name: str, alias: str, *, timeout: Timeout = UNSET) -> tuple[AliasMove, ...]:
        """Get the last 100 moves of an alias, newest first: which version it names since when."""
        return await self._ask(_calls.alias_moves(name, alias), timeout)

    async def set_shadow(
        self,
        name: str,
        version: str | int,
        *,
        of: str | int,
        share: float,
        tolerance: float | None = None,
        timeout: Timeout = UNSET,
    ) -> NetworkInfo:
        """Let a version be computed beside another one, on a share of the rows that are predicted.

        That is done after the answers are sent and when there is time; differences are counted, see `shadows`. What
        was set for the same `of` is replaced.

        Args:
            name: The network's name.
            version: The version that is computed beside the other, by number or alias.
            of: Whose rows: a version's number, or an alias, which means the version that it names at the time.
            share: Which share of the rows, above 0 and up to 1.
            tolerance: A difference is accepted up to this much times `max(1, |answered number|)`; None means 1e-9,
                or 1e-4 where one of the two is float32.
            timeout: Seconds, or None for no limit.

        Raises:
            InvalidFieldError: The two are one version, have other inputs or outputs, or the share cannot be.
        """
        call = _calls.set_shadow(name, version, of=of, share=share, tolerance=tolerance)
        return await self._ask(call, timeout)

    async def clear_shadow(self, name: str, *, of: str | int, timeout: Timeout = UNSET) -> NetworkInfo:
        """End the shadow of a version or alias; where there is none, nothing changes."""
        return await self._ask(_calls.clear_shadow(name, of), timeout)

    async def shadows(self, name: str, *, timeout: Timeout = UNSET) -> tuple[ShadowReport, ...]:
        """Get a network's shadows and what the server counted of each."""
        return await self._ask(_calls.shadows(name), timeout)

    async def delete_alias(self, name: str, alias: str, *, timeout: Timeout = UNSET) -> NetworkInfo:
        """Delete an alias; return the network as it then is."""
        return await self._ask(_calls.delete_alias(name, alias), timeout)

    async def watch(self, *, prefix: str = "", timeout: float | None = None) -> AsyncIterator[NetworkChange]:
        """Tell every network as it is now, and from then on each change, for ever."""
        async for change in self._each(_calls.watch(prefix), timeout):
            yield change
        raise _calls.watch_ended(self._endpoint.address)

    async def ready(self, *, timeout: Timeout = UNSET) -> bool:
        """Return whether the server can be reached and says that it serves."""
        try:
            return await self._ask(_calls.health(), timeout)
        except (UnavailableError, DeadlineExceededError):
            return False

    async def wait_until_ready(self, timeout: Timeout = UNSET) -> None:
        """Wait until the server serves, for example after starting it."""
        for left in countdown(self._endpoint.address, self._endpoint.limit(timeout)):
            try:
                if await self._ask(_calls.health(wait=True), left):
                    return
            except (UnavailableError, DeadlineExceededError):
                pass
            await asyncio.sleep(_calls.PAUSE)

    async def close(self) -> None:
        """Close the connections; calls in flight fail, and so do all later ones."""
        if self._sender is not None:
            self._sender.close(closed())
        await self._connection.close()

    async def _ask(self, call: Call[Result], timeout: Timeout) -> Result:
        limit = self._endpoint.limit(timeout, call.more_time)
        if call.known is not None:
            return call.known
        begun = time.monotonic()
        try:
            reply = await self._send(call, limit)
        except (grpc.RpcError, Interrupted) as error:
            reply = await self._send_again(call, error, self._retries(call, limit, begun))
        call.check()
        self._revisions.note(call.method, reply)
        return call.parse(reply)

    async def _ask_for(self, rows: object, make: Callable[[], Call[Result]], timeout: Timeout) -> Result:
        """Make a call whose rows may be so many that it has to wait for room."""
        size = large_bytes(rows)
        if not size:
            return await self._ask(make(), timeout)
        limit = self._endpoint.limit(timeout)
        begun = time.monotonic()
        try:
            async with self._bytes.hold(size, limit):
                return await self._ask(make(), rest_of(limit, begun))
        except TimeoutError as error:
            raise error if isinstance(error, ForwardpassError) else out_of_time(self._endpoint.address, limit) from None

    async def _each(self, call: Call[Result], timeout: float | None) -> AsyncGenerator[Result, None]:
        limit = self._endpoint.limit(timeout)
        retries = self._retries(call, limit, time.monotonic())
        has_begun = False
        try:
            while True:
                try:
                    async for reply in await self._start(call, retries.left()):
                        if not has_begun:
                            has_begun = True
                            call.begun()
                        self._revisions.note(call.method, reply)
                        yield call.parse(reply)
                    break
                except (grpc.RpcError, asyncio.CancelledError) as error:
                    failed = self._failed(call, error)
                    if has_begun:
                        call.check()
                        raise self._end_of_stream(failed, limit) from error
                    await asyncio.sleep(self._pause_before_retry(call, failed, retries))
                finally:
                    stream = self._connection.running.get(call)
                    self._connection.end(call)
                    if stream is not None:
                        stream.cancel()
        finally:
            call.ended()
        call.check()

    async def _pages(self, ask: Callable[[str], Call[Page[Result]]], timeout: Timeout) -> AsyncIterator[Result]:
        page = await self._ask(ask(""), timeout)
        for item in page.items:
            yield item
        while page.next_token:
            page = await self._ask(ask(page.next_token), timeout)
            for item in page.items:
                yield item

    async def _send(self, call: Call[Any], limit: float | None) -> Any:
        """Make one attempt of a call; return the message of the response."""
        connection = self._connection
        connection.check()
        connection.in_flight[call] = call.method
        try:
            methods = connection.methods or await connection.open(call, call.method)
            running = connection.running[call] = methods[call.method](
                self._revisions.stamp(call.method, call.request if call.requests is None else call.requests()),
                timeout=limit,
                metadata=self._endpoint.headers,
                wait_for_ready=call.wait,
            )
            return await running
        except (grpc.RpcError, asyncio.CancelledError) as error:
            failed = self._failed(call, error)
            if failed is error:
                raise
            raise failed from error
        finally:
            connection.end(call)

    async def _send_again(self, call: Call[Any], error: Exception, retries: Retries) -> Any:
        while True:
            await asyncio.sleep(self._pause_before_retry(call, error, retries))
            try:
                return await self._send(call, retries.left())
            except (grpc.RpcError, Interrupted) as last:
                error = last

    async def _start(self, call: Call[Any], limit: float | None) -> Any:
        """Start one attempt of a call that is a stream."""
        connection = self._connection
        connection.check()
        methods = connection.methods or await connection.open(call, call.method)
        connection.in_flight.pop(call, None)  # a fork does not wait for streams
        stream = connection.running[call] = methods[call.method](
            self._revisions.stamp(call.method, call.request if call.requests is None else call.requests()),
            timeout=limit,
            metadata=self._endpoint.headers,
            wait_for_ready=call.wait,
        )
        return stream

    def _failed(self, call: Call[Any], error: BaseException) -> Any:
        """Return what an attempt failed with: the error itself, or what gRPC told as a cancellation."""
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling()):
            raise error
        if self._connection.was_interrupted(call):
            return Interrupted()
        if isinstance(error, asyncio.CancelledError):
            if not self._connection.is_closed:
                raise error
            # Nobody cancelled the task: it is how grpc ends calls in flight when their channel is closed.
            raise closed() from None
        return error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
