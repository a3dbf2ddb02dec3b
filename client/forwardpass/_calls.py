"""What a client asks and what it makes of the answer, without I/O: shared by both clients."""

from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from os import PathLike
from sys import maxsize
from typing import Any, Final, Generic, TypeVar

from forwardpass import _replies, spec
from forwardpass._coalescing import Batch, Group, Outcome, group_of
from forwardpass._replay import AsyncReplay, Replay
from forwardpass._streams import CHUNK_BYTES, PredictionStream, Progress, Upload
from forwardpass._transport.methods import SERVING
from forwardpass.errors import Fault, ForwardpassError, InvalidFieldError, UnavailableError
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
from forwardpass.rows import Readable, Row, RowsLike, StreamRequest, inputs_of, read_rows, to_inputs
from forwardpass.v1 import network_service_pb2 as networks_v1
from forwardpass.v1 import prediction_service_pb2 as predictions_v1

Result = TypeVar("Result")

SpecLike = spec.NetworkSpec | Mapping[str, object] | str | PathLike[str]
"""A spec, the dict of its JSON form, or the path of a JSON or safetensors file."""

MAX_MESSAGE_BYTES: Final = 8 * 2**20
"""The largest spec that is registered in one message; a larger one is uploaded."""

PAUSE: Final = 0.1
"""Seconds between two looks at whether a server is ready."""

# The server judges by its own limits, which may be other than ours, and what it sends it has accepted.
_NO_LIMITS: Final = spec.Limits(**dict.fromkeys(spec.Limits.__dataclass_fields__, maxsize))


def _nothing() -> None:
    pass


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Call(Generic[Result]):
    """One call of a method.

    Attributes:
        method: Its name.
        request: The message; None where there are several.
        requests: Makes an iterator of the messages, for each attempt; None where there is one message.
        begun: Called when the response has begun, after which there is no further attempt.
        ended: Called when there will be no further attempt.
        parse: Makes the result of a message of the answer.
        check: Raises what the caller's own iterator or callback raised while the requests were made.
        more_time: Seconds that the call needs beyond the client's default timeout.
        wait: Whether to wait for a connection, instead of failing while there is none.
        known: The result, where there is nothing to ask.
    """

    method: str
    request: Any = None
    parse: Callable[[Any], Result]
    requests: Callable[[], Any] | None = None
    begun: Callable[[], None] = _nothing
    ended: Callable[[], None] = _nothing
    check: Callable[[], None] = _nothing
    more_time: float = 0.0
    wait: bool = False
    known: Result | None = None


def predict(network: str, rows: RowsLike, *, version: str | int, top_k: int) -> Call[Prediction]:
    """Ask for the outputs for rows."""
    return Call(method="Predict", request=_predict_request(network, rows, version, top_k), parse=_replies.prediction)


def predict_in_company(
    network: str, rows: RowsLike, *, version: str | int, top_k: int
) -> tuple[Group, Row] | Call[Prediction]:
    """Return a row with whom it may travel, or for many rows the call by which they go alone."""
    network, version, top_k = _text(network, "network"), _reference(version), _top(top_k)
    read = read_rows(rows)
    group = group_of(network, version, read, top_k)
    if group is not None:
        return group, read
    request = predictions_v1.PredictRequest(network=network, version=version, top_k=top_k, **inputs_of(read))
    return Call(method="Predict", request=request, parse=_replies.prediction)


def predict_together(batch: Batch) -> Call[Sequence[Outcome]]:
    """Ask for the outputs for the rows of several callers."""
    return Call(method="Predict", request=batch.request(), parse=batch.answers)


def predict_again(batch: Batch) -> Call[Sequence[Outcome]]:
    """Ask for the outputs for each caller's row by itself."""
    return Call(
        method="PredictMany",
        request=batch.again(),
        parse=lambda reply: _replies.results(reply, len(batch.seats)),
    )


