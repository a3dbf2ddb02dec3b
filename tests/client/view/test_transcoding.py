"""Whatever a body or a query has, it becomes a request or an error with a sentence; nothing else is raised."""

import json
import math
from typing import Any

import pytest
from forwardpass.view.bindings import Binding, bindings
from forwardpass.view.errors import GatewayError, error_response
from forwardpass.view.transcoding import estimated_bytes, read_request, to_json
from hypothesis import given
from hypothesis import strategies as st

READS = [binding for binding in bindings() if binding.only_reads]
NAMES = sorted({field.json_name for binding in READS for field in binding.request.DESCRIPTOR.fields})
NESTED = ["rows", "values", "shape", "data", "dtype", "columns", "name", "requests", "tensor"]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["NaN", "AAAA", "-0"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NESTED) | st.text(max_size=4), inner),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=4), VALUES, max_size=4)
BODIES = DOCUMENTS.map(lambda document: json.dumps(document).encode()) | st.binary(max_size=40) | VALUES.map(json.dumps)
QUERIES = st.lists(st.tuples(st.sampled_from(NAMES) | st.text(max_size=4), st.text(max_size=8)), max_size=3)


@given(st.sampled_from(READS), BODIES, QUERIES, st.text(min_size=1, max_size=8))
def test_every_request_is_read_or_rejected(binding: Binding, body: Any, query: Any, name: str) -> None:
    path = {"network": name} if "{network}" in binding.path else {}
    content = body.encode() if isinstance(body, str) else body
    try:
        message = read_request(binding, path, query, content)
    except GatewayError as error:
        response = error_response(error)
        assert response.status_code == 400
        assert json.loads(bytes(response.body))["message"]
    else:
        assert not path or getattr(message, "network") == name  # noqa: B009 - not every message has one


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, -0.0, 0.1 + 0.2, 5e-324, 2.0**1023])
def test_a_number_comes_back_with_its_bits(number: float) -> None:
    (predict,) = [binding for binding in READS if binding.method == "Predict"]
    words = {math.inf: "Infinity", -math.inf: "-Infinity"}
    value = "NaN" if math.isnan(number) else words.get(number, number)
    body = json.dumps({"tensor": {"values": [value]}}).encode()
    message: Any = read_request(predict, {"network": "any"}, [], body)
    assert math.copysign(1, message.tensor.values[0]) == math.copysign(1, number)
    assert message.tensor.values[0] == number or math.isnan(number)
    again: Any = read_request(predict, {"network": "any"}, [], to_json(message))
    assert again.SerializeToString() == message.SerializeToString()


def test_the_estimate_of_objects_is_above_that_of_numbers() -> None:
    numbers, objects = b"[1,1,1]", b"[{},{}]"
    assert len(numbers) < estimated_bytes(numbers) < estimated_bytes(objects)
