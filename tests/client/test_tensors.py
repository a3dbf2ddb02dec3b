"""Tensors that contradict themselves are refused in words, whatever they say."""

import math

import pytest
from forwardpass.errors import DtypeMismatchError, InvalidTensorError
from forwardpass.tensors import from_tensor
from forwardpass.v1.tensor_pb2 import Tensor
from hypothesis import given
from hypothesis import strategies as st

AXES = st.one_of(st.integers(0, 3), st.integers(-1, 2**63 - 1))
TENSORS = st.builds(
    Tensor,
    dtype=st.integers(0, 3),
    shape=st.lists(AXES, max_size=70),
    data=st.binary(max_size=16),
    values=st.lists(st.floats(), max_size=3),
)


@given(TENSORS)
def test_any_tensor_is_an_array_or_a_typed_refusal(tensor: Tensor) -> None:
    try:
        array = from_tensor(tensor)
    except (DtypeMismatchError, InvalidTensorError):
        return
    assert array.shape == (tuple(tensor.shape) or (len(tensor.values),))
    assert array.size == math.prod(array.shape)


@pytest.mark.parametrize(
    "shape",
    [[1] * 65, [0] * 65, [2**62, 0], [2**40, 2**40, 0], [2**63 - 1] * 60_000],
    ids=["many axes", "many empty axes", "long and empty", "long twice and empty", "product of many digits"],
)
def test_a_shape_that_no_array_can_have_is_refused(shape: list[int]) -> None:
    size = 0 if 0 in shape else 8
    with pytest.raises(InvalidTensorError, match=r"tensor\.shape"):
        from_tensor(Tensor(dtype="DATA_TYPE_FLOAT64", shape=shape, data=bytes(size)))
