"""Rows by name: what does not fit is told, with hints that stay cheap."""

import pytest
from forwardpass.errors import FeatureMismatchError
from forwardpass.v1.prediction_service_pb2 import PredictRequest
from forwardpass.v1.tensor_pb2 import Rows
from forwardpass_server.serving.inputs import read_inputs
from google.protobuf.struct_pb2 import Struct

from tests.support.sample_networks import chain, loaded

NAMES = [f"feature number {index}" for index in range(3_000)]


def faults_of(rows: list[list[str]]) -> list[str]:
    of = loaded(chain([len(NAMES), 1], inputs=NAMES))
    structs = [Struct() for _ in rows]
    for struct, names in zip(structs, rows, strict=True):
        struct.update(dict.fromkeys(names, 1.0))
    with pytest.raises(FeatureMismatchError) as caught:
        read_inputs(PredictRequest(network="sample", rows=Rows(rows=structs)), of)
    return [fault.message for fault in caught.value.faults if "no such feature" in fault.message]


def test_a_typing_error_is_told_with_the_nearest_feature() -> None:
    (message,) = faults_of([[*NAMES, "feature numbre 7"]])
    assert "did you mean 'feature number 7'?" in message


@pytest.mark.parametrize("rows", [1, 5], ids=["in one row", "over the rows"])
def test_many_typing_errors_are_all_told_and_some_with_hints(rows: int) -> None:
    # A hint compares names, which takes a millisecond or more: 300 of them once stopped the server for a minute.
    wrong = [f"feature numbre {index}" for index in range(300)]
    messages = faults_of([[*NAMES, *wrong[row::rows]] for row in range(rows)])
    assert len(messages) >= 100
    assert 1 <= sum("did you mean" in message for message in messages) <= 10