def predict_many(requests: Iterable[StreamRequest]) -> Call[tuple[Prediction | ForwardpassError, ...]]:
    """Ask for the outputs of several requests; one that cannot be sent is answered here."""
    message = predictions_v1.PredictManyRequest()
    refused: list[ForwardpassError | None] = []
    for request in requests:
        try:
            message.requests.append(_request_of(request))
            refused.append(None)
        except ForwardpassError as error:
            refused.append(error)

    def parse(reply: predictions_v1.PredictManyResponse) -> tuple[Prediction | ForwardpassError, ...]:
        results = iter(_replies.results(reply, len(message.requests)))
        return tuple([next(results) if error is None else error for error in refused])

    known = None if message.requests else parse(predictions_v1.PredictManyResponse())
    return Call(method="PredictMany", request=message, parse=parse, known=known)


def _predict_request(network: str, rows: Readable, version: str | int, top_k: int) -> predictions_v1.PredictRequest:
    return predictions_v1.PredictRequest(
        network=_text(network, "network"), version=_reference(version), top_k=_top(top_k), **to_inputs(rows)
    )


def _request_of(request: StreamRequest) -> predictions_v1.PredictRequest:
    return _predict_request(request.network, request.rows, request.version, request.top_k)


def predict_stream(
    requests: Iterable[StreamRequest] | AsyncIterable[StreamRequest],
) -> Call[tuple[str, Prediction | ForwardpassError]]:
    """Ask for the outputs of many requests over one stream."""
    stream = PredictionStream(_request_of)
    if isinstance(requests, AsyncIterable):
        async_replay = AsyncReplay(stream.read_async(requests))
        return Call(
            method="PredictStream",
            requests=async_replay.attempt,
            begun=async_replay.end,
            ended=async_replay.close,
            parse=stream.answer,
            check=stream.check,
        )
    replay = Replay(stream.read(requests))
    return Call(
        method="PredictStream", requests=replay.attempt, begun=replay.end, parse=stream.answer, check=stream.check
    )


def trace(
    network: str, rows: RowsLike, *, version: str | int, layers: Iterable[str], contributions: bool, top_k: int
) -> Call[Trace]:
    """Ask for the outputs for rows and every node on the way."""
    names = [layers] if isinstance(layers, str) else [_text(name, "layers") for name in layers]
    request = predictions_v1.TraceRequest(
        network=_text(network, "network"),
        version=_reference(version),
        layers=names,
        contributions=contributions,
        top_k=_top(top_k),
        **to_inputs(rows),
    )
    return Call(method="Trace", request=request, parse=_replies.trace)


def register(
    network: str, content: SpecLike, *, validate_only: bool, keep_latest: bool, progress: Progress | None
) -> Call[Registered]:
    """Ask to register a spec, in one message or as an upload, whichever its size asks for.

    Raises:
        InvalidFieldError: The name is not one that a network can have.
        InvalidNetworkError: The spec is not valid; `faults` has every fault.
        OSError: The file cannot be read.
    """
    spec.check_name(network)
    read = read_spec(content)
    if sum(array.nbytes for layer in read.layers for array in layer.arrays.values()) <= MAX_MESSAGE_BYTES:
        request = networks_v1.RegisterNetworkRequest(
            network=network, spec=spec.to_message(read), validate_only=validate_only, keep_latest=keep_latest
        )
        if request.ByteSize() <= MAX_MESSAGE_BYTES:
            return Call(method="RegisterNetwork", request=request, parse=_replies.registered)
    upload = Upload(spec.to_safetensors(read), progress)
    header = networks_v1.UploadHeader(
        network=network, size_bytes=upload.size, validate_only=validate_only, keep_latest=keep_latest
    )
    return Call(
        method="UploadNetwork",
        requests=partial(upload.requests, header),
        parse=_replies.registered,
        check=upload.check,
        more_time=upload.size / CHUNK_BYTES,
    )


