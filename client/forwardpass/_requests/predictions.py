"""Requests of the prediction service."""

from collections.abc import AsyncIterable, Iterable
from typing import Final

from forwardpass import _responses
from forwardpass._requests import fields
from forwardpass._requests.call import Call
from forwardpass._requests.replay import AsyncReplay, Replay
from forwardpass._requests.streams import PredictionStream
from forwardpass.attribution import (
    METHODS,
    SCALES,
    STANDARD_BASELINES,
    AttributionMethod,
    AttributionScale,
    StandardBaseline,
)
from forwardpass.errors import Fault, ForwardpassError
from forwardpass.models import Explanation, Prediction, Trace
from forwardpass.rows import Readable, RowsLike, StreamRequest, to_inputs
from forwardpass.v1.attribution_pb2 import Baseline
from forwardpass.v1.prediction_service_pb2 import (
    ExplainRequest,
    PredictManyRequest,
    PredictManyResponse,
    PredictRequest,
    TraceRequest,
)

DEFAULT_BASELINE: Final = "zeros"


def predict(network: str, rows: Readable, *, version: str | int, top_k: int) -> Call[Prediction]:
    """Request the outputs for rows."""
    return Call(method="Predict", request=_predict_request(network, rows, version, top_k), parse=_responses.prediction)


def predict_many(requests: Iterable[StreamRequest]) -> Call[tuple[Prediction | ForwardpassError, ...]]:
    """Request the outputs of several requests; the error of one that cannot be sent becomes its result."""
    message = PredictManyRequest()
    errors: list[ForwardpassError | None] = []
    for request in requests:
        try:
            message.requests.append(_message_of(request))
            errors.append(None)
        except ForwardpassError as error:
            errors.append(error)

    def parse(response: PredictManyResponse) -> tuple[Prediction | ForwardpassError, ...]:
        results = iter(_responses.results(response, len(message.requests)))
        return tuple([next(results) if error is None else error for error in errors])

    result = None if message.requests else parse(PredictManyResponse())
    return Call(method="PredictMany", request=message, parse=parse, result=result)


def predict_stream(
    requests: Iterable[StreamRequest] | AsyncIterable[StreamRequest],
) -> Call[tuple[str, Prediction | ForwardpassError]]:
    """Request the outputs of many requests over one stream."""
    stream = PredictionStream(_message_of)
    replay: Replay | AsyncReplay
    if isinstance(requests, AsyncIterable):
        replay = AsyncReplay(stream.read_async(requests))
    else:
        replay = Replay(stream.read(requests))
    return Call(
        method="PredictStream",
        requests=replay.attempt,
        parse=stream.parse,
        check=stream.check,
        on_response=replay.forget,
        on_end=replay.close,
    )


def trace(
    network: str,
    rows: Readable,
    *,
    version: str | int,
    layers: str | Iterable[str] = (),
    contributions: bool = False,
    percentiles: bool = False,
    top_k: int = 0,
) -> Call[Trace]:
    """Request the outputs for rows and the values of every node."""
    request = TraceRequest(
        network=fields.text(network, "network"),
        version=fields.version_reference(version),
        layers=_names(layers, "layers"),
        contributions=contributions,
        percentiles=percentiles,
        top_k=fields.class_count(top_k),
        **to_inputs(rows),
    )
    return Call(method="Trace", request=request, parse=_responses.trace)


def explain(
    network: str,
    rows: Readable,
    *,
    version: str | int,
    method: AttributionMethod,
    outputs: str | Iterable[str],
    layers: str | Iterable[str],
    baseline: StandardBaseline | RowsLike,
    scale: AttributionScale,
    tolerance: float | None,
    max_steps: int | None,
    samples: int | None,
    seed: int | None,
) -> Call[Explanation]:
    """Request the shares of the inputs in the outputs for rows."""
    request = ExplainRequest(
        network=fields.text(network, "network"),
        version=fields.version_reference(version),
        method=fields.choice(method, "method", METHODS),
        outputs=_names(outputs, "outputs"),
        layers=_names(layers, "layers"),
        scale=fields.choice(scale, "scale", SCALES),
        tolerance=None if tolerance is None else fields.number(tolerance, "tolerance"),
        max_steps=fields.optional_integer(max_steps, "max_steps"),
        samples=fields.optional_integer(samples, "samples"),
        seed=fields.optional_integer(seed, "seed"),
        **to_inputs(rows),
    )
    if not isinstance(baseline, str):
        request.baseline.CopyFrom(_baseline(baseline))
    elif baseline != DEFAULT_BASELINE:  # the default, which methods without a baseline would reject
        request.baseline.standard = fields.choice(baseline, "baseline", STANDARD_BASELINES)
    return Call(method="Explain", request=request, parse=_responses.explanation)


def _baseline(rows: RowsLike) -> Baseline:
    """Return the rows of a baseline; an error names their place as the server does."""
    try:
        return Baseline(**to_inputs(rows))
    except ForwardpassError as error:
        error.message = f"baseline: {error.message}"
        error.faults = tuple(Fault(path=f"baseline.{fault.path}", message=fault.message) for fault in error.faults)
        raise


def _names(names: str | Iterable[str], field: str) -> list[str]:
    """Return names, of which one may stand alone."""
    return [names] if isinstance(names, str) else [fields.text(name, field) for name in names]


def _predict_request(network: str, rows: Readable, version: str | int, top_k: int) -> PredictRequest:
    return PredictRequest(
        network=fields.text(network, "network"),
        version=fields.version_reference(version),
        top_k=fields.class_count(top_k),
        **to_inputs(rows),
    )


def _message_of(request: StreamRequest) -> PredictRequest:
    return _predict_request(request.network, request.rows, request.version, request.top_k)
