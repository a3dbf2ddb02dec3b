import copy
import pickle
from dataclasses import FrozenInstanceError, fields, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from forwardpass import _responses
from forwardpass.models import (
    Classification,
    Explanation,
    LayerAttributions,
    LayerInfo,
    LayerTrace,
    NetworkChange,
    NetworkInfo,
    Prediction,
    Registered,
    Trace,
    VersionInfo,
)
from forwardpass.tensors import to_tensor
from forwardpass.v1.network_pb2 import NetworkVersion
from forwardpass.v1.prediction_service_pb2 import PredictResponse, TraceResponse

NOW = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


def _prediction(outputs: Any) -> Prediction:
    return Prediction(
        outputs=np.asarray(outputs), network="prices", version=3, digest="ab" * 32, output_names=("price",)
    )


LAYER = LayerTrace(
    name="hidden",
    nodes=("a", "b"),
    function="relu",
    parameters={},
    inputs=("x",),
    pre_activation=np.array([[26.0, -13.0]]),
    activation=np.array([[26.0, 0.0]]),
)
VERSION = VersionInfo(
    network="prices",
    number=1,
    digest="cd" * 32,
    create_time=NOW,
    aliases=("latest",),
    dtype="float64",
    inputs=1,
    features=(),
    layers=(LayerInfo(name="hidden", width=2, function="relu", parameters={}, nodes=("a", "b")),),
    output_names=("a", "b"),
    class_labels=(),
    parameter_count=4,
    size_bytes=300,
    description="",
    metadata={"source": "here"},
    tags=(),
    corrupt=False,
)
NETWORK = NetworkInfo(
    name="prices",
    latest_version=1,
    aliases={"latest": 1},
    version_count=1,
    create_time=NOW,
    update_time=NOW,
    description="",
)
VALUES = [
    Classification(label="yes", probability=0.75),
    _prediction([[9.0]]),
    _prediction([[np.nan]]),
    LAYER,
    Trace(
        outputs=np.array([[26.0, 0.0]]),
        network="prices",
        version=1,
        digest="cd" * 32,
        output_names=("a", "b"),
        inputs=np.array([[1.0]]),
        input_names=("x",),
        layers=(LAYER,),
    ),
    Explanation(
        attributions=np.array([[6.0, 3.0]]),
        method="integrated_gradients",
        outputs=np.array([[9.0]]),
        network="prices",
        version=1,
        digest="cd" * 32,
        output_names=("price",),
        input_names=("rooms", "place"),
        input_values=np.array([[2.0, 1.0]]),
        categories={"place": ("Bern",)},
        explained_outputs=(("price",),),
        explained_values=np.array([9.0]),
        baseline_outputs=np.array([0.0]),
        completeness_error=np.array([0.0]),
        layers=(LayerAttributions(name="hidden", nodes=("a", "b"), attributions=np.array([[9.0, 0.0]])),),
    ),
    VERSION,
    NETWORK,
    Registered(version=VERSION.number, info=VERSION, created=True, revision=1),
    NetworkChange(event="changed", name="prices", network=NETWORK, revision=1),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
class TestEveryValue:
    def test_equals_its_copy_and_hashes_alike(self, value: Any) -> None:
        twin = copy.deepcopy(value)
        assert twin is not value
        assert twin == value
        assert hash(twin) == hash(value)

    def test_can_be_pickled(self, value: Any) -> None:
        assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301 - our own bytes

    def test_cannot_be_changed(self, value: Any) -> None:
        with pytest.raises(FrozenInstanceError):
            setattr(value, fields(value)[0].name, None)

    def test_is_not_anything_else(self, value: Any) -> None:
        assert value != "prices"
        assert value not in (None, 1)

    def test_shows_itself_in_one_line(self, value: Any) -> None:
        shown = repr(value)
        assert shown.startswith(f"{type(value).__name__}(")
        assert "\n" not in shown


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param([[1.0]], [[2.0]], id="number"),
        pytest.param([[0.0]], [[-0.0]], id="sign of zero"),
        pytest.param([[1.0]], [[1.0], [1.0]], id="rows"),
        pytest.param([[1.0]], np.array([[1.0]], dtype=np.float32), id="dtype"),
    ],
)
def test_predictions_differ_by_every_bit(one: Any, other: Any) -> None:
    assert _prediction(one) != _prediction(other)


def test_predictions_differ_by_version() -> None:
    assert _prediction([[1.0]]) != replace(_prediction([[1.0]]), version=4)


def test_large_values_are_shown_short() -> None:
    prediction = replace(_prediction(np.zeros((500, 3))), output_names=tuple(f"output_{index}" for index in range(500)))
    assert "<float64 (500, 3)>" in repr(prediction)
    assert "... 500 in all" in repr(prediction)
    assert len(repr(prediction)) < 250


def test_a_small_prediction_shows_its_numbers() -> None:
    assert "outputs=array([[ 9.], [17.]])" in repr(_prediction([[9.0], [17.0]]))


def test_labels_are_those_of_the_rows() -> None:
    classes = (Classification(label="yes", probability=0.75), Classification(label="no", probability=0.5))
    assert replace(_prediction([[0.75], [0.5]]), classifications=classes).labels == ("yes", "no")
    assert _prediction([[9.0]]).labels == ()


@pytest.mark.parametrize(("number", "numerics"), [(0, "exact"), (1, "exact"), (2, "fast"), (3, "exact")])
def test_a_server_that_does_not_say_its_numerics_is_exact(number: Any, numerics: str) -> None:
    rows = to_tensor([[1.0]])
    assert _responses.prediction(PredictResponse(outputs=rows, numerics=number)).numerics == numerics
    assert _responses.trace(TraceResponse(outputs=rows, inputs=rows, numerics=number)).numerics == numerics
    assert _responses.version(NetworkVersion(numerics=number)).numerics == numerics
