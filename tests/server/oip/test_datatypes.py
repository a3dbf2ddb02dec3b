"""Elements become a network's numbers exactly, or are refused by name and place."""

import numpy as np
import numpy.typing as npt
import pytest
from forwardpass.errors import InvalidTensorError
from forwardpass_server.oip.datatypes import DATATYPE_NAMES, DATATYPES, from_contents, from_raw, to_dtype
from forwardpass_server.oip.v2.inference_pb2 import InferTensorContents
from hypothesis import given
from hypothesis import strategies as st

from tests.support.infer_requests import NUMPY, TYPED, elements

WHOLE = sorted(name for name, dtype in NUMPY.items() if np.dtype(dtype).kind in "iu")
DTYPES = [np.dtype("float32"), np.dtype("float64")]


def is_held(value: int, dtype: npt.DTypeLike) -> bool:
    """Whether a whole number is one of a dtype's, by whole numbers of any size."""
    return int(np.dtype(dtype).type(value)) == value


@given(data=st.data(), datatype=st.sampled_from(WHOLE), dtype=st.sampled_from(DTYPES))
def test_whole_numbers_stay_themselves_or_are_refused(
    data: st.DataObject, datatype: str, dtype: np.dtype[np.float64]
) -> None:
    given_ones = data.draw(elements(datatype, 3))
    wrong = [value for value in given_ones.tolist() if not is_held(value, dtype)]
    try:
        numbers = to_dtype(given_ones, dtype, "rows")
    except InvalidTensorError as error:
        assert wrong
        assert f"input 'rows' has the element {wrong[0]}, which {dtype.name} cannot hold exactly" in error.message
    else:
        assert not wrong
        assert numbers.dtype == dtype
        assert [int(number) for number in numbers] == given_ones.tolist()


@pytest.mark.parametrize(
    ("value", "datatype", "dtype", "held"),
    [
        (2**53, "INT64", "float64", True),
        (2**53 + 1, "INT64", "float64", False),
        (2**53 + 2, "INT64", "float64", True),
        (-(2**53) - 1, "INT64", "float64", False),
        (-(2**63), "INT64", "float64", True),
        (2**63 - 1, "INT64", "float64", False),
        (2**63 - 1024, "INT64", "float64", True),
        (2**64 - 1, "UINT64", "float64", False),
        (2**64 - 2048, "UINT64", "float64", True),
        (2**24 + 1, "INT32", "float32", False),
        (2**24 + 2, "INT32", "float32", True),
        (2**24 + 1, "INT32", "float64", True),
        (2**31 - 1, "INT32", "float32", False),
        (2**32 - 1, "UINT32", "float32", False),
        (2**63 - 1, "INT64", "float32", False),
        (2**64 - 1, "UINT64", "float32", False),
        (-128, "INT8", "float32", True),
        (65535, "UINT16", "float32", True),
    ],
)
def test_the_edges_of_what_is_held(value: int, datatype: str, dtype: str, held: bool) -> None:
    assert is_held(value, dtype) is held
    whole = np.array([value], dtype=NUMPY[datatype])
    if held:
        assert int(to_dtype(whole, np.dtype(dtype), "x")[0]) == value
    else:
        with pytest.raises(InvalidTensorError, match=f"input 'x' has the element {value}, which {dtype} cannot hold"):
            to_dtype(whole, np.dtype(dtype), "x")


@pytest.mark.parametrize("datatype", sorted(TYPED))
@given(data=st.data())
def test_typed_contents_are_the_same_elements_as_raw_ones(datatype: str, data: st.DataObject) -> None:
    values = data.draw(elements(datatype, 4))
    contents = InferTensorContents()
    getattr(contents, TYPED[datatype]).extend(values.tolist())
    typed = from_contents(contents, DATATYPES[datatype], 4, "x")
    raw = from_raw(values.tobytes(), DATATYPES[datatype], 4, "x")
    assert typed.dtype == raw.dtype
    assert typed.tobytes() == raw.tobytes() == values.tobytes()


@pytest.mark.parametrize(
    ("datatype", "value"),
    [("INT8", 128), ("INT8", -129), ("INT16", 40_000), ("UINT8", 256), ("UINT16", 65_536)],
)
def test_typed_contents_beyond_their_datatype_are_refused(datatype: str, value: int) -> None:
    contents = InferTensorContents()
    getattr(contents, TYPED[datatype]).extend([1, value])
    with pytest.raises(InvalidTensorError, match=f"input 'x' has the element {value}, which {datatype} cannot hold"):
        from_contents(contents, DATATYPES[datatype], 2, "x")


def test_a_byte_that_is_no_bool_is_refused() -> None:
    assert from_raw(b"\0\1", DATATYPES["BOOL"], 2, "x").tolist() == [False, True]
    with pytest.raises(InvalidTensorError, match="input 'x' has the byte 7 as a BOOL"):
        from_raw(b"\0\1\7", DATATYPES["BOOL"], 3, "x")


@given(numbers=st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=9))
def test_a_bf16_is_the_upper_half_of_an_fp32(numbers: list[float]) -> None:
    whole = np.array(numbers, dtype="<f4").view("<u4")
    read = from_raw((whole >> 16).astype("<u2").tobytes(), DATATYPES["BF16"], len(numbers), "x")
    assert read.tobytes() == (whole & 0xFFFF0000).astype("<u4").view("<f4").tobytes()


def test_every_datatype_of_the_protocol_is_known_and_of_its_size() -> None:
    sizes = {name: np.dtype(dtype).itemsize for name, dtype in NUMPY.items()}
    assert {name: datatype.raw.itemsize for name, datatype in DATATYPES.items()} == {**sizes, "BF16": 2}
    assert {name: datatype.contents for name, datatype in DATATYPES.items() if datatype.contents} == TYPED
    assert {dtype: DATATYPES[name].raw for dtype, name in DATATYPE_NAMES.items()} == {
        dtype: np.dtype(dtype) for dtype in ("float32", "float64")
    }
