"""The percentiles of a trace: how usual its values are, by the profile of the version."""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
from forwardpass.profiles import mean_ranks
from forwardpass.tensors import to_tensor
from forwardpass.v1.prediction_service_pb2 import TraceResponse
from forwardpass.v1.profile_pb2 import Percentiles

if TYPE_CHECKING:
    from forwardpass.profiles import Distribution, Profile
    from forwardpass.tensors import Array

    from forwardpass_server.core import Trace
    from forwardpass_server.registry import LoadedVersion

_BYTES: Final = 8
"""The bytes of a percentile, which is a float64 whatever the network is."""


def encode_percentiles(profile: "Profile", traced: "Trace", counts: Sequence[int]) -> list[bytes]:
    """Serialize the field `percentiles` of a `TraceResponse` for each request, to be appended to its other fields.

    Args:
        profile: The profile of the version that computed the trace.
        traced: The values of the rows of all requests.
        counts: How many of the rows are each request's.
    """
    known = {layer.name: layer for layer in profile.layers}
    arrays = [traced.inputs, *(layer.activation for layer in traced.layers), traced.outputs]
    parts = [profile.inputs, *(known.get(layer.name) for layer in traced.layers), profile.outputs]
    # All at once: one row of a small network takes longer for each call of numpy than for its numbers.
    quantiles = [_quantiles(profile, part, array.shape[1]) for part, array in zip(parts, arrays, strict=True)]
    found = mean_ranks(profile, np.concatenate(quantiles, axis=1), np.concatenate(arrays, axis=1))
    inputs, *layers, outputs = np.split(found, [*accumulate(array.shape[1] for array in arrays[:-1])], axis=1)
    return [
        TraceResponse(
            percentiles=Percentiles(
                rows=profile.rows,
                inputs=to_tensor(inputs[start:end]),
                layers=[to_tensor(layer[start:end]) for layer in layers],
                outputs=to_tensor(outputs[start:end]),
            )
        ).SerializeToString()
        for start, end in pairwise(accumulate(counts, initial=0))
    ]


def percentile_bytes(loaded: "LoadedVersion", layers: Sequence[str]) -> int:
    """Return the bytes of a row's percentiles in a response; 0 if there are none.

    Args:
        loaded: The version, with its profile if the response has percentiles.
        layers: The names of the layers that the trace shows; empty for all.
    """
    if loaded.profile is None:
        return 0
    plan = loaded.plan
    shown = [layer.outputs for layer in plan.layers if not layers or layer.name in layers]
    return _BYTES * (plan.inputs + sum(shown) + plan.outputs)


def _quantiles(profile: "Profile", distribution: "Distribution | None", nodes: int) -> "Array":
    """Return the quantiles of a distribution; NaN where a layer was not profiled."""
    return np.full((len(profile.probabilities), nodes), np.nan) if distribution is None else distribution.quantiles
