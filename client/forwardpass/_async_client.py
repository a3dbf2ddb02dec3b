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
from forwardpass._batches import MAX_AWAY, Batches, batch_size
from forwardpass._calls import Call, Page, SpecLike
from forwardpass._channel import UNSET, Timeout, Tls, endpoint, methods
from forwardpass._failures import broke_off, error_from, rest_of
from forwardpass._revisions import Revisions
from forwardpass._sending import AsyncSender
from forwardpass._streams import Progress, countdown
from forwardpass.errors import DeadlineExceededError, ForwardpassError, RevisionAheadError, UnavailableError
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


class AsyncClient:
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
    ) -> None:
        self._endpoint = endpoint(
            address,
            timeout=timeout,
            token=token,
            tls=tls,
            allow_insecure_token=allow_insecure_token,
            retries=retries,
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._channel: Any = None
        self._methods: dict[str, Any] = {}
        self._revisions = Revisions()
        self._closed = False
        self._sender = AsyncSender(self._ask, address) if coalesce else None

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
        if self._sender is None:
            return await self._ask(_calls.predict(name, rows, version=version, top_k=top_k), timeout)
        read = _calls.predict_in_company(name, rows, version=version, top_k=top_k)
        if isinstance(read, Call):
            return await self._ask(read, timeout)
        self._check_open()
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
        call = _calls.trace(name, rows, version=version, layers=layers, contributions=contributions, top_k=top_k)
        return await self._ask(call, timeout)

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

    @property
    def revision(self) -> int:
        """The highest revision of the registry in any answer; what is read from the registry later is no older."""
        return self._revisions.seen

    async def close(self) -> None:
        """Close the connections; calls in flight fail, and so do all later ones."""
        self._closed = True
        if self._sender is not None:
            self._sender.close(_calls.closed())
        if self._channel is not None:
            await self._channel.close()

    async def _ask(self, call: Call[Result], timeout: Timeout) -> Result:
        limit = self._endpoint.limit(timeout, call.more_time)
        if call.known is not None:
            return call.known
        begun = time.monotonic()
        try:
            try:
                reply = await self._start(call, limit)
            except grpc.RpcError as error:
                if call.method not in self._endpoint.repeatable or not broke_off(error):
                    raise
                reply = await self._start(call, rest_of(limit, begun))
        except grpc.RpcError as error:
            call.check()
            raise self._failure(error, limit) from error
        except asyncio.CancelledError:
            self._check_end()
            raise
        call.check()
        self._revisions.note(call.method, reply)
        return call.parse(reply)

    async def _each(self, call: Call[Result], timeout: float | None) -> AsyncGenerator[Result, None]:
        limit = self._endpoint.limit(timeout)
        stream = self._start(call, limit)
        try:
            async for reply in stream:
                self._revisions.note(call.method, reply)
                yield call.parse(reply)
        except grpc.RpcError as error:
            call.check()
            raise self._failure(error, limit) from error
        except asyncio.CancelledError:
            self._check_end()
            raise
        finally:
            stream.cancel()
        call.check()

    async def _pages(self, ask: Callable[[str], Call[Page[Result]]], timeout: Timeout) -> AsyncIterator[Result]:
        page = await self._ask(ask(""), timeout)
        for item in page.items:
            yield item
        while page.next_token:
            page = await self._ask(ask(page.next_token), timeout)
            for item in page.items:
                yield item

    def _start(self, call: Call[Any], limit: float | None) -> Any:
        self._check_open()
        return self._methods[call.method](
            self._revisions.stamp(call.method, call.request),
            timeout=limit,
            metadata=self._endpoint.headers,
            wait_for_ready=call.wait,
        )

    def _check_open(self) -> None:
        """Open the channel if this is the first call; only now, for it belongs to the event loop that runs then."""
        if self._closed:
            raise _calls.closed()
        loop = asyncio.get_running_loop()
        if self._channel is None:
            self._loop, self._channel = loop, self._endpoint.open(grpc.aio)
            self._methods = methods(self._channel)
        if loop is not self._loop:
            raise RuntimeError("the client was first used in another event loop; make one for each loop")

    def _check_end(self) -> None:
        task = asyncio.current_task()
        if self._closed and task is not None and not task.cancelling():
            # Nobody cancelled the task: it is how grpc ends calls in flight when their channel is closed.
            raise _calls.closed() from None

    def _failure(self, error: grpc.RpcError, limit: float | None) -> Exception:
        if self._closed:
            return _calls.closed()
        failure = error_from(error, target=self._endpoint.address, timeout=limit)
        if isinstance(failure, RevisionAheadError):
            self._revisions.forget()
        return failure

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._endpoint.address!r}{', closed' if self._closed else ''})"
