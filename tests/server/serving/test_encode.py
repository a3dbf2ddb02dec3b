"""Responses written as bytes are those that protobuf would have written of messages."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from forwardpass.numerics import NUMERICS
from forwardpass.spec import Layer, NetworkSpec
from forwardpass.tensors import Array, to_tensor
from forwardpass.v1.network_pb2 import Activation
from forwardpass.v1.network_service_pb2 import UploadHeader
from forwardpass.v1.prediction_service_pb2 import Classification, PredictResponse, TraceResponse
from forwardpass.v1.trace_pb2 import LayerTrace
from forwardpass_server import core
from forwardpass_server.registry import LoadedVersion
from forwardpass_server.serving.encode.predict import encode_predictions, encode_traces
from forwardpass_server.serving.encode.wire import tensor_field, varint
from hypothesis import given
from hypothesis import strategies as st

from tests.support.sample_networks import chain, chains, graphs, loaded

REVISION = 300
COUNTS = st.lists(st.integers(1, 5), min_size=1, max_size=5)


def plain_classifications(of: LoadedVersion, outputs: Array) -> list[Classification]:
    """One output is the probability of the second class; of several, the first highest counts."""
    found = []
    for row in outputs.tolist() if of.classes else []:
        if len(row) == 1:
            second = row[0] >= 0.5
            found.append(Classification(label=of.classes[second], probability=row[0] if second else 1.0 - row[0]))
        else:
            best = max(row)
            found.append(Classification(label=of.classes[row.index(best)], probability=best))
    return found


def plain_predict(of: LoadedVersion, outputs: Array) -> PredictResponse:
    return PredictResponse(
        outputs=to_tensor(outputs),
        network=of.name,
        version=of.version,
        digest=of.digest,
        output_names=of.output_names,
        numerics=NUMERICS[of.numerics],
        revision=REVISION,
        classifications=plain_classifications(of, outputs),
    )


def plain_trace(network: NetworkSpec, of: LoadedVersion, traced: core.Trace, rows: slice) -> TraceResponse:
    message = TraceResponse(
        outputs=to_tensor(traced.outputs[rows]),
        network=of.name,
        version=of.version,
        digest=of.digest,
        output_names=of.output_names,
        numerics=NUMERICS[of.numerics],
        classifications=plain_classifications(of, traced.outputs[rows]),
        revision=REVISION,
        inputs=to_tensor(traced.inputs[rows]),
        input_names=of.input_names,
    )
    by_name = {layer.name: layer for layer in network.layers}
    for layer in traced.layers:
        spec = by_name[layer.name]
        said: dict[str, Any] = {"from": spec.from_}  # a word of Python's own
        message.layers.append(
            LayerTrace(
                name=layer.name,
                nodes=spec.nodes,
                function=Activation(name=spec.activation.name, parameters=spec.activation.parameters),
                pre_activation=to_tensor(layer.pre_activation[rows]),
                activation=to_tensor(layer.activation[rows]),
                contributions=None if layer.contributions is None else to_tensor(layer.contributions[rows]),
                bias=None if layer.bias is None else to_tensor(layer.bias),
                inputs=plain_reads(network, spec),
                kind=spec.kind,
                merge=f"MERGE_{spec.merge.upper()}" if spec.merge else "MERGE_UNSPECIFIED",
                merged=None if layer.merged is None else to_tensor(layer.merged[rows]),
                **said,
            )
        )
    return message


def plain_reads(network: NetworkSpec, layer: Layer) -> list[str]:
    """A layer reads the nodes of one, of several side by side, or of several merged one by one."""
    names = {"inputs": list(network.inputs.names), **{other.name: list(other.nodes) for other in network.layers}}
    for group in network.inputs.groups:
        start = sum(other.width for other in network.inputs.groups[: network.inputs.groups.index(group)])
        names[group.name] = names["inputs"][start : start + group.width]
    sources = [names[name] for name in layer.from_]
    if layer.merge is None or layer.merge == "concatenate":
        return [name for source in sources for name in source]
    return [f"{layer.merge}({', '.join(values)})" for values in zip(*sources, strict=True)]


def spans(counts: Sequence[int]) -> list[slice]:
    ends = np.cumsum(counts).tolist()
    return [slice(end - count, end) for end, count in zip(ends, counts, strict=True)]


def inputs_of(of: LoadedVersion, rows: int, seed: int = 1) -> Array:
    numbers: Array = np.random.default_rng(seed).standard_normal((rows, of.plan.inputs)).astype(of.plan.dtype)
    return numbers


def check_predict(of: LoadedVersion, counts: Sequence[int]) -> list[bytes]:
    outputs = core.forward(of.plan, inputs_of(of, sum(counts)))
    responses = encode_predictions(of, outputs, counts, REVISION)
    plain = [plain_predict(of, outputs[rows]) for rows in spans(counts)]
    assert [PredictResponse.FromString(response) for response in responses] == plain
    assert [len(response) for response in responses] == [message.ByteSize() for message in plain]
    return responses


def check_trace(
    network: NetworkSpec, of: LoadedVersion, counts: Sequence[int], layers: frozenset[str], *, contributions: bool
) -> list[bytes]:
    traced = core.trace(of.plan, inputs_of(of, sum(counts)), layers=layers or None, contributions=contributions)
    responses = encode_traces(of, traced, counts, REVISION)
    plain = [plain_trace(network, of, traced, rows) for rows in spans(counts)]
    assert [TraceResponse.FromString(response) for response in responses] == plain
    return responses


@given(chains() | graphs(), COUNTS)
def test_predictions_are_the_messages_built_plainly(network: NetworkSpec, counts: list[int]) -> None:
    check_predict(loaded(network), counts)


@given(chains() | graphs(), COUNTS, st.data())
def test_traces_are_the_messages_built_plainly(network: NetworkSpec, counts: list[int], data: st.DataObject) -> None:
    names = [layer.name for layer in network.layers]
    layers = data.draw(st.frozensets(st.sampled_from(names)))
    check_trace(network, loaded(network), counts, layers, contributions=data.draw(st.booleans()))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("classes", [True, False], ids=["classes", "plain"])
@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_lengths_of_one_two_and_three_bytes(dtype: str, outputs: int, *, classes: bool) -> None:
    labels = [f"label {label}" for label in range(max(outputs, 2))] if classes else []
    network = chain([3, 4, outputs], dtype=dtype, classes=labels)
    of = loaded(network)
    size = outputs * of.plan.dtype.itemsize
    counts = {count + near for edge in (2**7, 2**14) for count in [edge // size] for near in range(-5, 2)}
    responses = check_predict(of, sorted(count for count in counts if count > 0))
    assert min(map(len, responses)) < 2**14 < max(map(len, responses))
    traced = check_trace(network, of, [1, 5, 2**14 // 12, 2**14 // 8], frozenset(), contributions=True)
    assert max(map(len, traced)) > 2**16


def test_responses_of_many_rows_follow_each_other_at_every_length() -> None:
    of = loaded(chain([1, 1]))
    check_predict(of, range(1, 40))
    check_predict(of, [1] * 300)


def test_a_tie_goes_to_the_first_and_one_half_to_the_second_class() -> None:
    several = loaded(chain([1, 3], classes=["a", "b", "c"]))
    ties = np.array([[0.5, 0.5, 0.1], [0.1, 0.7, 0.7], [0.0, 0.0, 0.0]])
    labels = [
        PredictResponse.FromString(response) for response in encode_predictions(several, ties, [1, 1, 1], REVISION)
    ]
    assert [response.classifications[0].label for response in labels] == ["a", "b", "a"]
    binary = loaded(chain([1, 1], classes=["no", "yes"]))
    (response,) = encode_predictions(binary, np.array([[0.5], [np.nextafter(0.5, 0)]]), [2], REVISION)
    assert [found.label for found in PredictResponse.FromString(response).classifications] == ["yes", "no"]


@given(st.integers(1, 2**63 - 1))
def test_numbers_are_encoded_as_protobuf_does(number: int) -> None:
    assert UploadHeader(size_bytes=number).SerializeToString() == b"\x10" + varint(number)


@given(st.sampled_from(["f4", "f8"]), st.lists(st.integers(0, 70), max_size=3))
def test_a_tensors_head_and_its_data_are_a_tensor(dtype: str, shape: list[int]) -> None:
    array = np.zeros(shape, dtype=dtype)
    whole = tensor_field(1, array.dtype, tuple(shape)) + array.tobytes()
    assert PredictResponse.FromString(whole) == PredictResponse(outputs=to_tensor(array))