def read_spec(content: SpecLike) -> spec.NetworkSpec:
    """Return the spec that a caller means.

    Raises:
        InvalidNetworkError: The content is not a valid spec; `faults` has every fault.
        OSError: The file cannot be read.
    """
    if isinstance(content, spec.NetworkSpec):
        return content
    if isinstance(content, Mapping):
        return spec.parse(content, limits=_NO_LIMITS)
    if isinstance(content, str) and content.lstrip().startswith("{"):
        raise _invalid("spec", "is a JSON text; a str is the path of a file, so pass spec.from_json(text)")
    if isinstance(content, str | PathLike):
        return spec.load(content, limits=_NO_LIMITS)
    raise _invalid("spec", f"is a {type(content).__name__}; must be a dict, a path or a NetworkSpec")


def network(name: str) -> Call[NetworkInfo]:
    """Ask for a network."""
    return Call(
        method="GetNetwork",
        request=networks_v1.GetNetworkRequest(network=_text(name, "network")),
        parse=lambda reply: _replies.network(reply.network),
    )


def version(name: str, version: str | int) -> Call[VersionInfo]:
    """Ask for a version of a network."""
    return Call(
        method="GetNetwork",
        request=networks_v1.GetNetworkRequest(network=_text(name, "network"), version=_reference(version)),
        parse=lambda reply: _replies.version(reply.version),
    )


