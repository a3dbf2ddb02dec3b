"""Over the wire, under concurrent load: every row has the same bits alone, in a batch, traced, in a stream."""

import itertools
import threading
from collections.abc import Iterator

import grpc
import numpy as np
import pytest
from forwardpass import spec
from forwardpass.tensors import from_tensor, to_tensor
from forwardpass.v1 import prediction_service_pb2 as predictions
from forwardpass.v1.prediction_service_pb2_grpc import PredictionServiceStub

from tests.support.random_graphs import random_graph
from tests.support.raw_grpc import register
from tests.support.server_process import ServerProcess

ROWS = 120


def networks(rng: np.random.Generator) -> Iterator[tuple[str, spec.NetworkSpec]]:
    for index, activation in enumerate(["tanh", "gelu", "softmax", "silu", "sigmoid", "mish"]):
        sizes = rng.integers(1, 90, rng.integers(2, 5)).tolist()
        layers = [
            {"weights": rng.standard_normal((outputs, inputs)), "bias": rng.standard_normal(outputs)}
            | {"activation": activation}
            for inputs, outputs in itertools.pairwise(sizes)
        ]
        document = {"format": spec.FORMAT, "inputs": sizes[0], "layers": layers}
        yield f"bits-{index}", spec.parse({**document, "dtype": "float32" if index % 2 else "float64"})
    for index in range(4):
        yield f"graph-{index}", random_graph(index, "float32" if index % 2 else "float64", widest=90)


def test_the_same_bits_in_every_batch(server: ServerProcess, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(11)
    channel = grpc.insecure_channel(server.address)
    inputs, whole = {}, {}
    for name, network in networks(rng):
        register(channel, name, spec.to_message(network))
        inputs[name] = rng.standard_normal((ROWS, network.inputs.width)).astype(network.dtype)
        request = predictions.PredictRequest(network=name, tensor=to_tensor(inputs[name]))
        whole[name] = from_tensor(PredictionServiceStub(channel).Predict(request).outputs)
    counts = [0, 0]
    lock = threading.Lock()

    def compare(name: str, start: int, end: int, outputs: object) -> None:
        found = from_tensor(outputs)  # type: ignore[arg-type]
        differing = sum(
            one.tobytes() != other.tobytes() for one, other in zip(found, whole[name][start:end], strict=True)
        )
        with lock:
            counts[0] += end - start
            counts[1] += differing

    def call(seed: int) -> None:
        mine = np.random.default_rng(seed)
        stub = PredictionServiceStub(channel)

        def request(name: str) -> tuple[int, int, predictions.PredictRequest]:
            start = int(mine.integers(0, ROWS))
            end = start + 1 if mine.random() < 0.5 else int(mine.integers(start + 1, ROWS + 1))
            tensor = to_tensor(inputs[name][start:end])
            return start, end, predictions.PredictRequest(network=name, tensor=tensor)

        pending = {}
        for index in range(60):
            name = str(mine.choice(list(inputs)))
            start, end, predict = request(name)
            compare(name, start, end, stub.Predict(predict).outputs)
            traced = stub.Trace(predictions.TraceRequest(network=name, tensor=predict.tensor, layers=["layer_0"]))
            compare(name, start, end, traced.outputs)
            pending[f"{index}"] = (name, start, end, predict)
        stream = (predictions.PredictStreamRequest(id=id_, request=ask[-1]) for id_, ask in list(pending.items()))
        for response in stub.PredictStream(stream):
            name, start, end, _ = pending.pop(response.id)
            compare(name, start, end, response.response.outputs)
        assert not pending

    threads = [threading.Thread(target=call, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    channel.close()
    with capsys.disabled():
        print(f"\nover the wire: {counts[0]} comparisons, {counts[1]} differing")
    assert counts[0] >= 10_000
    assert counts[1] == 0
