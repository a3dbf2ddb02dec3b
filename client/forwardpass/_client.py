"""The client for programs without asyncio; `_async_client` is the same but for `await`."""

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc

from forwardpass import _calls
from forwardpass._base import BaseClient
from forwardpass._batches import MAX_AWAY, Batches, batch_size
from forwardpass._calls import Call, Page, SpecLike
from forwardpass._failures import closed, out_of_time, rest_of
from forwardpass._sending import Sender
from forwardpass._streams import Progress, countdown
from forwardpass._transport.connections import Connection, Interrupted
from forwardpass._transport.endpoint import UNSET, Timeout, Tls
from forwardpass._transport.memory import ByteLimit, large_bytes
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


class Client(BaseClient):
    """Calls a forwardpass server.

    One client serves all threads of a process and keeps its connections open, so make one and use
    it for all calls. A client may be inherited by `fork`: its connections are closed just before the fork, and the
    parent and the child each connect anew. A client that is pickled becomes its settings; copies connect by themselves.

    Every method raises a `ForwardpassError` when the server rejects a call or fails; the classes are those
    of `forwardpass.errors`, with the server's facts as attributes. Calls that are safe to repeat are
    repeated until their timeout, with growing pauses, when the server cannot be reached.

    Args:
        address: The server, `HOST:PORT`, or another target of grpc such as `unix:PATH`.
        timeout: The default for calls with one answer, in seconds, repetitions included; None is no limit.
        token: Sent with every call as `authorization: Bearer TOKEN`.
        tls: True trusts grpc's root certificates; else root certificates in PEM, as bytes or the path of a
            file, or `grpc.ChannelCredentials`.
        allow_insecure_token: Whether a token may travel without TLS to another machine.
        retries: Whether calls that are safe to repeat are repeated.
        coalesce: Whether calls of `predict` with one row each, made by several threads or tasks at the same
            time, travel together. Responses, errors and timeouts stay those of each call by itself.
        pickle_token: Whether a pickle of the client has the token, readable for everyone who has the pickle.

    Raises:
        InvalidFieldError: The address, timeout or token cannot be used.

    Example:
        >>> with Client("localhost:50051") as client:  # doctest: +SKIP
        ...     client.predict("article-linear", [2, 3]).outputs
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
        self._connection: Connection = Connection(self._endpoint, self._begin_anew)
        self._begin_anew()

    def _begin_anew(self) -> None:
        """Make what belongs to the threads of this process; in a forked child once more."""
        self._bytes = ByteLimit()
        self._sender: Sender | None = None
        if self._settings["coalesce"]:
            self._sender = Sender(self._start, self._retries, self._pause, self._endpoint.address)

    def register(
        self,
        name: str,
        spec: SpecLike,
        *,
        validate_only: bool = False,
        keep_latest: bool = False,
        progress: Progress | None = None,
        timeout: Timeout = UNSET,
    ) -> Registered:
        """Register a network, or a new version of one; content that it has already is found, not repeated.

        The spec is checked here first. Content above 8 MiB is uploaded in chunks.

        Args:
            name: The network's name, `[a-z]([a-z0-9._-]{0,61}[a-z0-9])?`.
            spec: The dict of the JSON form, a JSON or safetensors file's path, or a `NetworkSpec`.
            validate_only: Whether to check everything, examples included, and write nothing.
            keep_latest: Whether the alias `latest` stays where it is.
            progress: For an upload, called with the bytes sent so far and in all; in a thread of grpc.
            timeout: Seconds; unset, an upload has one more for each MiB than other calls.

        Raises:
            InvalidNetworkError: The spec is not valid; `faults` has every fault with its path.
            ExampleFailedError: An example in the spec does not hold.
            OSError: The file cannot be read.
        """
        call = _calls.register(name, spec, validate_only=validate_only, keep_latest=keep_latest, progress=progress)
        return self._ask(call, timeout)

    def predict(
        self, name: str, rows: RowsLike, *, version: str | int = "", top_k: int = 0, timeout: Timeout = UNSET
    ) -> Prediction:
        """Compute a network's outputs for one row or many.

        Args:
            name: The network's name.
            rows: An array `(rows, inputs)`, or `(inputs,)` for one row; a dict of named features, a list of
                dicts, or a dict of columns; a pandas DataFrame, sent by the names of its columns. By name, a
                category is a text, a boolean True or False, and None is missing; in an array a category is
                the index of its category. float32 travels as float32, all else as float64; the network rounds
                to its own dtype.
            version: A version's number or an alias; empty means `latest`.
            top_k: For a classifier, how many of the most probable classes to tell of each row.
            timeout: Seconds, or None for no limit.

        Returns:
            The prediction; its `outputs` have shape `(rows, outputs)`, for one row too.

        Raises:
            NotFoundError: There is no such network, version or alias.
            ShapeMismatchError: The rows do not have as many numbers as the network reads.
            FeatureMismatchError: A named row lacks a feature, has one too many, or one of the wrong kind.
            NonFiniteInputError: There is NaN or infinity, and the network does not allow it.
            MissingValueError: A value is missing and has no fill value.
            UnknownCategoryError: A text is no category of its category, and its feature has no fill value.
            OutOfRangeError: A number is out of its feature's range, and the feature refuses that.
        """
        if self._sender is None or large_bytes(rows):
            make = partial(_calls.predict, name, rows, version=version, top_k=top_k)
            return self._ask_for(rows, make, timeout)
        read = _calls.predict_in_company(name, rows, version=version, top_k=top_k)
        if isinstance(read, Call):
            return self._ask(read, timeout)
        if self._connection.is_closed:
            raise closed()
        return self._sender.predict(*read, self._endpoint.limit(timeout))

    def predict_many(
        self, requests: Iterable[StreamRequest], *, timeout: Timeout = UNSET
    ) -> tuple[Prediction | ForwardpassError, ...]:
        """Compute several requests, for one network or many, in one call.

        A request that fails is answered with its error, which is given and not raised.

        Args:
            requests: What to compute; their ids are not used.
            timeout: Seconds, or None for no limit.

        Returns:
            The prediction or error of each request, in the order of the requests.
        """
        return self._ask(_calls.predict_many(requests), timeout)

    def predict_stream(
        self, requests: Iterable[StreamRequest], *, timeout: float | None = None
    ) -> Iterator[tuple[str, Prediction | ForwardpassError]]:
        """Compute many requests over one stream, many at a time.

        A request that fails is answered with its error, which is given and not raised, and the
        stream goes on. Requests are read in a thread of grpc, no faster than the server takes them.

        Args:
            requests: What to compute; may be endless, and may depend on the answers.
            timeout: Seconds for the whole stream; None, the default, is no limit.

        Yields:
            The id of each request with its prediction or error, as they are ready, in any order.
        """
        return self._each(_calls.predict_stream(requests), timeout)

    def predict_batches(
        self,
        name: str,
        rows: Iterable[Any],
        *,
        version: str | int = "",
        batch_rows: int = 1024,
        top_k: int = 0,
        timeout: float | None = None,
    ) -> Iterator[Prediction]:
        """Compute any number of rows over one stream, in bounded memory; yield predictions in the rows' order.

        Rows are gathered into chunks, a few of which are on their way at once; the iterator is read
        no further ahead than that, in a thread of grpc.

        Args:
            name: The network's name.
            rows: Rows in every form that `predict` takes, each item one row or many; may be endless.
            version: A version's number or an alias; empty means `latest`.
            batch_rows: The rows of a chunk, and so of a prediction. A chunk has fewer at the end, and where
                the rows change from float32 to another dtype, in width, or to names.
            top_k: As for `predict`.
            timeout: Seconds for the whole stream; None, the default, is no limit.

        Yields:
            A prediction for each chunk.

        Raises:
            ForwardpassError: A chunk failed; its fact `firstRow` is the index of the chunk's first row.
                The predictions of all rows before were given.
        """
        batches, room = Batches(name, version, batch_size(batch_rows), top_k), threading.Semaphore(MAX_AWAY)
        try:
            with closing(self._each(_calls.predict_stream(batches.requests(rows, room)), timeout)) as answers:
                for identity, answer in answers:
                    for prediction in batches.answers(identity, answer):
                        room.release()
                        yield prediction
        finally:
            batches.leave()
            room.release()

    def trace(
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
        """Compute the same as `predict` and show every node on the way; `str` of the trace draws it.

        Args:
            name: The network's name.
            rows: As for `predict`.
            version: A version's number or an alias; empty means `latest`.
            layers: The names of the layers to show; none means all.
            contributions: Whether to show each input's contribution, weight x value, to each node.
            top_k: As for `predict`.
            timeout: Seconds, or None for no limit.

        Raises:
            LayerNotFoundError: The network has no layer of one of the names.
        """
        make = partial(
            _calls.trace, name, rows, version=version, layers=layers, contributions=contributions, top_k=top_k
        )
        return self._ask_for(rows, make, timeout)

    def network(self, name: str, *, timeout: Timeout = UNSET) -> NetworkInfo:
        """Get a network: its aliases, and how many versions there are."""
        return self._ask(_calls.network(name), timeout)

    def version(self, name: str, *, version: str | int = "", timeout: Timeout = UNSET) -> VersionInfo:
        """Get one version of a network, by number or alias, without its weights."""
        return self._ask(_calls.version(name, version), timeout)

    def spec(self, name: str, *, version: str | int = "", timeout: Timeout = UNSET) -> NetworkSpec:
        """Get the whole content of a version: what was registered, weights and examples included."""
        return self._ask(_calls.get_spec(name, version), timeout)

    def networks(self, *, timeout: Timeout = UNSET) -> Iterator[NetworkInfo]:
        """Go through all networks by name; each page of the list has the timeout for itself."""
        return self._pages(_calls.networks, timeout)

    def versions(self, name: str, *, timeout: Timeout = UNSET) -> Iterator[VersionInfo]:
        """Go through a network's versions, newest first; each page of the list has the timeout for itself."""
        return self._pages(partial(_calls.versions, name), timeout)

    def delete_network(self, name: str, *, timeout: Timeout = UNSET) -> int:
        """Delete a network with all its versions and aliases; return the registry's revision."""
        return self._ask(_calls.delete_network(name), timeout)

    def delete_version(self, name: str, number: int, *, timeout: Timeout = UNSET) -> NetworkInfo:
        """Delete one version; return the network as it then is.

        Raises:
            VersionInUseError: An alias names the version, or it is the only one.
        """
        return self._ask(_calls.delete_version(name, number), timeout)

    def set_alias(
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
        return self._ask(_calls.set_alias(name, alias, version, expected=expected), timeout)

    def rollback(self, name: str, alias: str, *, expected: int | None = None, timeout: Timeout = UNSET) -> RolledBack:
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
        return self._ask(_calls.rollback(name, alias, expected=expected), timeout)

    def alias_moves(self, name: str, alias: str, *, timeout: Timeout = UNSET) -> tuple[AliasMove, ...]:
        """Get the last 100 moves of an alias, newest first: which version it names since when."""
        return self._ask(_calls.alias_moves(name, alias), timeout)

    def set_shadow(
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
        return self._ask(call, timeout)

    def clear_shadow(self, name: str, *, of: str | int, timeout: Timeout = UNSET) -> NetworkInfo:
        """End the shadow of a version or alias; where there is none, nothing changes."""
        return self._ask(_calls.clear_shadow(name, of), timeout)

    def shadows(self, name: str, *, timeout: Timeout = UNSET) -> tuple[ShadowReport, ...]:
        """Get a network's shadows and what the server counted of each."""
        return self._ask(_calls.shadows(name), timeout)

    def delete_alias(self, name: str, alias: str, *, timeout: Timeout = UNSET) -> NetworkInfo:
        """Delete an alias; return the network as it then is."""
        return self._ask(_calls.delete_alias(name, alias), timeout)

    def watch(self, *, prefix: str = "", timeout: float | None = None) -> Iterator[NetworkChange]:
        """Tell every network as it is now, and from then on each change, for ever.

        Args:
            prefix: Only networks whose name begins so.
            timeout: Seconds for the whole watch; None, the default, is no limit.

        Raises:
            UnavailableError: The server stops or is gone; watch again to get the state of then.
        """
        yield from self._each(_calls.watch(prefix), timeout)
        raise _calls.watch_ended(self._endpoint.address)

    def ready(self, *, timeout: Timeout = UNSET) -> bool:
        """Return whether the server can be reached and says that it serves."""
        try:
            return self._ask(_calls.health(), timeout)
        except (UnavailableError, DeadlineExceededError):
            return False

    def wait_until_ready(self, timeout: Timeout = UNSET) -> None:
        """Wait until the server serves, for example after starting it.

        Raises:
            DeadlineExceededError: It did not within the timeout.
        """
        for left in countdown(self._endpoint.address, self._endpoint.limit(timeout)):
            try:
                if self._ask(_calls.health(wait=True), left):
                    return
            except (UnavailableError, DeadlineExceededError):
                pass
            time.sleep(_calls.PAUSE)

    def close(self) -> None:
        """Close the connections; calls in flight fail, and so do all later ones."""
        self._connection.close()
        if self._sender is not None:
            self._sender.close(closed())

    def _ask(self, call: Call[Result], timeout: Timeout) -> Result:
        limit = self._endpoint.limit(timeout, call.more_time)
        if call.known is not None:
            return call.known
        begun = time.monotonic()
        try:
            reply = self._send(call, limit)
        except (grpc.RpcError, Interrupted) as error:
            reply = self._send_again(call, error, self._retries(call, limit, begun))
        call.check()
        self._revisions.note(call.method, reply)
        return call.parse(reply)

    def _ask_for(self, rows: object, make: Callable[[], Call[Result]], timeout: Timeout) -> Result:
        """Make a call whose rows may be so many that it has to wait for room."""
        size = large_bytes(rows)
        if not size:
            return self._ask(make(), timeout)
        limit = self._endpoint.limit(timeout)
        begun = time.monotonic()
        try:
            with self._bytes.hold(size, limit):
                return self._ask(make(), rest_of(limit, begun))
        except TimeoutError as error:
            raise error if isinstance(error, ForwardpassError) else out_of_time(self._endpoint.address, limit) from None

    def _each(self, call: Call[Result], timeout: float | None) -> Generator[Result, None, None]:
        limit = self._endpoint.limit(timeout)
        retries = self._retries(call, limit, time.monotonic())
        has_begun = False
        while True:
            stream = None
            try:
                stream = self._start(call, retries.left())
                for reply in stream:
                    if not has_begun:
                        has_begun = True
                        call.begun()
                    self._revisions.note(call.method, reply)
                    yield call.parse(reply)
                break
            except grpc.RpcError as error:
                if has_begun:
                    call.check()
                    failed = Interrupted() if self._connection.was_interrupted(stream) else error
                    raise self._end_of_stream(failed, limit) from error
                time.sleep(self._pause(call, error if stream is None else stream, retries))
            finally:
                if stream is not None:
                    stream.cancel()
        call.check()

    def _pages(self, ask: Callable[[str], Call[Page[Result]]], timeout: Timeout) -> Iterator[Result]:
        page = self._ask(ask(""), timeout)
        yield from page.items
        while page.next_token:
            page = self._ask(ask(page.next_token), timeout)
            yield from page.items

    def _send(self, call: Call[Any], limit: float | None) -> Any:
        """Make one attempt of a call; return the message of the response."""
        connection = self._connection
        connection.in_flight[call] = call.method
        try:
            methods = connection.methods or connection.open(call, call.method)
            return methods[call.method](
                self._revisions.stamp(call.method, call.request if call.requests is None else call.requests()),
                timeout=limit,
                metadata=self._endpoint.headers,
                wait_for_ready=call.wait,
            )
        except (grpc.RpcError, ValueError) as error:
            if connection.was_interrupted(call):
                raise Interrupted from error
            if connection.is_closed:
                raise closed() from None  # another thread closed it just now
            raise
        finally:
            connection.in_flight.pop(call, None)

    def _send_again(self, call: Call[Any], error: Exception, retries: Retries) -> Any:
        while True:
            time.sleep(self._pause_before_retry(call, error, retries))
            try:
                return self._send(call, retries.left())
            except (grpc.RpcError, Interrupted) as last:
                error = last

    def _start(self, call: Call[Any], limit: float | None) -> Any:
        """Start one attempt of a call that is a stream, or whose response comes later."""
        try:
            return self._connection.start(
                call.method,
                self._revisions.stamp(call.method, call.request if call.requests is None else call.requests()),
                timeout=limit,
                metadata=self._endpoint.headers,
                wait_for_ready=call.wait,
            )
        except ValueError:
            if self._connection.is_closed:
                raise closed() from None  # another thread closed it just now
            raise

    def _pause(self, call: Call[Any], rpc: Any, retries: Retries) -> float:
        failed = Interrupted() if self._connection.was_interrupted(rpc) else rpc
        return self._pause_before_retry(call, failed, retries)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