def get_spec(name: str, version: str | int) -> Call[spec.NetworkSpec]:
    """Ask for the content of a version."""
    request = networks_v1.GetNetworkRequest(
        network=_text(name, "network"), version=_reference(version), view=networks_v1.NETWORK_VIEW_FULL
    )
    return Call(
        method="GetNetwork",
        request=request,
        parse=lambda reply: spec.from_message(reply.spec, limits=_NO_LIMITS),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Page(Generic[Result]):
    """A part of a list, and what asks for the next part: empty after the last."""

    items: tuple[Result, ...]
    next_token: str


def networks(token: str) -> Call[Page[NetworkInfo]]:
    """Ask for a page of all networks."""
    return Call(
        method="ListNetworks",
        request=networks_v1.ListNetworksRequest(page_size=1000, page_token=token),
        parse=lambda reply: Page(items=tuple(map(_replies.network, reply.networks)), next_token=reply.next_page_token),
    )


def versions(name: str, token: str) -> Call[Page[VersionInfo]]:
    """Ask for a page of a network's versions."""
    return Call(
        method="ListVersions",
        # A version with many named nodes is large, so pages are smaller than those of networks.
        request=networks_v1.ListVersionsRequest(network=_text(name, "network"), page_size=100, page_token=token),
        parse=lambda reply: Page(items=tuple(map(_replies.version, reply.versions)), next_token=reply.next_page_token),
    )


def delete_network(name: str) -> Call[int]:
    """Ask to delete a network; the answer is the registry's revision."""
    return Call(
        method="DeleteNetwork",
        request=networks_v1.DeleteNetworkRequest(network=_text(name, "network")),
        parse=lambda reply: int(reply.revision),
    )


def delete_version(name: str, number: int) -> Call[NetworkInfo]:
    """Ask to delete a version."""
    if isinstance(number, bool) or not isinstance(number, int):
        raise _invalid("version", f"is {number!r}; must be the number of a version, so that no alias decides")
    return Call(
        method="DeleteVersion",
        request=networks_v1.DeleteVersionRequest(network=_text(name, "network"), version=number),
        parse=lambda reply: _replies.network(reply.network),
    )


def set_alias(name: str, alias: str, version: str | int, *, expected: int | None) -> Call[NetworkInfo]:
    """Ask to make an alias name a version."""
    spec.check_name(alias, "alias")
    return Call(
        method="SetAlias",
        request=networks_v1.SetAliasRequest(
            network=_text(name, "network"),
            alias=alias,
            version=_reference(version),
            expected_version=_expected(expected),
        ),
        parse=lambda reply: _replies.network(reply.network),
    )


def rollback(name: str, alias: str, *, expected: int | None) -> Call[RolledBack]:
    """Ask to move an alias back."""
    return Call(
        method="RollbackAlias",
        request=networks_v1.RollbackAliasRequest(
            network=_text(name, "network"), alias=_text(alias, "alias"), expected_version=_expected(expected)
        ),
        parse=_replies.rolled_back,
    )


def alias_moves(name: str, alias: str) -> Call[tuple[AliasMove, ...]]:
    """Ask what an alias named."""
    return Call(
        method="ListAliasMoves",
        request=networks_v1.ListAliasMovesRequest(network=_text(name, "network"), alias=_text(alias, "alias")),
        parse=_replies.alias_moves,
    )


def set_shadow(
    name: str, version: str | int, *, of: str | int, share: float, tolerance: float | None
) -> Call[NetworkInfo]:
    """Ask to let a version be computed beside another one."""
    return Call(
        method="SetShadow",
        request=networks_v1.SetShadowRequest(
            network=_text(name, "network"),
            of=_reference(of),
            version=_reference(version),
            share=_number(share, "share"),
            tolerance=None if tolerance is None else _number(tolerance, "tolerance"),
        ),
        parse=lambda reply: _replies.network(reply.network),
    )


def clear_shadow(name: str, of: str | int) -> Call[NetworkInfo]:
    """Ask to end a shadow."""
    return Call(
        method="ClearShadow",
        request=networks_v1.ClearShadowRequest(network=_text(name, "network"), of=_reference(of)),
        parse=lambda reply: _replies.network(reply.network),
    )


def shadows(name: str) -> Call[tuple[ShadowReport, ...]]:
    """Ask what was counted of a network's shadows."""
    return Call(
        method="ListShadows",
        request=networks_v1.ListShadowsRequest(network=_text(name, "network")),
        parse=_replies.shadow_reports,
    )


def delete_alias(name: str, alias: str) -> Call[NetworkInfo]:
    """Ask to delete an alias."""
    return Call(
        method="DeleteAlias",
        request=networks_v1.DeleteAliasRequest(network=_text(name, "network"), alias=_text(alias, "alias")),
        parse=lambda reply: _replies.network(reply.network),
    )


def watch(prefix: str) -> Call[NetworkChange]:
    """Ask to be told of changes."""
    return Call(
        method="WatchNetworks",
        request=networks_v1.WatchNetworksRequest(name_prefix=_text(prefix, "prefix")),
        parse=_replies.change,
    )


def watch_ended(target: str) -> UnavailableError:
    """Make what is raised when a server ends a watch, which otherwise goes on for ever."""
    return UnavailableError(
        f"{target} ended the watch, since it stops; watch again for the state of then and what follows",
        target=target,
    )


def health(*, wait: bool = False) -> Call[bool]:
    """Ask whether the server serves."""
    return Call(method="Check", request=b"", parse=lambda reply: bool(reply == SERVING), wait=wait)


def _text(value: str, name: str) -> str:
    if not isinstance(value, str):
        raise _invalid(name, f"is a {type(value).__name__}; must be a text")
    return value


def _number(value: float, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _invalid(name, f"is {value!r}; must be a number")
    return value


def _expected(version: int | None) -> int | None:
    if version is None or type(version) is int:
        return version
    raise _invalid("expected", f"is {version!r}; must be a version's number, or None")


def _top(top_k: int) -> int:
    if type(top_k) is not int or not 0 <= top_k < 2**31:
        raise _invalid("top_k", f"is {top_k!r}; must be a number of classes, or 0")
    return top_k


def _reference(version: str | int) -> str:
    """Return a version's number or alias as the wire has it."""
    if isinstance(version, bool) or not isinstance(version, str | int):
        raise _invalid("version", f"is {version!r}; must be a version's number, an alias, or nothing for latest")
    return str(version)


def _invalid(name: str, message: str) -> InvalidFieldError:
    return InvalidFieldError(f"{name} {message}", faults=[Fault(path=name, message=message)], field=name)
