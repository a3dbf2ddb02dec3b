"""Typed features in the Open Inference Protocol: texts, truths, what is missing, and what is said of them."""

from collections.abc import Iterator
from typing import Any

import pytest
from forwardpass.errors import (
    DtypeMismatchError,
    ForwardpassError,
    InvalidFieldError,
    InvalidTensorError,
    OutOfRangeError,
    UnknownCategoryError,
)
from forwardpass_server.oip.model_metadata import configuration, metadata
from forwardpass_server.oip.v2 import inference_pb2 as v2
from forwardpass_server.oip.v2 import model_config_pb2 as config
from forwardpass_server.registry import Registry, SqlStore
from forwardpass_server.serving.encode.wire import varint

from tests.server.oip.test_infer import infer
from tests.support.infer_requests import Tensor, infer_request, outputs_of, row_request, tensor
from tests.support.sample_networks import identity, loaded

LOOSE: list[dict[str, Any]] = [
    {"name": "age", "range": [0, 120], "missing": 40},
    {"name": "city", "kind": "category", "categories": ["Bern", "Zürich"], "unknown": "Bern"},
    {"name": "member", "kind": "boolean", "missing": False},
]
STRICT: list[dict[str, Any]] = [
    {"name": "age", "range": [0, 120], "out_of_range": "refuse"},
    {"name": "city", "kind": "category", "categories": ["Bern", "Zürich"]},
    {"name": "member", "kind": "boolean"},
]


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    """A registry that no test changes."""
    store = SqlStore("sqlite://")
    opened = Registry.open(store)
    opened.register("loose", identity(3, inputs=LOOSE))
    opened.register("strict", identity(3, inputs=STRICT))
    yield opened
    store.close()


def raw_texts(*texts: str) -> bytes:
    encoded = [text.encode() for text in texts]
    return b"".join(len(text).to_bytes(4, "little") + text for text in encoded)


def cities(*texts: str, typed: bool = False, name: str = "city") -> tuple[Tensor, bytes]:
    made = Tensor(name=name, datatype="BYTES", shape=[len(texts)])
    if typed:
        made.contents.bytes_contents.extend(text.encode() for text in texts)
    return made, b"" if typed else raw_texts(*texts)


def ages(*numbers: float, typed: bool = False) -> tuple[Tensor, bytes]:
    return tensor(numbers, name="age", typed=typed)


def members(*truths: bool, typed: bool = False) -> tuple[Tensor, bytes]:
    return tensor(truths, "BOOL", name="member", typed=typed)


@pytest.mark.parametrize("typed", [False, True], ids=["raw", "typed"])
def test_texts_and_truths_are_computed_as_the_matrix_is(registry: Registry, *, typed: bool) -> None:
    by_name = infer_request(
        "strict",
        members(True, False, typed=typed),
        cities("Zürich", "Bern", typed=typed),
        ages(30, 3, typed=typed),
    )
    expected = infer(registry, row_request("strict", [[30, 1, 1], [3, 0, 0]]))
    assert infer(registry, by_name) == expected
    assert outputs_of(expected)["outputs"].tolist() == [[30, 1, 1], [3, 0, 0]]


def test_unknown_and_absent_values_are_filled_with_warnings(registry: Registry) -> None:
    found = infer(registry, infer_request("loose", cities("Zürich", "Basel", "")))
    assert outputs_of(found)["outputs"].tolist() == [[40, 1, 0], [40, 0, 0], [40, 0, 0]]
    assert "warnings" not in found.parameters
    warned = infer(registry, infer_request("loose", cities("Zürich", "Bern"), ages(130, 3)))
    assert outputs_of(warned)["outputs"].tolist() == [[130, 1, 0], [3, 0, 0]]
    assert warned.parameters["warning_count"].int64_param == 1
    line = "row 0: 'age' is 130, which is out of range: from 0 to 120 is in range"
    assert warned.parameters["warnings"].string_param == line


CUT = raw_texts("Bern", "Bern")[:-1]
REFUSED: dict[str, tuple[v2.ModelInferRequest, type[ForwardpassError], str, str]] = {
    "no category": (
        infer_request("strict", ages(1, 2), cities("Bern", "Brn"), members(True, True)),
        UnknownCategoryError,
        "inputs['city'][1]",
        "'Brn'",
    ),
    "out of range": (
        infer_request("strict", ages(1, 121), cities("Bern", "Bern"), members(True, True)),
        OutOfRangeError,
        "inputs['age'][1]",
        "121",
    ),
    "left out": (infer_request("strict", ages(1), cities("Bern")), InvalidFieldError, "inputs", "'member'"),
    "nothing at all": (infer_request("loose"), InvalidFieldError, "inputs", "expected 3 inputs"),
    "texts for a number": (
        infer_request("loose", cities("1", name="age"), cities("Bern")),
        DtypeMismatchError,
        "inputs['age'].datatype",
        "categories",
    ),
    "matrix of texts": (
        infer_request("loose", cities("1", "2", "3", name="inputs")),
        DtypeMismatchError,
        "inputs['inputs'].datatype",
        "categories",
    ),
    "too few": (
        infer_request("loose", (Tensor(name="city", datatype="BYTES", shape=[2]), raw_texts("Bern"))),
        InvalidTensorError,
        "inputs['city']",
        "Expected 2, got 1",
    ),
    "cut within an element": (
        infer_request("loose", (Tensor(name="city", datatype="BYTES", shape=[2]), CUT)),
        InvalidTensorError,
        "inputs['city']",
        "ends within",
    ),
    "cut within a length": (
        infer_request("loose", (Tensor(name="city", datatype="BYTES", shape=[1]), b"\0\0\0")),
        InvalidTensorError,
        "inputs['city']",
        "ends within",
    ),
    "contents of another datatype": (
        infer_request(
            "loose",
            (Tensor(name="city", datatype="BYTES", shape=[1], contents=v2.InferTensorContents(int_contents=[1])), b""),
        ),
        InvalidTensorError,
        "inputs['city']",
        "bytes_contents",
    ),
}


@pytest.mark.parametrize(("request_", "error", "path", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(
    registry: Registry, request_: v2.ModelInferRequest, error: type[ForwardpassError], path: str, words: str
) -> None:
    with pytest.raises(error) as refused:
        infer(registry, request_)
    assert refused.value.faults[0].path == path
    assert words in refused.value.faults[0].message


def test_bytes_that_are_no_text_are_no_category(registry: Registry) -> None:
    made = Tensor(name="city", datatype="BYTES", shape=[1])
    found = infer(registry, infer_request("loose", (made, varint(2) + b"\0\0\0\xff\xfe")))
    assert outputs_of(found)["outputs"].tolist() == [[40, 0, 0]]


def test_metadata_and_configuration_say_what_each_feature_is() -> None:
    of = loaded(identity(3, inputs=STRICT))
    described = metadata(of, [])
    expected = [("age", "FP64", [-1, 1]), ("city", "BYTES", [-1, 1]), ("member", "BOOL", [-1, 1])]
    assert [(each.name, each.datatype, [*each.shape]) for each in described.inputs] == expected
    configured = configuration(of, [], 10)
    kinds = [config.TYPE_FP64, config.TYPE_STRING, config.TYPE_BOOL]
    assert [each.data_type for each in configured.input] == kinds
    plain = metadata(loaded(identity(1, inputs=STRICT[:1])), [])
    assert [(each.name, each.datatype, [*each.shape]) for each in plain.inputs] == [("inputs", "FP64", [-1, 1])]
