"""Percentiles are one field behind a trace's bytes, which stay what they are."""

from dataclasses import replace

import numpy as np
from forwardpass.predictions import LayerTrace, TraceValues
from forwardpass.profiles import Profile, ProfileBuilder, percentiles
from forwardpass.spec import NetworkSpec
from forwardpass.tensors import from_tensor
from forwardpass.v1.prediction_service_pb2 import TraceResponse
from forwardpass_server import core
from forwardpass_server.registry import LoadedVersion
from forwardpass_server.serving.encode.percentiles import percentile_bytes
from forwardpass_server.serving.encode.predict import TraceEncoder
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.sample_networks import graphs, loaded

REVISION = 7


def profile_of(of: LoadedVersion, traced: core.Trace) -> Profile:
    nodes = {layer.name: names for layer, names in zip(of.plan.layers, of.nodes, strict=True)}
    builder = ProfileBuilder()
    builder.add(
        TraceValues(
            outputs=traced.outputs,
            network=of.name,
            version=of.version,
            digest=of.digest,
            output_names=of.output_names,
            inputs=traced.inputs,
            input_names=of.input_names,
            layers=tuple(
                LayerTrace(
                    name=layer.name,
                    nodes=nodes[layer.name],
                    function="",
                    parameters={},
                    inputs=(),
                    pre_activation=layer.pre_activation,
                    activation=layer.activation,
                )
                for layer in traced.layers
            ),
        )
    )
    return builder.finish()


@settings(max_examples=30)
@given(graphs(), st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(0, 2**32 - 1))
def test_percentiles_follow_the_trace(network: NetworkSpec, counts: list[int], seed: int) -> None:
    of = loaded(network)
    rows = np.random.default_rng(seed).standard_normal((sum(counts), of.plan.inputs)).astype(of.plan.dtype)
    traced = core.trace(of.plan, rows)
    profile = profile_of(of, core.trace(of.plan, rows[:1]))
    plain = TraceEncoder(0)(of, traced, [], counts, REVISION)
    compared = TraceEncoder(0, profile)(of, traced, [], counts, REVISION)
    fields = []
    for before, after in zip(plain, compared, strict=True):
        assert after.startswith(before), "the other fields keep their bytes"
        fields.append(TraceResponse.FromString(after[len(before) :]).percentiles)
        parsed = TraceResponse.FromString(after)
        assert parsed.percentiles.rows == 1
        parsed.ClearField("percentiles")
        assert parsed == TraceResponse.FromString(before)
    pairs = [
        (profile.inputs, traced.inputs, [field.inputs for field in fields]),
        (profile.outputs, traced.outputs, [field.outputs for field in fields]),
    ]
    pairs += [
        (distribution, layer.activation, [field.layers[place] for field in fields])
        for place, (distribution, layer) in enumerate(zip(profile.layers, traced.layers, strict=True))
    ]
    for distribution, values, tensors in pairs:
        joined = np.concatenate([*map(from_tensor, tensors)])
        np.testing.assert_array_equal(joined, percentiles(profile, distribution, values))


@settings(max_examples=20)
@given(graphs())
def test_their_bytes_are_judged_before(network: NetworkSpec) -> None:
    of = loaded(network)
    rows = np.ones((50, of.plan.inputs), dtype=of.plan.dtype)
    traced = core.trace(of.plan, rows)
    profile = profile_of(of, traced)
    plain, compared = (TraceEncoder(0, each)(of, traced, [], [50], REVISION)[0] for each in (None, profile))
    judged = percentile_bytes(replace(of, profile=profile), ())
    around = 64 * (2 + len(traced.layers))
    assert 50 * judged <= len(compared) - len(plain) <= 50 * judged + around
    assert percentile_bytes(of, ()) == 0
