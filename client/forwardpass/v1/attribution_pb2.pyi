from forwardpass.v1 import tensor_pb2 as _tensor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AttributionMethod(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ATTRIBUTION_METHOD_UNSPECIFIED: _ClassVar[AttributionMethod]
    ATTRIBUTION_METHOD_GRADIENT: _ClassVar[AttributionMethod]
    ATTRIBUTION_METHOD_INPUT_X_GRADIENT: _ClassVar[AttributionMethod]
    ATTRIBUTION_METHOD_INTEGRATED_GRADIENTS: _ClassVar[AttributionMethod]
    ATTRIBUTION_METHOD_LAYER_CONDUCTANCE: _ClassVar[AttributionMethod]
    ATTRIBUTION_METHOD_FEATURE_ABLATION: _ClassVar[AttributionMethod]
    ATTRIBUTION_METHOD_SHAPLEY_VALUES: _ClassVar[AttributionMethod]

class AttributionScale(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ATTRIBUTION_SCALE_UNSPECIFIED: _ClassVar[AttributionScale]
    ATTRIBUTION_SCALE_OUTPUTS: _ClassVar[AttributionScale]
    ATTRIBUTION_SCALE_LOGITS: _ClassVar[AttributionScale]

class StandardBaseline(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STANDARD_BASELINE_UNSPECIFIED: _ClassVar[StandardBaseline]
    STANDARD_BASELINE_ZEROS: _ClassVar[StandardBaseline]
    STANDARD_BASELINE_MEANS: _ClassVar[StandardBaseline]
ATTRIBUTION_METHOD_UNSPECIFIED: AttributionMethod
ATTRIBUTION_METHOD_GRADIENT: AttributionMethod
ATTRIBUTION_METHOD_INPUT_X_GRADIENT: AttributionMethod
ATTRIBUTION_METHOD_INTEGRATED_GRADIENTS: AttributionMethod
ATTRIBUTION_METHOD_LAYER_CONDUCTANCE: AttributionMethod
ATTRIBUTION_METHOD_FEATURE_ABLATION: AttributionMethod
ATTRIBUTION_METHOD_SHAPLEY_VALUES: AttributionMethod
ATTRIBUTION_SCALE_UNSPECIFIED: AttributionScale
ATTRIBUTION_SCALE_OUTPUTS: AttributionScale
ATTRIBUTION_SCALE_LOGITS: AttributionScale
STANDARD_BASELINE_UNSPECIFIED: StandardBaseline
STANDARD_BASELINE_ZEROS: StandardBaseline
STANDARD_BASELINE_MEANS: StandardBaseline

class Baseline(_message.Message):
    __slots__ = ("standard", "tensor", "rows", "columns")
    STANDARD_FIELD_NUMBER: _ClassVar[int]
    TENSOR_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    standard: StandardBaseline
    tensor: _tensor_pb2.Tensor
    rows: _tensor_pb2.Rows
    columns: _tensor_pb2.Columns
    def __init__(self, standard: _Optional[_Union[StandardBaseline, str]] = ..., tensor: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., rows: _Optional[_Union[_tensor_pb2.Rows, _Mapping]] = ..., columns: _Optional[_Union[_tensor_pb2.Columns, _Mapping]] = ...) -> None: ...

class LayerAttributions(_message.Message):
    __slots__ = ("name", "nodes", "attributions")
    NAME_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTIONS_FIELD_NUMBER: _ClassVar[int]
    name: str
    nodes: _containers.RepeatedScalarFieldContainer[str]
    attributions: _tensor_pb2.Tensor
    def __init__(self, name: _Optional[str] = ..., nodes: _Optional[_Iterable[str]] = ..., attributions: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ...) -> None: ...

class CategoryValues(_message.Message):
    __slots__ = ("feature", "values")
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    feature: str
    values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, feature: _Optional[str] = ..., values: _Optional[_Iterable[str]] = ...) -> None: ...
