"""Requests and responses of the Open Inference Protocol, made and read without its clients."""

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
from forwardpass_server.oip.v2 import inference_pb2 as v2
from hypothesis import strategies as st

INFERENCE = "/inference.GRPCInferenceService/"

NUMPY: Mapping[str, str] = {
    "BOOL": "?",
    "UINT8": "u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
"""numpy's name for the raw elements of each datatype that is a number and that numpy has."""

TYPED: Mapping[str, str] = {
    "BOOL": "bool_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
}
"""The field of typed contents for each datatype that has one."""

Tensor = v2.ModelInferRequest.InferInputTensor


def tensor(
    values: npt.ArrayLike, datatype: str = "FP64", *, name: str = "inputs", typed: bool = False
) -> tuple[Tensor, bytes]:
    """An input and its raw contents, which are empty if they are typed."""
    array = np.asarray(values).astype(NUMPY[datatype])
    made = Tensor(name=name, datatype=datatype, shape=array.shape)
    if typed:
        getattr(made.contents, TYPED[datatype]).extend(array.ravel().tolist())
        return made, b""
    return made, array.tobytes()


def infer_request(model: str, *tensors: tuple[Tensor, bytes], **fields: Any) -> v2.ModelInferRequest:
    """A request; raw contents where an input has none that are typed."""
    outputs = [v2.ModelInferRequest.InferRequestedOutputTensor(name=name) for name in fields.pop("outputs", ())]
    raw = [data for made, data in tensors if not made.HasField("contents")]
    inputs = [made for made, _ in tensors]
    return v2.ModelInferRequest(model_name=model, inputs=inputs, outputs=outputs, raw_input_contents=raw, **fields)


def row_request(model: str, rows: npt.ArrayLike, datatype: str = "FP64", **fields: Any) -> v2.ModelInferRequest:
    """The usual request: one tensor, raw."""
    return infer_request(model, tensor(rows, datatype), **fields)


def outputs_of(response: v2.ModelInferResponse | bytes) -> dict[str, npt.NDArray[Any]]:
    """The outputs of a response by their names; text where the datatype is BYTES."""
    if isinstance(response, bytes):
        response = v2.ModelInferResponse.FromString(response)
    assert len(response.outputs) == len(response.raw_output_contents)
    found: dict[str, npt.NDArray[Any]] = {}
    for output, raw in zip(response.outputs, response.raw_output_contents, strict=True):
        assert not output.HasField("contents")
        array = np.array(texts(raw)) if output.datatype == "BYTES" else np.frombuffer(raw, NUMPY[output.datatype])
        found[output.name] = array.reshape(tuple(output.shape))
    return found


def texts(raw: bytes) -> list[str]:
    """The elements of raw contents of BYTES."""
    found = []
    while raw:
        (length,) = struct.unpack_from("<I", raw)
        found.append(raw[4 : 4 + length].decode())
        raw = raw[4 + length :]
    return found


def parameter(value: object) -> v2.InferParameter:
    """A parameter of a value's own type."""
    if isinstance(value, bool):
        return v2.InferParameter(bool_param=value)
    if isinstance(value, int):
        return v2.InferParameter(int64_param=value)
    if isinstance(value, float):
        return v2.InferParameter(double_param=value)
    return v2.InferParameter(string_param=str(value))


@st.composite
def elements(draw: st.DrawFn, datatype: str, count: int) -> npt.NDArray[Any]:
    """Any elements of a datatype, those at its ends among them; finite."""
    dtype = np.dtype(NUMPY[datatype])
    if dtype.kind == "b":
        values: Sequence[Any] = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    elif dtype.kind == "f":
        width = dtype.itemsize * 8
        assert width in {16, 32, 64}
        some = st.floats(width=width, allow_nan=False, allow_infinity=False)  # type: ignore[arg-type] # one of the three
        values = draw(st.lists(some, min_size=count, max_size=count))
    else:
        held = np.iinfo(dtype)
        near = [0, 2**24, 2**24 + 1, 2**53, 2**53 + 1, int(held.min), int(held.max)]
        some_whole = st.integers(int(held.min), int(held.max)) | st.sampled_from(
            [number for number in near if held.min <= number <= held.max]
        )
        values = draw(st.lists(some_whole, min_size=count, max_size=count))
    return np.array(values, dtype=dtype)


def stub(channel: grpc.Channel) -> Any:
    """Call any method of the service by its name, with a message; return the response as one."""

    class Stub:
        def __getattr__(self, name: str) -> Any:
            method = v2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name[name]
            response = getattr(v2, method.output_type.name)
            call: grpc.UnaryUnaryMultiCallable[Any, Any] = channel.unary_unary(
                f"{INFERENCE}{name}", lambda message: message.SerializeToString(), response.FromString
            )

            def make(**fields: Any) -> Any:
                return call(getattr(v2, method.input_type.name)(**fields), timeout=60)

            return make

    return Stub()
