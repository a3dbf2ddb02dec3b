"""Compares two versions of a network by predictions for the same rows."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from forwardpass._client import Client
from forwardpass.chunks import chunk_rows
from forwardpass.compare.example_rows import rows_of
from forwardpass.compare.outputs import Comparer, common_outputs
from forwardpass.compare.specs import spec_differences
from forwardpass.compare.values import Comparison
from forwardpass.differences import TOLERANCE, checked_tolerance
from forwardpass.errors import ForwardpassError, InternalError
from forwardpass.models import Prediction, VersionInfo
from forwardpass.rows import StreamRequest

CHUNK_ROWS: Final = 1024
_CHUNK_NUMBERS: Final = 500_000
"""Bounds the rows of a chunk for wide networks, since one call has the rows of both versions."""


def compare(
    client: Client,
    name: str,
    first: str | int,
    second: str | int,
    rows: Iterable[Any] | None = None,
    *,
    tolerance: float | None = None,
    worst: int = 5,
) -> Comparison:
    """Compare two versions of a network: their specs, and their outputs for the same rows.

    Rows are read in chunks of a thousand, so that any number is possible.

    Args:
        client: The client of the server.
        name: The network's name.
        first: The number or an alias of the first version, looked up once.
        second: The number or an alias of the second version.
        rows: Rows in every form that `Client.predict_batches` takes. When left out, the examples of both versions and
            500 random rows of each, the same ones each time, spread as the networks expect their inputs.
        tolerance: A difference is accepted up to this much times `max(1, |number of the first version|)`; 1e-9, or
            1e-4 where one of the versions is float32, when left out.
        worst: The number of worst rows to keep.

    Raises:
        ForwardpassError: A version is absent, or rejects a row; the fact `firstRow` is the index of the first row
            of the rejected chunk.
        InvalidFieldError: The tolerance is negative or not finite.

    Example:
        >>> compare(client, "bank", "production", 4, rows).agree  # doctest: +SKIP
        True
    """
    one, other = client.version(name, version=first), client.version(name, version=second)
    coarser = "float32" if "float32" in {one.dtype, other.dtype} else "float64"
    tolerance = checked_tolerance(tolerance, TOLERANCE[coarser])
    facts: dict[str, Any] = {
        "network": name,
        "first": one.number,
        "second": other.number,
        "tolerance": tolerance,
        "spec": spec_differences(one, other),
        "obstacle": obstacle(one, other),
    }
    if facts["obstacle"]:
        return Comparison(**facts)
    if rows is None:
        rows = rows_of(*(client.spec(name, version=version.number) for version in (one, other)))
    comparer = Comparer(one, other, tolerance=tolerance, worst=worst)
    for chunk, ours, theirs in _predictions(client, one, other, rows):
        comparer.add(chunk, ours, theirs)
    return Comparison(
        **facts,
        rows=comparer.rows,
        rows_beyond=comparer.rows_beyond,
        rows_relabeled=comparer.rows_relabeled,
        outputs=comparer.outputs(),
        relabeled=comparer.relabeled(),
        worst=comparer.worst(),
    )


def obstacle(one: VersionInfo, other: VersionInfo) -> str:
    """Return why two versions cannot predict the same rows or be compared by outputs; empty if they can."""
    for version in (one, other):
        if version.corrupt:
            return f"version {version.number} is damaged"
    if one.inputs != other.inputs:
        return f"version {one.number} reads {one.inputs} inputs, version {other.number} {other.inputs}"
    ours, theirs = ({feature.name for feature in version.features} for version in (one, other))
    if ours and theirs and ours != theirs:
        odd = ", ".join(map(repr, sorted(ours ^ theirs)))
        return f"versions {one.number} and {other.number} read different features: only one of them has {odd}"
    if not common_outputs(one, other):
        return f"versions {one.number} and {other.number} have no output in common"
    return ""


def _predictions(
    client: Client, one: VersionInfo, other: VersionInfo, rows: Iterable[Any]
) -> Iterator[tuple[Any, Prediction, Prediction]]:
    """Yield the chunks of rows with the predictions of both versions."""
    size = max(1, min(CHUNK_ROWS, _CHUNK_NUMBERS // max(1, one.inputs)))
    for start, chunk in chunk_rows(rows, size):
        requests = [StreamRequest(network=one.network, rows=chunk, version=v.number) for v in (one, other)]
        predictions = client.predict_many(requests)
        for version, prediction in zip((one, other), predictions, strict=True):
            if isinstance(prediction, ForwardpassError):
                prediction.facts["firstRow"] = str(start)
                prediction.add_note(f"version {version.number}, in the rows from {start} on, counted from 0")
                raise prediction
        ours, theirs = predictions
        if not (isinstance(ours, Prediction) and isinstance(theirs, Prediction)):
            raise InternalError("the server returned neither a prediction nor an error")
        yield chunk, ours, theirs
