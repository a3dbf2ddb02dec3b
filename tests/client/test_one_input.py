"""A network with one input takes each number of one axis as a row, and a number alone as one, in every method."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
import pytest
from forwardpass import Client, Prediction, StreamRequest, errors, spec
from forwardpass.compare import compare

from tests.support.server_process import ServerProcess

NAME: Final = "one-input"
SPEC: Final = {
    "format": spec.FORMAT,
    "inputs": ["x"],
    "layers": [{"weights": [[2.0]], "bias": [1.0]}],
    "examples": [{"inputs": 5.0, "outputs": [11.0]}, {"inputs": [3], "outputs": [7.0]}],
}


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "coalesce"])
def client(request: pytest.FixtureRequest, server: ServerProcess) -> Iterator[Client]:
    with Client(server.address, coalesce=request.param) as connected:
        connected.register(NAME, SPEC)
        yield connected


def outputs(predictions: Iterable[Prediction | errors.ForwardpassError]) -> list[list[float]]:
    rows: list[list[float]] = []
    for prediction in predictions:
        if isinstance(prediction, errors.ForwardpassError):
            raise prediction
        rows += prediction.outputs.tolist()
    return rows


METHODS: Mapping[str, Callable[[Client, Any], list[list[float]]]] = {
    "predict": lambda client, rows: client.predict(NAME, rows).outputs.tolist(),
    "trace": lambda client, rows: client.trace(NAME, rows).outputs.tolist(),
    "predict_many": lambda client, rows: outputs(client.predict_many([StreamRequest(network=NAME, rows=rows)])),
    "predict_stream": lambda client, rows: outputs(
        response for _, response in client.predict_stream([StreamRequest(network=NAME, rows=rows)])
    ),
    "predict_batches": lambda client, rows: outputs(client.predict_batches(NAME, rows if np.ndim(rows) else [rows])),
}
ROWS: Mapping[str, tuple[Any, list[float]]] = {
    "a number": (5.0, [11.0]),
    "a number of numpy": (np.float32(5), [11.0]),
    "an array without axes": (np.array(5.0), [11.0]),
    "a list of one": ([3], [7.0]),
    "a list of three": ([1, 2, 3.0], [3.0, 5.0, 7.0]),
    "an array of three": (np.array([1.0, 2.0, 3.0]), [3.0, 5.0, 7.0]),
    "rows of one": ([[1.0], [2.0], [3.0]], [3.0, 5.0, 7.0]),
    "a series": (pd.Series([1.0, 2.0, 3.0], name="x"), [3.0, 5.0, 7.0]),
    "a series without a name": (pd.Series([1.0, 2.0, 3.0]), [3.0, 5.0, 7.0]),
}


@pytest.mark.parametrize(("rows", "expected"), ROWS.values(), ids=ROWS)
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_each_number_is_a_row(
    client: Client, method: Callable[[Client, Any], list[list[float]]], rows: Any, expected: list[float]
) -> None:
    assert method(client, rows) == [[number] for number in expected]


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_three_numbers_in_a_row_are_too_many(
    client: Client, method: Callable[[Client, Any], list[list[float]]]
) -> None:
    with pytest.raises(errors.ShapeMismatchError):
        method(client, np.array([[1.0, 2.0, 3.0]]))


def test_compare_reads_rows_alike(client: Client) -> None:
    assert compare(client, NAME, 1, 1, [1.0, 2.0, 3.0]).rows == 3


def test_an_example_that_is_a_number_is_a_row_of_one() -> None:
    assert spec.parse(SPEC).examples[0].inputs == (5.0,)
    with pytest.raises(errors.InvalidNetworkError, match=r"examples\[0\].inputs: has 1 number"):
        spec.parse({**SPEC, "inputs": 2, "layers": [{"weights": [[2.0, 1.0]]}]})
