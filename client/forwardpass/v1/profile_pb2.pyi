from forwardpass.v1 import tensor_pb2 as _tensor_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Profile(_message.Message):
    __slots__ = ("rows", "rank_error", "probabilities", "inputs", "layers", "outputs")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    RANK_ERROR_FIELD_NUMBER: _ClassVar[int]
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    rows: int
    rank_error: float
    probabilities: _containers.RepeatedScalarFieldContainer[float]
    inputs: Distribution
    layers: _containers.RepeatedCompositeFieldContainer[Distribution]
    outputs: Distribution
    def __init__(self, rows: _Optional[int] = ..., rank_error: _Optional[float] = ..., probabilities: _Optional[_Iterable[float]] = ..., inputs: _Optional[_Union[Distribution, _Mapping]] = ..., layers: _Optional[_Iterable[_Union[Distribution, _Mapping]]] = ..., outputs: _Optional[_Union[Distribution, _Mapping]] = ...) -> None: ...

class Distribution(_message.Message):
    __slots__ = ("name", "nodes", "quantiles", "means", "zeros", "non_finite")
    NAME_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    QUANTILES_FIELD_NUMBER: _ClassVar[int]
    MEANS_FIELD_NUMBER: _ClassVar[int]
    ZEROS_FIELD_NUMBER: _ClassVar[int]
    NON_FINITE_FIELD_NUMBER: _ClassVar[int]
    name: str
    nodes: _containers.RepeatedScalarFieldContainer[str]
    quantiles: _tensor_pb2.Tensor
    means: _tensor_pb2.Tensor
    zeros: _tensor_pb2.Tensor
    non_finite: _tensor_pb2.Tensor
    def __init__(self, name: _Optional[str] = ..., nodes: _Optional[_Iterable[str]] = ..., quantiles: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., means: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., zeros: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., non_finite: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ...) -> None: ...

class ProfileSummary(_message.Message):
    __slots__ = ("rows", "set_time")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    SET_TIME_FIELD_NUMBER: _ClassVar[int]
    rows: int
    set_time: _timestamp_pb2.Timestamp
    def __init__(self, rows: _Optional[int] = ..., set_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Percentiles(_message.Message):
    __slots__ = ("rows", "inputs", "layers", "outputs")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    rows: int
    inputs: _tensor_pb2.Tensor
    layers: _containers.RepeatedCompositeFieldContainer[_tensor_pb2.Tensor]
    outputs: _tensor_pb2.Tensor
    def __init__(self, rows: _Optional[int] = ..., inputs: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., layers: _Optional[_Iterable[_Union[_tensor_pb2.Tensor, _Mapping]]] = ..., outputs: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ...) -> None: ...
