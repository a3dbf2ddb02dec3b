"""Requests for coalesced rows."""

from collections.abc import Sequence

from forwardpass import _responses
from forwardpass._batching.coalescing import Batch, BatchKey, Outcome, batch_key
from forwardpass._requests import fields
from forwardpass._requests.call import Call
from forwardpass.models import Prediction
from forwardpass.rows import Row, RowsLike, inputs_of, read_rows
from forwardpass.v1.prediction_service_pb2 import PredictRequest


def predict_coalesced(
    network: str, rows: RowsLike, *, version: str | int, top_k: int
) -> tuple[BatchKey, Row] | Call[Prediction]:
    """Return one row with the key of the batches that it may join, or for many rows a call of their own."""
    network, version = fields.text(network, "network"), fields.version_reference(version)
    top_k = fields.class_count(top_k)
    row = read_rows(rows)
    key = batch_key(network, version, row, top_k)
    if key is not None:
        return key, row
    request = PredictRequest(network=network, version=version, top_k=top_k, **inputs_of(row))
    return Call(method="Predict", request=request, parse=_responses.prediction)


def predict_batch(batch: Batch) -> Call[Sequence[Outcome]]:
    """Request the outputs for the rows of several callers as one matrix."""
    return Call(method="Predict", request=batch.request(), parse=batch.split_response)


def predict_each(batch: Batch) -> Call[Sequence[Outcome]]:
    """Request the outputs for the row of each caller by itself."""
    return Call(
        method="PredictMany",
        request=batch.request_for_each(),
        parse=lambda response: _responses.results(response, len(batch.requests)),
    )
