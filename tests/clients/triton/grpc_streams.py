"""`tritonclient.grpc`: streams."""

import queue
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as protocol
from tritonclient.grpc import InferenceServerClient

from tests.clients.place import Place
from tests.clients.triton.tensors import check, check_layers, requested_outputs, tensor


class Stream:
    """A stream of one client, and what came back on it."""

    def __init__(self, client: InferenceServerClient, **options: Any) -> None:
        self._client = client
        self._came: queue.Queue[tuple[Any, Any]] = queue.Queue()
        client.start_stream(callback=lambda result, error: self._came.put((result, error)), **options)

    def send(self, name: str, rows: Any, **options: Any) -> None:
        self._client.async_stream_infer(name, [tensor(protocol, rows)], **options)

    def next(self) -> tuple[Any, Any]:
        return self._came.get(timeout=120)

    def stop(self, **options: bool) -> None:
        self._client.stop_stream(**options)
        assert self._came.empty()


@pytest.fixture
def client(place: Place) -> Iterator[InferenceServerClient]:
    with InferenceServerClient(place.grpc) as client:
        yield client


@pytest.fixture
def stream(client: InferenceServerClient) -> Iterator[Stream]:
    stream = Stream(client)
    yield stream
    stream.stop()


def test_answers_come_in_order(stream: Stream, place: Place) -> None:
    responses = place.networks["classifier"]
    rows, expected = responses.array(responses.inputs), responses.array(responses.outputs)
    for index in range(500):
        at = index % len(rows)
        stream.send("classifier", rows[at : at + 1], request_id=str(index))
    for index in range(500):
        result, error = stream.next()
        assert error is None
        assert result.get_response().id == str(index)
        assert result.as_numpy("outputs").tobytes() == expected[index % len(rows)].tobytes()


def test_an_error_is_an_answer_and_the_stream_goes_on(stream: Stream) -> None:
    requests = [
        ("doubled", np.array([[1.0, 2.0]]), "[[6.]]"),
        ("nobody", np.array([[1.0, 2.0]]), "Request for unknown model: 'nobody' is not found"),
        ("doubled", np.array([[1.0, 2.0, 3.0]]), "unexpected shape for input 'inputs' for model 'doubled'"),
        ("doubled", np.array([[2.0, 2.0]]), "[[8.]]"),
    ]
    for name, rows, _ in requests:
        stream.send(name, rows)
    for _, _, words in requests:
        result, error = stream.next()
        assert words in (str(result.as_numpy("outputs")) if error is None else error.message())


def test_whole_batches_layers_and_versions(stream: Stream, place: Place) -> None:
    responses = place.networks["wide"]
    rows = responses.array(responses.inputs)
    stream.send("wide", rows)
    stream.send("wide", rows, outputs=requested_outputs(protocol, *responses.layers))
    stream.send("doubled", np.array([[1.0, 2.0]]), model_version="stable")
    check(stream.next()[0], responses)
    check_layers(stream.next()[0], responses)
    assert stream.next()[0].as_numpy("outputs") == 3


@pytest.mark.parametrize("requested", [False, True])
def test_the_only_response_is_the_final_one(stream: Stream, requested: bool) -> None:
    for _ in range(3):
        stream.send("doubled", np.array([[1.0, 2.0]]), enable_empty_final_response=requested)
    for _ in range(3):
        result, error = stream.next()
        assert error is None
        assert result.as_numpy("outputs") == 6
        assert result.get_response().parameters["triton_final_response"].bool_param


def test_a_stream_with_compression_and_one_that_is_given_up(client: InferenceServerClient) -> None:
    stream = Stream(client, compression_algorithm="gzip")
    stream.send("doubled", np.ones((5_000, 2)))
    assert (stream.next()[0].as_numpy("outputs") == 4).all()
    stream.stop()
    given_up = Stream(client)
    given_up.send("doubled", np.ones((1, 2)))
    assert given_up.next()[1] is None
    client.stop_stream(cancel_requests=True)
    again = Stream(client)
    again.send("doubled", np.ones((1, 2)))
    assert again.next()[0].as_numpy("outputs") == 4
    again.stop()


def test_a_stream_whose_time_is_over(client: InferenceServerClient) -> None:
    stream = Stream(client, stream_timeout=0.5)
    while (error := stream.next()[1]) is None:
        pass
    assert error.status() == "StatusCode.DEADLINE_EXCEEDED"
    client.stop_stream()
    assert client.infer("doubled", [tensor(protocol, np.ones((1, 2)))]).as_numpy("outputs") == 4
