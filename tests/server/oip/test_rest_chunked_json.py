"""JSON read and written in pieces is the JSON of the standard library."""

import json
import math
import random
from collections.abc import Callable
from typing import Any

import pytest
from forwardpass_server.oip.rest import chunked_json
from forwardpass_server.oip.rest.chunked_json import RAGGED, FlatArray, dumps, flatten, loads
from hypothesis import given
from hypothesis import strategies as st

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6)
DOCUMENTS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
)


def canonical(value: Any) -> Any:
    """A document with every array as its shape and elements, so that flat and nested ones can be compared."""
    if isinstance(value, dict):
        return {name: canonical(member) for name, member in value.items()}
    if not isinstance(value, list | FlatArray):
        return repr(value)
    flat = flatten(value)
    return flat.shape, [canonical(item) for item in flat.values]


@given(DOCUMENTS, st.sampled_from([None, 1]), st.integers(1, 40), st.sampled_from([(", ", ": "), (",", ":")]))
def test_a_long_text_is_read_as_a_short_one(
    document: Any, indent: int | None, size: int, separators: tuple[str, str]
) -> None:
    text = json.dumps(document, indent=indent, separators=separators)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunked_json, "CHUNK_CHARACTERS", size)
        assert canonical(loads(text.encode())) == canonical(document)


def outcome(read: Callable[[bytes], Any], text: str) -> Any:
    try:
        return canonical(read(text.encode()))
    except ValueError:
        return "refused"


@given(DOCUMENTS, st.data())
def test_a_damaged_long_text_is_refused_as_a_short_one(document: Any, data: st.DataObject) -> None:
    text = json.dumps(document)
    place = data.draw(st.integers(0, len(text)))
    damaged = text[:place] + data.draw(st.sampled_from(["", ",", "]", "[", "}", '"', "1", " "])) + text[place + 1 :]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunked_json, "CHUNK_CHARACTERS", 3)
        assert outcome(loads, damaged) == outcome(json.loads, damaged)


def test_a_matrix_of_many_pieces_comes_flat_and_exact() -> None:
    generator = random.Random(5)
    rows = [[generator.uniform(-1, 1) for _ in range(4)] for _ in range(10_000)]
    read = loads(json.dumps({"inputs": [{"data": rows}]}, indent=1).encode())
    assert read["inputs"][0]["data"] == FlatArray([number for row in rows for number in row], (10_000, 4))


@pytest.mark.parametrize("data", [b"[" * 100, b"[" * 200_000, b'{"a":' * 200_000, b"[" * 100_000 + b"]" * 100_000])
def test_what_is_too_deep_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"deep|Expecting"):
        loads(data)


@pytest.mark.parametrize("array", [[[1], [2, 3]], [[1], 2], [1, [2]], [[[1]], [[2, 3]]]])
def test_ragged_arrays_are_said_to_be_so(array: list[Any]) -> None:
    assert flatten(array) == RAGGED


@given(st.lists(st.floats() | st.text(max_size=3), max_size=20), st.integers(1, 7))
def test_elements_are_written_as_json_writes_them(elements: list[Any], size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunked_json, "CHUNK_ELEMENTS", size)
        written = "".join(dumps(elements))
    assert repr(json.loads(f"[{written}]")) == repr(elements)


def test_numbers_that_are_not_finite_are_pythons_words() -> None:
    assert "".join(dumps([math.nan, math.inf, -math.inf])) == "NaN,Infinity,-Infinity"
