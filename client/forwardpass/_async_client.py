"""Client for asyncio; `_client` has the same methods without `await`, and the longer docstrings."""

# ruff: noqa: ASYNC109 - gRPC applies this timeout, and sends it to the server

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable
from contextlib import aclosing
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
import grpc.aio

from forwardpass._base import READY_PAUSE_SECONDS, BaseClient, countdown
from forwardpass._batching.async_sender import AsyncSender
from forwardpass._batching.pieces import (
    MAX_PIECES_IN_FLIGHT,
    Piece,
    Pieces,
    call_or_pieces,
    held_bytes,
    pieces_of_rejected,
)
from forwardpass._batching.requests import predict_coalesced
from forwardpass._batching.row_stream import MAX_CHUNKS_IN_FLIGHT, RowStream, chunk_rows
from forwardpass._errors import client_closed, deadline_exceeded, seconds_left, watch_ended
from forwardpass._requests import networks, predictions
from forwardpass._requests.call import Call
from forwardpass._requests.fields import as_names
from forwardpass._requests.networks import SpecLike
from forwardpass._requests.profiling import Profiling
from forwardpass._requests.streams import Progress
from forwardpass._requests.watching import WatchedNetworks
from forwardpass._responses import Page
from forwardpass._transport.connections import AsyncConnection, Interrupted
from forwardpass._transport.endpoint import UNSET, Timeout, Tls
from forwardpass._transport.late_status import Statuses
from forwardpass._transport.memory import AsyncByteLimit, NoRoomError, large_bytes
from forwardpass._transport.retries import Retries
from forwardpass.attribution import AttributionMethod, AttributionScale, StandardBaseline
from forwardpass.errors import (
    DeadlineExceededError,
    ForwardpassError,
    OverloadedError,
    QuotaExceededError,
    UnavailableError,
)
from forwardpass.models import (
    AliasMove,
    Explanation,
    NetworkChange,
    NetworkInfo,
    Prediction,
    Registered,
    RolledBack,
    ShadowReport,
    Trace,
    VersionInfo,
)
from forwardpass.profiles import Profile
from forwardpass.rows import Readable, RowsLike, StreamRequest
from forwardpass.spec import NetworkSpec

Result = TypeVar("Result")


