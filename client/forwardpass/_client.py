"""Client for threads; `_async_client` has the same methods with `await`."""

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc

from forwardpass._base import READY_PAUSE_SECONDS, BaseClient, countdown
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
from forwardpass._batching.sender import Sender
from forwardpass._errors import client_closed, deadline_exceeded, seconds_left, watch_ended
from forwardpass._requests import networks, predictions
from forwardpass._requests.call import Call
from forwardpass._requests.fields import as_names
from forwardpass._requests.networks import SpecLike
from forwardpass._requests.profiling import Profiling
from forwardpass._requests.streams import Progress
from forwardpass._requests.watching import WatchedNetworks
from forwardpass._responses import Page
from forwardpass._transport.connections import Connection, Interrupted
from forwardpass._transport.endpoint import UNSET, Timeout, Tls
from forwardpass._transport.memory import ByteLimit, NoRoomError, large_bytes
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


class Client(BaseClient):
    """Client of a forwardpass server.

    One client serves all threads of a process and keeps its connections open, so create one and use it for all calls.

    A client survives a `fork`: its connections are closed just before the fork, and the parent and the child each
    connect anew. A pickled client becomes its settings: the copy connects by itself.

    Every method raises a `ForwardpassError` when the server rejects a call or fails. The classes are those of
    `forwardpass.errors`, with the server's facts as attributes. When the server cannot be reached, a call that may be
    repeated is repeated until its timeout, with growing pauses; a call without a timeout for as long as the client's.

    Args:
        address: The address of the server, `HOST:PORT`, or another target of gRPC such as `unix:PATH`.
        timeout: The default timeout in seconds of calls with one response, repetitions included; None is no limit.
        token: The token, sent with every call as `authorization: Bearer TOKEN`.
        tls: Whether to use TLS: True trusts gRPC's root certificates; otherwise root certificates in PEM, as bytes or
            as the path of a file, or `grpc.ChannelCredentials`.
        allow_insecure_token: Whether the token may be sent to another machine without TLS.
        retries: Whether calls that may be repeated are repeated.
        coalesce: Whether concurrent calls of `predict` with one row each share requests. Each call has its own
            response, error and timeout all the same.
        connections: How many connections calls take turns on. A server of several processes gives each connection to
            one of them, so that a client with one connection uses one process.
        pickle_token: Whether a pickle of the client contains the token, which everyone with the pickle can read.

    Raises:
        InvalidFieldError: The address, timeout, token or number of connections is not valid.

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
        self._connection: Connection = Connection(self._endpoint, self._reset)
        self._reset()

    def _reset(self) -> None:
        """Create what belongs to the threads of this process; in a forked child again."""
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
        """Register a network, or a new version of one; for known content, find its version.

        The client checks the spec first. A spec above 2 MiB is uploaded in chunks.

        Args:
            name: The network's name, `[a-z]([a-z0-9._-]{0,61}[a-z0-9])?`.
            spec: The dict of the JSON form, a JSON or safetensors file's path, or a `NetworkSpec`.
            validate_only: Whether to check everything, examples included, and write nothing.
            keep_latest: Whether the alias `latest` keeps its version.
            progress: Called during an upload with the bytes sent so far and the bytes in all, in a thread of gRPC.
            timeout: Seconds, or None for no limit. Unset, an upload has one second more for each MiB.

        Raises:
            InvalidNetworkError: The spec is not valid; `faults` has every fault with its path.
            ExampleFailedError: The network computes other outputs than an example of the spec has.
            OSError: The file cannot be read.
        """
        call = networks.register(name, spec, validate_only=validate_only, keep_latest=keep_latest, progress=progress)
        return self._call(call, timeout)

    def predict(
        self, name: str, rows: RowsLike, *, version: str | int = "", top_k: int = 0, timeout: Timeout = UNSET
    ) -> Prediction:
        """Compute the outputs of a network for one row or many.

        Many rows are sent in pieces, of which all have one version and one timeout; the result is that of one request.

        Args:
            name: The network's name.
            rows: An array `(rows, inputs)`, or `(inputs,)` for one row; a dict of named features, a list of dicts, a
                dict of columns, or a frame of any library, whose columns are sent by name. By name, a category is a
                text, a boolean is True or False, and None is a missing value; in an array, a category is its index.
                float32 is sent as float32, every other number as float64; the network rounds to its own dtype.
            version: A version's number or an alias; empty means `latest`.
            top_k: The number of most probable classes that a classifier returns for each row.
            timeout: Seconds, or None for no limit.

        Returns:
            The prediction. Its `outputs` have the shape `(rows, outputs)`, also for one row.

        Raises:
            NotFoundError: There is no such network, version or alias, or it was deleted while the rows were computed.
            ShapeMismatchError: A row has not as many numbers as the network has inputs.
            FeatureMismatchError: A named row lacks a feature, has an unknown one, or one of the wrong kind.
            NonFiniteInputError: An input is NaN or infinity, which the network does not allow.
            MissingValueError: A value is missing, and its feature has no fill value.
            UnknownCategoryError: A text is not one of its feature's categories, and the feature has no fill value.
            OutOfRangeError: A number is out of its feature's range, which the feature does not allow.
        """
        if self._sender is None or large_bytes(rows):
            build = partial(predictions.predict, name, version=version, top_k=top_k)
            return self._call_with_rows(rows, build, timeout)
        read = predict_coalesced(name, rows, version=version, top_k=top_k)
        if isinstance(read, Call):
            return self._call_or_cut(read, timeout)
        if self._connection.is_closed:
            raise client_closed()
        return self._sender.predict(*read, self._endpoint.limit(timeout))

    def predict_many(
        self, requests: Iterable[StreamRequest], *, timeout: Timeout = UNSET
    ) -> tuple[Prediction | ForwardpassError, ...]:
        """Compute several requests, for one network or several, in one call.

        The result of a request that fails is its error, which is returned and not raised.

        Args:
            requests: The requests; their ids are not used.
            timeout: Seconds, or None for no limit.

        Returns:
            The prediction or error of each request, in the order of the requests.
        """
        return self._call(predictions.predict_many(requests), timeout)

    def predict_stream(
        self, requests: Iterable[StreamRequest], *, timeout: float | None = None
    ) -> Iterator[tuple[str, Prediction | ForwardpassError]]:
        """Compute many requests over one stream, several at a time.

        The result of a request that fails is its error, which is yielded and not raised; the stream goes on. A thread
        of gRPC reads the requests, no faster than the server takes them.

        Args:
            requests: The requests; may be endless, and may depend on earlier results.
            timeout: Seconds for the whole stream; None, the default, is no limit.

        Yields:
            The id of each request with its prediction or error, in the order in which they are ready.
        """
        return self._stream(predictions.predict_stream(requests), timeout)

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

        Rows are joined to chunks, a few of which are in flight at once. A thread of gRPC reads the iterator, no further
        ahead than that.

        Args:
            name: The network's name.
            rows: Rows in every form that `predict` accepts, each item one row or many; may be endless.
            version: A version's number or an alias; empty means `latest`.
            batch_rows: The number of rows of a chunk, and so of a prediction. The last chunk may have fewer, and so may
                a chunk before rows of another dtype, another width or with names, and one that would have more than
                2 MiB. A network with thousands of outputs needs fewer rows, since a server bounds its responses.
            top_k: As for `predict`.
            timeout: Seconds for the whole stream; None, the default, is no limit.

        Yields:
            A prediction for each chunk.

        Raises:
            ForwardpassError: A chunk failed; the fact `firstRow` is the index of the chunk's first row. The
                predictions of all earlier rows were yielded.
        """
        stream = RowStream(name, version, chunk_rows(batch_rows), top_k)
        room = threading.Semaphore(MAX_CHUNKS_IN_FLIGHT)
        call = predictions.predict_stream(stream.requests(rows, room))
        try:
            with closing(self._stream(call, timeout)) as results:
                for identity, result in results:
                    for prediction in stream.in_order(identity, result):
                        room.release()
                        yield prediction
        finally:
            stream.stop()
            room.release()

    def trace(
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
        """Compute the same as `predict`, and return the values of every node; `str` of the trace draws them.

        Args:
            name: The network's name.
            rows: As for `predict`.
            version: A version's number or an alias; empty means `latest`.
            layers: The names of the layers to return; none means all.
            contributions: Whether to return the contribution of each input, weight x value, to each node.
            percentiles: Whether to return how usual each value is, where the version has a profile (see `profile`).
            top_k: As for `predict`.
            timeout: Seconds, or None for no limit.

        Raises:
            LayerNotFoundError: The network has no layer of one of the names.
        """
        build = partial(
            predictions.trace,
            name,
            version=version,
            layers=as_names(layers),
            contributions=contributions,
            percentiles=percentiles,
            top_k=top_k,
        )
        return self._call_with_rows(rows, build, timeout)

    def explain(
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
        """Compute the same as `predict`, and the share of every input in the outputs.

        Args:
            name: The network's name.
            rows: As for `predict`.
            version: A version's number or an alias; empty means `latest`.
            method: `integrated_gradients`, `layer_conductance` or `shapley_values`, whose shares add up to the
                difference between the output and that of the baseline; `feature_ablation`; or `gradient` or
                `input_x_gradient`, which have no baseline.
            outputs: The outputs to explain, by their names or the classes that they stand for. Empty means all outputs,
                but of a network with an output for each class the chosen class of each row.
            layers: The names of layers whose nodes get shares too, by `integrated_gradients` and `layer_conductance`;
                the latter takes all layers if none is named.
            baseline: What the rows are compared with: `zeros`, `means`, or a row or several in every form that `rows`
                has. Of several, the shares are the mean.
            scale: `outputs`, or `logits`: what the last layer computes before its sigmoid or softmax.
            tolerance: Of `integrated_gradients` and `layer_conductance`, the largest completeness error, as a part of
                the difference between the output and that of the baseline; None for 0.001.
            max_steps: Of the same, the most gradients of a row, an output and a baseline; None for 1,024.
            samples: Of `shapley_values` of more than 12 inputs, the pairs of orders that are drawn; None for 128.
            seed: Of the same, what the draws begin with; the same seed gives the same bits.
            timeout: Seconds, or None for no limit.

        Raises:
            InvalidFieldError: The network has no output or class of one of the names, two outputs for one of them, or
                no logits; or an option is out of its range or has no effect on the method.
            LayerNotFoundError: The network has no layer of one of the names.
            QuotaExceededError: The method needs more arithmetic than the server allows for a call.
        """
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
        return self._call_with_rows(rows, build, timeout)

    def profile(
        self,
        name: str,
        rows: Iterable[Any],
        *,
        version: str | int = "",
        layers: Iterable[str] = (),
        timeout: Timeout = UNSET,
    ) -> Profile:
        """Compute the profile of a version over rows, and keep it with the version.

        A profile is the usual distribution of every value: of the inputs, each node's activation and the outputs. Then
        `trace` with `percentiles` tells how unusual a value is. The rows are traced part by part; the server keeps
        their distribution only. A profile replaces the version's earlier one.

        Args:
            name: The network's name.
            rows: An array, a frame, or an iterable whose items are rows in every form that `predict` accepts, each one
                row or many.
            version: A version's number or an alias, which is looked up once; empty means `latest`.
            layers: The names of the layers to profile; none means all.
            timeout: Seconds for each call, or None for no limit.

        Raises:
            InvalidFieldError: There are no rows, or the profile is above 1 MiB: name fewer `layers` of a wide network.
            ForwardpassError: Rows were rejected; the fact `firstRow` is the index of the first row of their part.
        """
        profiling = Profiling(name, rows, version, layers)
        for first, call in profiling.traces():
            with profiling.naming_rows(first):
                profiling.add(self._call(call, timeout))
        return self._call(profiling.finish(), timeout)

    def get_profile(self, name: str, *, version: str | int = "", timeout: Timeout = UNSET) -> Profile:
        """Get the profile of a version, by number or alias.

        Raises:
            ProfileNotFoundError: The version has none.
        """
        return self._call(networks.get_profile(name, version), timeout)

    def delete_profile(self, name: str, *, version: str | int = "", timeout: Timeout = UNSET) -> int:
        """Delete the profile of a version, by number or alias; return the version's number.

        Raises:
            ProfileNotFoundError: The version has none.
        """
        return self._call(networks.delete_profile(name, version), timeout)

    def network(self, name: str, *, timeout: Timeout = UNSET) -> NetworkInfo:
        """Get the description of a network: its aliases and the number of its versions."""
        return self._call(networks.network(name), timeout)

    def version(self, name: str, *, version: str | int = "", timeout: Timeout = UNSET) -> VersionInfo:
        """Get the description of one version, by number or alias, without its weights."""
        return self._call(networks.version(name, version), timeout)

    def spec(self, name: str, *, version: str | int = "", timeout: Timeout = UNSET) -> NetworkSpec:
        """Get the whole content of a version as it was registered, with weights and examples."""
        return self._call(networks.get_spec(name, version), timeout)

    def networks(self, *, timeout: Timeout = UNSET) -> Iterator[NetworkInfo]:
        """List all networks by name; the timeout is that of each page of the list."""
        return self._pages(networks.networks, timeout)

    def versions(self, name: str, *, timeout: Timeout = UNSET) -> Iterator[VersionInfo]:
        """List the versions of a network, newest first; the timeout is that of each page of the list."""
        return self._pages(partial(networks.versions, name), timeout)

    def delete_network(self, name: str, *, timeout: Timeout = UNSET) -> int:
        """Delete a network with all its versions and aliases; return the registry's revision."""
        return self._call(networks.delete_network(name), timeout)

    def delete_version(self, name: str, number: int, *, timeout: Timeout = UNSET) -> NetworkInfo:
        """Delete one version; return the network without it.

        Raises:
            VersionInUseError: An alias names the version, or it is the only one.
        """
        return self._call(networks.delete_version(name, number), timeout)

    def set_alias(
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
        return self._call(networks.set_alias(name, alias, version, expected=expected), timeout)

    def rollback(self, name: str, alias: str, *, expected: int | None = None, timeout: Timeout = UNSET) -> RolledBack:
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
        return self._call(networks.rollback(name, alias, expected=expected), timeout)

    def alias_moves(self, name: str, alias: str, *, timeout: Timeout = UNSET) -> tuple[AliasMove, ...]:
        """Get the last 100 moves of an alias, newest first: each version and when the alias began to name it."""
        return self._call(networks.alias_moves(name, alias), timeout)

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
        return self._call(call, timeout)

    def clear_shadow(self, name: str, *, of: str | int, timeout: Timeout = UNSET) -> NetworkInfo:
        """Remove the shadow of a version or alias, if there is one."""
        return self._call(networks.clear_shadow(name, of), timeout)

    def shadows(self, name: str, *, timeout: Timeout = UNSET) -> tuple[ShadowReport, ...]:
        """Get the shadows of a network with the counts of each."""
        return self._call(networks.shadows(name), timeout)

    def delete_alias(self, name: str, alias: str, *, timeout: Timeout = UNSET) -> NetworkInfo:
        """Delete an alias; return the network without it."""
        return self._call(networks.delete_alias(name, alias), timeout)

    def watch(self, *, prefix: str = "", timeout: float | None = None) -> Iterator[NetworkChange]:
        """Watch the networks: yield the current state of each one, then every change, without end.

        Changes that follow each other quickly may come as one, the latest state. A watch whose changes are not read
        fast enough is ended by the server; then another one goes on from there, and tells what changed meanwhile.

        Args:
            prefix: The beginning of the names of the networks to watch; empty for all.
            timeout: Seconds for the whole watch; None, the default, is no limit.

        Raises:
            UnavailableError: The server stops or cannot be reached; watch again to get the current state.
        """
        limit, begun, watched = self._endpoint.limit(timeout), time.monotonic(), WatchedNetworks()
        while True:
            try:
                with closing(self._stream(networks.watch(prefix), seconds_left(limit, begun))) as changes:
                    for change in changes:
                        yield from watched.report(change)
                raise watch_ended(self._endpoint.address)
            except OverloadedError as error:
                time.sleep(self._pause_before_watch(watched, error, seconds_left(limit, begun)))

    def ready(self, *, timeout: Timeout = UNSET) -> bool:
        """Return whether the server can be reached and serves."""
        try:
            return self._call(networks.health(), timeout)
        except (UnavailableError, DeadlineExceededError):
            return False

    def wait_until_ready(self, timeout: Timeout = UNSET) -> None:
        """Wait until the server serves, for example after starting it.

        Raises:
            DeadlineExceededError: The server did not serve within the timeout.
        """
        for left in countdown(self._endpoint.address, self._endpoint.limit(timeout)):
            try:
                if self._call(networks.health(wait_for_ready=True), left):
                    return
            except (UnavailableError, DeadlineExceededError):
                pass
            time.sleep(READY_PAUSE_SECONDS)

    def close(self) -> None:
        """Close the connections; calls in flight and later calls raise an error."""
        self._connection.close()
        if self._sender is not None:
            self._sender.close(client_closed())

    def _call(self, call: Call[Result], timeout: Timeout) -> Result:
        limit = self._endpoint.limit(timeout, call.extra_seconds)
        if call.result is not None:
            return call.result
        begun = time.monotonic()
        try:
            response = self._send(call, limit)
        except (grpc.RpcError, Interrupted) as error:
            response = self._send_again(call, error, self._retries(call, limit, begun))
        call.check()
        self._revisions.note(call.method, response)
        return call.parse(response)

    def _call_with_rows(self, rows: Readable, build: Callable[[Readable], Call[Result]], timeout: Timeout) -> Result:
        """Make a call; if its rows are many, wait for room first, and send them in pieces."""
        size = large_bytes(rows)
        if not size:
            return self._call_or_cut(build(rows), timeout)
        limit = self._endpoint.limit(timeout)
        begun = time.monotonic()
        try:
            with self._bytes.hold(held_bytes(rows, size), limit):
                call = call_or_pieces(rows, build)
                if isinstance(call, Pieces):
                    return self._call_in_pieces(call, limit, begun)
                return self._call_or_cut(call, seconds_left(limit, begun))
        except NoRoomError:
            raise deadline_exceeded(self._endpoint.address, limit) from None

    def _call_or_cut(self, call: Call[Result], timeout: Timeout) -> Result:
        """Make a call; if the server rejects it for its size, send its rows in pieces."""
        begun = time.monotonic()
        try:
            return self._call(call, timeout)
        except QuotaExceededError as error:
            pieces = pieces_of_rejected(call, error)
            if pieces is None:
                raise
        return self._call_in_pieces(pieces, self._endpoint.limit(timeout), begun)

    def _call_in_pieces(self, pieces: Pieces[Result], limit: float | None, begun: float) -> Result:
        """Send pieces, a few of them at once, until all have their responses; `begun` and `limit` are of them all."""
        in_flight: deque[tuple[Piece[Result], Any]] = deque()
        try:
            while True:
                while len(in_flight) < MAX_PIECES_IN_FLIGHT and (piece := pieces.next()) is not None:
                    in_flight.append((piece, self._start(piece.call, seconds_left(limit, begun))))
                if not in_flight:
                    return pieces.result()
                piece, rpc = in_flight[0]
                try:
                    pieces.add(piece, self._receive(piece.call, rpc, limit, begun))
                except ForwardpassError as error:
                    pieces.reject(piece, error)
                in_flight.popleft()
        finally:
            for _, rpc in in_flight:
                rpc.cancel()

    def _receive(self, call: Call[Any], rpc: Any, limit: float | None, begun: float) -> Any:
        """Wait for the response to a piece, whose attempts after the first are made here; return its message."""
        try:
            response = rpc.result()
        except (grpc.RpcError, grpc.FutureCancelledError):
            # gRPC's future is its own exception, but raises another one when it was cancelled.
            error = Interrupted() if self._connection.was_interrupted(rpc) else rpc
            response = self._send_again(call, error, self._retries(call, limit, begun))
        self._revisions.note(call.method, response)
        return response

    def _stream(self, call: Call[Result], timeout: float | None) -> Generator[Result, None, None]:
        limit = self._endpoint.limit(timeout)
        retries = self._retries(call, limit, time.monotonic())
        has_begun = False
        while True:
            stream = None
            try:
                stream = self._start(call, retries.left())
                for response in stream:
                    if not has_begun:
                        has_begun = True
                        call.on_response()
                    self._revisions.note(call.method, response)
                    yield call.parse(response)
                break
            except grpc.RpcError as error:
                if has_begun:
                    call.check()
                    failed = Interrupted() if self._connection.was_interrupted(stream) else error
                    raise self._end_of_stream(failed, retries) from error
                time.sleep(self._pause(call, error if stream is None else stream, retries))
            finally:
                if stream is not None:
                    stream.cancel()
        call.check()

    def _pages(self, request_page: Callable[[str], Call[Page[Result]]], timeout: Timeout) -> Iterator[Result]:
        page = self._call(request_page(""), timeout)
        yield from page.items
        while page.next_token:
            page = self._call(request_page(page.next_token), timeout)
            yield from page.items

    def _send(self, call: Call[Any], limit: float | None) -> Any:
        """Make one attempt of a call; return the message of the response."""
        connection = self._connection
        connection.in_flight[call] = call.method
        try:
            methods = connection.methods or connection.open(call, call.method)
            return methods[call.method](
                self._revisions.stamp(call.method, call.messages()),
                timeout=limit,
                metadata=self._endpoint.headers,
                wait_for_ready=call.wait_for_ready,
            )
        except (grpc.RpcError, ValueError) as error:
            if connection.was_interrupted(call):
                raise Interrupted from error
            if connection.is_closed:
                raise client_closed() from None  # another thread closed it just now
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
                self._revisions.stamp(call.method, call.messages()),
                timeout=limit,
                metadata=self._endpoint.headers,
                wait_for_ready=call.wait_for_ready,
            )
        except ValueError:
            if self._connection.is_closed:
                raise client_closed() from None  # another thread closed it just now
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
