"""How usual values are: their percentiles in a profile."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from forwardpass.predictions import TraceValues
from forwardpass.profiles.values import Distribution, Profile, UnusualValue
from forwardpass.tensors import Array

TAIL: Final = 0.5
"""A percentile is unusual if it is at most this far from 0 or 100, so that one value in a hundred is."""

_COMPARED: Final = 2**18
"""The comparisons of quantiles and numbers that are held in memory."""


def percentiles(profile: Profile, distribution: Distribution, values: Array) -> Array:
    """Return the percentiles of values, `(rows, nodes) float64`, in a distribution of a profile.

    The percentile is the percentage of the profile's rows with a smaller value, plus half of those with the same one
    (the mean rank), interpolated between the quantiles. 0 is below and 100 above all that was seen, and no other value
    has them. NaN where a value is not finite, or the node had no finite values.
    """
    return mean_ranks(profile, distribution.quantiles, values)


def mean_ranks(profile: Profile, quantiles: Array, values: Array) -> Array:
    """Return what `percentiles` does, for the nodes of one distribution or of several side by side.

    Args:
        profile: The profile.
        quantiles: `(probabilities, nodes)`: the quantiles of the nodes, or NaN.
        values: `(rows, nodes)`.
    """
    quantiles, numbers = (array.astype(np.float64, copy=False) for array in (quantiles, values))
    probabilities, last = profile.probabilities, len(profile.probabilities) - 1
    smaller, not_larger = _counts(quantiles, numbers)
    low, high = np.maximum(smaller - 1, 0), np.minimum(smaller, last)
    columns = np.arange(numbers.shape[1])
    below, above = quantiles[low, columns] / 2, quantiles[high, columns] / 2
    with np.errstate(all="ignore"):
        # Of halves, since the distance of two finite numbers may be infinite.
        share = (numbers / 2 - below) / (above - below)
        between = probabilities[low] + share * (probabilities[high] - probabilities[low])
    among_equals = (probabilities[high] + probabilities[np.maximum(not_larger - 1, 0)]) / 2
    found: Array = 100 * np.where(not_larger > smaller, among_equals, between)
    half_a_row = min(50 / profile.rows, 50.0)
    found = np.minimum(np.maximum(found, half_a_row), 100 - half_a_row)
    found[not_larger == 0] = 0
    found[smaller > last] = 100
    found[~np.isfinite(numbers) | np.isnan(quantiles[0])] = np.nan
    return found


def _counts(quantiles: Array, numbers: Array) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return how many quantiles are smaller than each number, and how many are not larger."""
    smaller = np.empty(numbers.shape, dtype=np.intp)
    not_larger = np.empty(numbers.shape, dtype=np.intp)
    step = max(_COMPARED // quantiles.size, 1) if quantiles.size else len(numbers)
    for start in range(0, len(numbers), step):
        rows = slice(start, start + step)
        smaller[rows] = (quantiles[:, np.newaxis] < numbers[rows]).sum(axis=0)
        not_larger[rows] = (quantiles[:, np.newaxis] <= numbers[rows]).sum(axis=0)
    return smaller, not_larger


def find_unusual(trace: TraceValues, row: int) -> tuple[UnusualValue, ...]:
    """Return the unusual values of a row of a trace, the most unusual first; without percentiles none.

    Raises:
        IndexError: The trace has no such row.
    """
    if not 0 <= row < len(trace.outputs):
        raise IndexError(f"row is {row}; the trace has {len(trace.outputs)} rows, counted from 0")
    parts = [("inputs", trace.input_names, trace.inputs, trace.input_percentiles)]
    parts += [(layer.name, layer.nodes, layer.activation, layer.percentiles) for layer in trace.layers]
    parts += [("outputs", trace.output_names, trace.outputs, trace.output_percentiles)]

    def found() -> Iterator[UnusualValue]:
        for layer, nodes, values, ranks in parts:
            if ranks is not None:
                for node in np.flatnonzero(np.minimum(ranks[row], 100 - ranks[row]) <= TAIL).tolist():
                    rank = float(ranks[row, node])
                    yield UnusualValue(layer=layer, node=nodes[node], value=float(values[row, node]), percentile=rank)

    return tuple(sorted(found(), key=lambda value: min(value.percentile, 100 - value.percentile)))


def describe(value: UnusualValue, rows: int) -> str:
    """Return how unusual a value is, in words.

    Args:
        value: The value.
        rows: The number of rows of the profile.
    """
    high = value.percentile > 50
    if value.is_outside:
        return f"{'above' if high else 'below'} all {rows:,} rows"
    return f"in the {'highest' if high else 'lowest'} {min(value.percentile, 100 - value.percentile):.2g} %"


def marks_of(trace: TraceValues, row: int) -> dict[str, dict[str, str]]:
    """Return the unusual values of a row in words, by layer and node, for a picture."""
    marks: dict[str, dict[str, str]] = {}
    for value in find_unusual(trace, row):
        marks.setdefault(value.layer, {})[value.node] = f"unusual: {describe(value, trace.profile_rows)} of the profile"
    return marks
