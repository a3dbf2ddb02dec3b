from forwardpass.v1 import network_pb2 as _network_pb2
from forwardpass.v1 import tensor_pb2 as _tensor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LayerTrace(_message.Message):
    __slots__ = ("name", "nodes", "function", "pre_activation", "activation", "contributions", "bias", "inputs", "merge", "merged", "kind")
    NAME_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    PRE_ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTIONS_FIELD_NUMBER: _ClassVar[int]
    BIAS_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    MERGE_FIELD_NUMBER: _ClassVar[int]
    MERGED_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    name: str
    nodes: _containers.RepeatedScalarFieldContainer[str]
    function: _network_pb2.Activation
    pre_activation: _tensor_pb2.Tensor
    activation: _tensor_pb2.Tensor
    contributions: _tensor_pb2.Tensor
    bias: _tensor_pb2.Tensor
    inputs: _containers.RepeatedScalarFieldContainer[str]
    merge: _network_pb2.Merge
    merged: _tensor_pb2.Tensor
    kind: str
    def __init__(self, name: _Optional[str] = ..., nodes: _Optional[_Iterable[str]] = ..., function: _Optional[_Union[_network_pb2.Activation, _Mapping]] = ..., pre_activation: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., activation: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., contributions: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., bias: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., inputs: _Optional[_Iterable[str]] = ..., merge: _Optional[_Union[_network_pb2.Merge, str]] = ..., merged: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., kind: _Optional[str] = ..., **kwargs) -> None: ...