class AsyncClient(BaseClient):
    """Client of a forwardpass server for asyncio.

    The arguments, methods, results and exceptions are those of `Client`, whose documentation applies. One client serves
    all tasks of one event loop: the first one that uses it. The cancellation of a task also cancels its call on the
    server.

    A client survives a `fork` as `Client` does, with one exception: where the thread of the event loop itself forks
    while calls are in flight, these cannot be ended first. They are repeated in the parent; the child cannot make
    calls.

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
        connections: int = 1,
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
            connections=connections,
            pickle_token=pickle_token,
        )
        self._connection: AsyncConnection = AsyncConnection(self._endpoint, self._reset)
        self._reset()

    def _reset(self) -> None:
        """Create what belongs to the threads of this process; in a forked child again."""
        self._bytes = AsyncByteLimit()
        self._sender: AsyncSender | None = None
        if self._settings["coalesce"]:
            self._sender = AsyncSender(self._call, self._endpoint.address)

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
        """Register a network, or a new version of one; for known content, find its version."""
        # In a thread, since reading and checking a large spec takes seconds.
        call = await asyncio.to_thread(
            networks.register,
            name,
            spec,
            validate_only=validate_only,
            keep_latest=keep_latest,
            progress=progress,
        )
        return await self._call(call, timeout)

    async def predict(
        self, name: str, rows: RowsLike, *, version: str | int = "", top_k: int = 0, timeout: Timeout = UNSET
    ) -> Prediction:
        """Compute the outputs of a network for one row or many."""
        if self._sender is None or large_bytes(rows):
            build = partial(predictions.predict, name, version=version, top_k=top_k)
            return await self._call_with_rows(rows, build, timeout)
        read = predict_coalesced(name, rows, version=version, top_k=top_k)
        if isinstance(read, Call):
            return await self._call_or_cut(read, timeout)
        self._connection.check()
        return await self._sender.predict(*read, self._endpoint.limit(timeout))

    async def predict_many(
        self, requests: Iterable[StreamRequest], *, timeout: Timeout = UNSET
    ) -> tuple[Prediction | ForwardpassError, ...]:
        """Compute several requests, for one network or several, in one call."""
        return await self._call(predictions.predict_many(requests), timeout)

    def predict_stream(
        self,
        requests: Iterable[StreamRequest] | AsyncIterable[StreamRequest],
        *,
        timeout: float | None = None,
    ) -> AsyncIterator[tuple[str, Prediction | ForwardpassError]]:
        """Compute many requests over one stream, several at a time."""
        return self._stream(predictions.predict_stream(requests), timeout)

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
        stream = RowStream(name, version, chunk_rows(batch_rows), top_k)
        room = asyncio.Semaphore(MAX_CHUNKS_IN_FLIGHT)
        call = predictions.predict_stream(stream.requests_async(rows, room))
        try:
            async with aclosing(self._stream(call, timeout)) as results:
                async for identity, result in results:
                    for prediction in stream.in_order(identity, result):
                        room.release()
                        yield prediction
        finally:
            stream.stop()
            room.release()

    async def trace(
        self,
        name: str,
        rows: RowsLike,
        *,
        version: str | int = "",
        layers: Iterable[str] = (),
        contributions: bool = False,
        percentiles: bool = False,
        top_k: int = 0,
        timeout: Timeout = UNSET,
    ) -> Trace:
        """Compute the same as `predict`, and return the values of every node; `str` of the trace draws them."""
        build = partial(
            predictions.trace,
            name,
            version=version,
            layers=as_names(layers),
            contributions=contributions,
            percentiles=percentiles,
            top_k=top_k,
        )
        return await self._call_with_rows(rows, build, timeout)

    async def explain(
        self,
        name: str,
        rows: RowsLike,
        *,
        version: str | int = "",
        method: AttributionMethod = "integrated_gradients",
        outputs: str | Iterable[str] = (),
        layers: str | Iterable[str] = (),
        baseline: StandardBaseline | RowsLike = "zeros",
        scale: AttributionScale = "outputs",
        tolerance: float | None = None,
        max_steps: int | None = None,
        samples: int | None = None,
        seed: int | None = None,
        timeout: Timeout = UNSET,
    ) -> Explanation:
        """Compute the same as `predict`, and the share of every input in the outputs."""
        build = partial(
            predictions.explain,
            name,
            version=version,
            method=method,
            outputs=as_names(outputs),
            layers=as_names(layers),
            baseline=baseline,
            scale=scale,
            tolerance=tolerance,
            max_steps=max_steps,
            samples=samples,
            seed=seed,
        )
        return await self._call_with_rows(rows, build, timeout)

    async def profile(
        self,
        name: str,
        rows: Iterable[Any],
        *,
        version: str | int = "",
        layers: Iterable[str] = (),
        timeout: Timeout = UNSET,
    ) -> Profile:
        """Compute the profile of a version over rows, and keep it with the version."""
        profiling = Profiling(name, rows, version, layers)
        for first, call in profiling.traces():
            with profiling.naming_rows(first):
                profiling.add(await self._call(call, timeout))
        return await self._call(profiling.finish(), timeout)

    async def get_profile(self, name: str, *, version: str | int = "", timeout: Timeout = UNSET) -> Profile:
        """Get the profile of a version, by number or alias."""
        return await self._call(networks.get_profile(name, version), timeout)

    async def delete_profile(self, name: str, *, version: str | int = "", timeout: Timeout = UNSET) -> int:
        """Delete the profile of a version, by number or alias; return the version's number."""
        return await self._call(networks.delete_profile(name, version), timeout)

    async def network(self, name: str, *, timeout: Timeout = UNSET) -> NetworkInfo:
        """Get the description of a network: its aliases and the number of its versions."""
        return await self._call(networks.network(name), timeout)

    async def version(self, name: str, *, version: str | int = "", timeout: Timeout = UNSET) -> VersionInfo:
        """Get the description of one version, by number or alias, without its weights."""
        return await self._call(networks.version(name, version), timeout)

    async def spec(self, name: str, *, version: str | int = "", timeout: Timeout = UNSET) -> NetworkSpec:
        """Get the whole content of a version as it was registered, with weights and examples."""
        return await self._call(networks.get_spec(name, version), timeout)

    def networks(self, *, timeout: Timeout = UNSET) -> AsyncIterator[NetworkInfo]:
        """List all networks by name; the timeout is that of each page of the list."""
        return self._pages(networks.networks, timeout)

    def versions(self, name: str, *, timeout: Timeout = UNSET) -> AsyncIterator[VersionInfo]:
        """List the versions of a network, newest first; the timeout is that of each page of the list."""
        return self._pages(partial(networks.versions, name), timeout)

    async def delete_network(self, name: str, *, timeout: Timeout = UNSET) -> int:
        """Delete a network with all its versions and aliases; return the registry's revision."""
        return await self._call(networks.delete_network(name), timeout)

    async def delete_version(self, name: str, number: int, *, timeout: Timeout = UNSET) -> NetworkInfo:
        """Delete one version; return the network without it."""
        return await self._call(networks.delete_version(name, number), timeout)

    async def set_alias(
        self, name: str, alias: str, version: str | int, *, expected: int | None = None, timeout: Timeout = UNSET
    ) -> NetworkInfo:
        """Point an alias at a version; return the changed network.

        Args:
            name: The network's name.
            alias: The alias, for example `production`.
            version: A version's number, or an alias that names it now.
            expected: The number of the version that the alias must name before the call, 0 if it must not exist, None
                for any. So of two people who move an alias at the same time, one gets an error.
            timeout: Seconds, or None for no limit.

        Raises:
            AliasMovedError: The alias names another version than expected; nothing has changed.
        """
        return await self._call(networks.set_alias(name, alias, version, expected=expected), timeout)

    async def rollback(
        self, name: str, alias: str, *, expected: int | None = None, timeout: Timeout = UNSET
    ) -> RolledBack:
        """Move an alias back to the version that it named before; each call goes one move further back.

        Deleted versions are skipped. The client does not repeat the call by itself, since two calls go back two moves;
        with `expected`, the second of two calls is rejected.

        Args:
            name: The network's name.
            alias: The alias, for example `production`.
            expected: The number of the version that the alias must name before the call; None for any.
            timeout: Seconds, or None for no limit.

        Raises:
            AliasMovedError: The alias names another version than expected; nothing has changed.
            NoEarlierVersionError: The alias named no earlier version that still exists.
        """
        return await self._call(networks.rollback(name, alias, expected=expected), timeout)

    async def alias_moves(self, name: str, alias: str, *, timeout: Timeout = UNSET) -> tuple[AliasMove, ...]:
        """Get the last 100 moves of an alias, newest first: each version and when the alias began to name it."""
        return await self._call(networks.alias_moves(name, alias), timeout)

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
        """Set a shadow: compute a version beside another one, on a share of the predicted rows.

        The server computes shadows after it has sent the responses, and when it has time. It counts the differences,
        see `shadows`. A shadow replaces an earlier one of the same `of`.

        Args:
            name: The network's name.
            version: The version that is computed beside the other one, by number or alias.
            of: The version whose rows are used: a number, or an alias for the version that it names at the time.
            share: The share of the rows, above 0 and at most 1.
            tolerance: The largest accepted difference, as a multiple of `max(1, |output|)`; None means 1e-9, or 1e-4
                where one of the versions is float32.
            timeout: Seconds, or None for no limit.

        Raises:
            InvalidFieldError: The two are the same version, their inputs or outputs differ, or the share is not valid.
        """
        call = networks.set_shadow(name, version, of=of, share=share, tolerance=tolerance)
        return await self._call(call, timeout)

    async def clear_shadow(self, name: str, *, of: str | int, timeout: Timeout = UNSET) -> NetworkInfo:
        """Remove the shadow of a version or alias, if there is one."""
        return await self._call(networks.clear_shadow(name, of), timeout)

    async def shadows(self, name: str, *, timeout: Timeout = UNSET) -> tuple[ShadowReport, ...]:
        """Get the shadows of a network with the counts of each."""
        return await self._call(networks.shadows(name), timeout)

    async def delete_alias(self, name: str, alias: str, *, timeout: Timeout = UNSET) -> NetworkInfo:
        """Delete an alias; return the network without it."""
        return await self._call(networks.delete_alias(name, alias), timeout)

    async def watch(self, *, prefix: str = "", timeout: float | None = None) -> AsyncIterator[NetworkChange]:
        """Watch the networks: yield the current state of each one, then every change, without end."""
        limit, begun, watched = self._endpoint.limit(timeout), time.monotonic(), WatchedNetworks()
        while True:
            try:
                async with aclosing(self._stream(networks.watch(prefix), seconds_left(limit, begun))) as changes:
                    async for change in changes:
                        for each in watched.report(change):
                            yield each
                raise watch_ended(self._endpoint.address)
            except OverloadedError as error:
                await asyncio.sleep(self._pause_before_watch(watched, error, seconds_left(limit, begun)))

    async def ready(self, *, timeout: Timeout = UNSET) -> bool:
        """Return whether the server can be reached and serves."""
        try:
            return await self._call(networks.health(), timeout)
        except (UnavailableError, DeadlineExceededError):
            return False

    async def wait_until_ready(self, timeout: Timeout = UNSET) -> None:
        """Wait until the server serves, for example after starting it."""
        for left in countdown(self._endpoint.address, self._endpoint.limit(timeout)):
            try:
                if await self._call(networks.health(wait_for_ready=True), left):
                    return
            except (UnavailableError, DeadlineExceededError):
                pass
            await asyncio.sleep(READY_PAUSE_SECONDS)

    async def close(self) -> None:
        """Close the connections; calls in flight and later calls raise an error."""
        if self._sender is not None:
            self._sender.close(client_closed())
        await self._connection.close()

    async def _call(self, call: Call[Result], timeout: Timeout) -> Result:
        limit = self._endpoint.limit(timeout, call.extra_seconds)
        if call.result is not None:
            return call.result
        begun = time.monotonic()
        try:
            response = await self._send(call, limit)
        except (grpc.RpcError, Interrupted) as error:
            response = await self._send_again(call, error, self._retries(call, limit, begun))
        call.check()
        self._revisions.note(call.method, response)
        return call.parse(response)

    async def _call_with_rows(
        self, rows: Readable, build: Callable[[Readable], Call[Result]], timeout: Timeout
    ) -> Result:
        """Make a call; if its rows are many, wait for room first, and send them in pieces."""
        size = large_bytes(rows)
        if not size:
            return await self._call_or_cut(build(rows), timeout)
        limit = self._endpoint.limit(timeout)
        begun = time.monotonic()
        try:
            async with self._bytes.hold(held_bytes(rows, size), limit):
                call = call_or_pieces(rows, build)
                if isinstance(call, Pieces):
                    return await self._call_in_pieces(call, limit, begun)
                return await self._call_or_cut(call, seconds_left(limit, begun))
        except NoRoomError:
            raise deadline_exceeded(self._endpoint.address, limit) from None

    async def _call_or_cut(self, call: Call[Result], timeout: Timeout) -> Result:
        """Make a call; if the server rejects it for its size, send its rows in pieces."""
        begun = time.monotonic()
        try:
            return await self._call(call, timeout)
        except QuotaExceededError as error:
            pieces = pieces_of_rejected(call, error)
            if pieces is None:
                raise
        return await self._call_in_pieces(pieces, self._endpoint.limit(timeout), begun)

    async def _call_in_pieces(self, pieces: Pieces[Result], limit: float | None, begun: float) -> Result:
        """Send pieces, a few of them at once, until all have their responses; `begun` and `limit` are of them all."""
        in_flight: deque[tuple[Piece[Result], asyncio.Task[Any]]] = deque()
        try:
            while True:
                while len(in_flight) < MAX_PIECES_IN_FLIGHT and (piece := pieces.next()) is not None:
                    in_flight.append((piece, asyncio.create_task(self._receive(piece.call, limit, begun))))
                if not in_flight:
                    return pieces.result()
                piece, receiving = in_flight[0]
                try:
                    pieces.add(piece, await receiving)
                except ForwardpassError as error:
                    pieces.reject(piece, error)
                in_flight.popleft()
        finally:
            for _, receiving in in_flight:
                receiving.cancel()
            await asyncio.gather(*[receiving for _, receiving in in_flight], return_exceptions=True)

    async def _receive(self, call: Call[Any], limit: float | None, begun: float) -> Any:
        """Make the attempts of a piece; return the message of the response."""
        retries = self._retries(call, limit, begun)
        try:
            response = await self._send(call, retries.left())
        except (grpc.RpcError, Interrupted) as error:
            response = await self._send_again(call, error, retries)
        self._revisions.note(call.method, response)
        return response

    async def _stream(self, call: Call[Result], timeout: float | None) -> AsyncGenerator[Result, None]:
        limit = self._endpoint.limit(timeout)
        retries = self._retries(call, limit, time.monotonic())
        has_begun = False
        try:
            while True:
                try:
                    async for response in await self._start(call, retries.left()):
                        if not has_begun:
                            has_begun = True
                            call.on_response()
                        self._revisions.note(call.method, response)
                        yield call.parse(response)
                    break
                except (grpc.RpcError, asyncio.CancelledError) as error:
                    failed = self._failed(call, error)
                    if has_begun:
                        call.check()
                        raise self._end_of_stream(failed, retries) from error
                    await asyncio.sleep(self._pause_before_retry(call, failed, retries))
                finally:
                    stream = self._connection.running.get(call)
                    self._connection.end(call)
                    if stream is not None:
                        stream.cancel()
                    del stream
        finally:
            call.on_end()
        call.check()

    async def _pages(
        self, request_page: Callable[[str], Call[Page[Result]]], timeout: Timeout
    ) -> AsyncIterator[Result]:
        page = await self._call(request_page(""), timeout)
        for item in page.items:
            yield item
        while page.next_token:
            page = await self._call(request_page(page.next_token), timeout)
            for item in page.items:
                yield item

    async def _send(self, call: Call[Any], limit: float | None) -> Any:
        """Make one attempt of a call; return the message of the response."""
        connection = self._connection
        connection.check()
        connection.in_flight[call] = call.method
        methods: Any = None
        running: Any = None
        statuses: Statuses | None = None
        try:
            methods = connection.methods or await connection.open(call, call.method)
            running = connection.running[call] = methods[call.method](
                self._revisions.stamp(call.method, call.messages()),
                timeout=limit,
                metadata=self._endpoint.headers,
                wait_for_ready=call.wait_for_ready,
            )
            if call.requests is not None:
                statuses = Statuses(running)
            return await running
        except (grpc.RpcError, asyncio.CancelledError) as error:
            own = error if statuses is None or isinstance(error, asyncio.CancelledError) else await statuses.own(error)
            failed = self._failed(call, own)
            if failed is error:
                raise
        finally:
            connection.end(call)
            # The frame lives on with the traceback of an error, and would keep the channel open, which a fork closes.
            del methods, running
        raise failed

    async def _send_again(self, call: Call[Any], error: Exception, retries: Retries) -> Any:
        while True:
            await asyncio.sleep(self._pause_before_retry(call, error, retries))
            try:
                return await self._send(call, retries.left())
            except (grpc.RpcError, Interrupted) as last:
                error = last

    async def _start(self, call: Call[Any], limit: float | None) -> Any:
        """Start one attempt of a call that is a stream, or whose response comes later."""
        connection = self._connection
        connection.check()
        methods = connection.methods or await connection.open(call, call.method)
        connection.in_flight.pop(call, None)  # a fork does not wait for streams
        stream = connection.running[call] = methods[call.method](
            self._revisions.stamp(call.method, call.messages()),
            timeout=limit,
            metadata=self._endpoint.headers,
            wait_for_ready=call.wait_for_ready,
        )
        return stream

    def _failed(self, call: Call[Any], error: BaseException) -> Any:
        """Return the error of an attempt; gRPC reports some of them as a cancellation."""
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling()):
            raise error
        if self._connection.was_interrupted(call):
            return Interrupted()
        if isinstance(error, asyncio.CancelledError):
            if not self._connection.is_closed:
                raise error
            # Nothing cancelled the task: gRPC ends calls in flight so when their channel is closed.
            raise client_closed() from None
        return error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
