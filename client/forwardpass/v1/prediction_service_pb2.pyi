from forwardpass.v1 import attribution_pb2 as _attribution_pb2
from forwardpass.v1 import network_pb2 as _network_pb2
from forwardpass.v1 import options_pb2 as _options_pb2
from forwardpass.v1 import profile_pb2 as _profile_pb2
from forwardpass.v1 import tensor_pb2 as _tensor_pb2
from forwardpass.v1 import trace_pb2 as _trace_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.rpc import status_pb2 as _status_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PredictRequest(_message.Message):
    __slots__ = ("network", "version", "tensor", "rows", "columns", "top_k", "min_revision")
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TENSOR_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    MIN_REVISION_FIELD_NUMBER: _ClassVar[int]
    network: str
    version: str
    tensor: _tensor_pb2.Tensor
    rows: _tensor_pb2.Rows
    columns: _tensor_pb2.Columns
    top_k: int
    min_revision: int
    def __init__(self, network: _Optional[str] = ..., version: _Optional[str] = ..., tensor: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., rows: _Optional[_Union[_tensor_pb2.Rows, _Mapping]] = ..., columns: _Optional[_Union[_tensor_pb2.Columns, _Mapping]] = ..., top_k: _Optional[int] = ..., min_revision: _Optional[int] = ...) -> None: ...

class PredictResponse(_message.Message):
    __slots__ = ("outputs", "network", "version", "digest", "output_names", "classifications", "numerics", "warnings", "warning_count", "revision")
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_NAMES_FIELD_NUMBER: _ClassVar[int]
    CLASSIFICATIONS_FIELD_NUMBER: _ClassVar[int]
    NUMERICS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    WARNING_COUNT_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    outputs: _tensor_pb2.Tensor
    network: str
    version: int
    digest: str
    output_names: _containers.RepeatedScalarFieldContainer[str]
    classifications: _containers.RepeatedCompositeFieldContainer[Classification]
    numerics: _network_pb2.Numerics
    warnings: _containers.RepeatedCompositeFieldContainer[InputWarning]
    warning_count: int
    revision: int
    def __init__(self, outputs: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., network: _Optional[str] = ..., version: _Optional[int] = ..., digest: _Optional[str] = ..., output_names: _Optional[_Iterable[str]] = ..., classifications: _Optional[_Iterable[_Union[Classification, _Mapping]]] = ..., numerics: _Optional[_Union[_network_pb2.Numerics, str]] = ..., warnings: _Optional[_Iterable[_Union[InputWarning, _Mapping]]] = ..., warning_count: _Optional[int] = ..., revision: _Optional[int] = ...) -> None: ...

class Classification(_message.Message):
    __slots__ = ("label", "probability", "chosen", "top")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    CHOSEN_FIELD_NUMBER: _ClassVar[int]
    TOP_FIELD_NUMBER: _ClassVar[int]
    label: str
    probability: float
    chosen: _containers.RepeatedScalarFieldContainer[str]
    top: _containers.RepeatedCompositeFieldContainer[ClassProbability]
    def __init__(self, label: _Optional[str] = ..., probability: _Optional[float] = ..., chosen: _Optional[_Iterable[str]] = ..., top: _Optional[_Iterable[_Union[ClassProbability, _Mapping]]] = ...) -> None: ...

class ClassProbability(_message.Message):
    __slots__ = ("label", "probability")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    label: str
    probability: float
    def __init__(self, label: _Optional[str] = ..., probability: _Optional[float] = ...) -> None: ...

class InputWarning(_message.Message):
    __slots__ = ("row", "feature", "value", "message")
    ROW_FIELD_NUMBER: _ClassVar[int]
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    row: int
    feature: str
    value: float
    message: str
    def __init__(self, row: _Optional[int] = ..., feature: _Optional[str] = ..., value: _Optional[float] = ..., message: _Optional[str] = ...) -> None: ...

class PredictStreamRequest(_message.Message):
    __slots__ = ("id", "request")
    ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    id: str
    request: PredictRequest
    def __init__(self, id: _Optional[str] = ..., request: _Optional[_Union[PredictRequest, _Mapping]] = ...) -> None: ...

class PredictStreamResponse(_message.Message):
    __slots__ = ("id", "response", "error")
    ID_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    id: str
    response: PredictResponse
    error: _status_pb2.Status
    def __init__(self, id: _Optional[str] = ..., response: _Optional[_Union[PredictResponse, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class PredictManyRequest(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[PredictRequest]
    def __init__(self, requests: _Optional[_Iterable[_Union[PredictRequest, _Mapping]]] = ...) -> None: ...

class PredictManyResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[PredictResult]
    def __init__(self, results: _Optional[_Iterable[_Union[PredictResult, _Mapping]]] = ...) -> None: ...

class PredictResult(_message.Message):
    __slots__ = ("response", "error")
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    response: PredictResponse
    error: _status_pb2.Status
    def __init__(self, response: _Optional[_Union[PredictResponse, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class TraceRequest(_message.Message):
    __slots__ = ("network", "version", "tensor", "rows", "columns", "layers", "contributions", "top_k", "percentiles", "min_revision")
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TENSOR_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTIONS_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    PERCENTILES_FIELD_NUMBER: _ClassVar[int]
    MIN_REVISION_FIELD_NUMBER: _ClassVar[int]
    network: str
    version: str
    tensor: _tensor_pb2.Tensor
    rows: _tensor_pb2.Rows
    columns: _tensor_pb2.Columns
    layers: _containers.RepeatedScalarFieldContainer[str]
    contributions: bool
    top_k: int
    percentiles: bool
    min_revision: int
    def __init__(self, network: _Optional[str] = ..., version: _Optional[str] = ..., tensor: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., rows: _Optional[_Union[_tensor_pb2.Rows, _Mapping]] = ..., columns: _Optional[_Union[_tensor_pb2.Columns, _Mapping]] = ..., layers: _Optional[_Iterable[str]] = ..., contributions: bool = ..., top_k: _Optional[int] = ..., percentiles: bool = ..., min_revision: _Optional[int] = ...) -> None: ...

class TraceResponse(_message.Message):
    __slots__ = ("outputs", "network", "version", "digest", "output_names", "classifications", "inputs", "input_names", "layers", "numerics", "warnings", "warning_count", "percentiles", "revision")
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_NAMES_FIELD_NUMBER: _ClassVar[int]
    CLASSIFICATIONS_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    INPUT_NAMES_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    NUMERICS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    WARNING_COUNT_FIELD_NUMBER: _ClassVar[int]
    PERCENTILES_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    outputs: _tensor_pb2.Tensor
    network: str
    version: int
    digest: str
    output_names: _containers.RepeatedScalarFieldContainer[str]
    classifications: _containers.RepeatedCompositeFieldContainer[Classification]
    inputs: _tensor_pb2.Tensor
    input_names: _containers.RepeatedScalarFieldContainer[str]
    layers: _containers.RepeatedCompositeFieldContainer[_trace_pb2.LayerTrace]
    numerics: _network_pb2.Numerics
    warnings: _containers.RepeatedCompositeFieldContainer[InputWarning]
    warning_count: int
    percentiles: _profile_pb2.Percentiles
    revision: int
    def __init__(self, outputs: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., network: _Optional[str] = ..., version: _Optional[int] = ..., digest: _Optional[str] = ..., output_names: _Optional[_Iterable[str]] = ..., classifications: _Optional[_Iterable[_Union[Classification, _Mapping]]] = ..., inputs: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., input_names: _Optional[_Iterable[str]] = ..., layers: _Optional[_Iterable[_Union[_trace_pb2.LayerTrace, _Mapping]]] = ..., numerics: _Optional[_Union[_network_pb2.Numerics, str]] = ..., warnings: _Optional[_Iterable[_Union[InputWarning, _Mapping]]] = ..., warning_count: _Optional[int] = ..., percentiles: _Optional[_Union[_profile_pb2.Percentiles, _Mapping]] = ..., revision: _Optional[int] = ...) -> None: ...

class ExplainRequest(_message.Message):
    __slots__ = ("network", "version", "tensor", "rows", "columns", "layers", "method", "outputs", "baseline", "min_revision", "scale", "tolerance", "max_steps", "samples", "seed")
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TENSOR_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    MIN_REVISION_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    MAX_STEPS_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    network: str
    version: str
    tensor: _tensor_pb2.Tensor
    rows: _tensor_pb2.Rows
    columns: _tensor_pb2.Columns
    layers: _containers.RepeatedScalarFieldContainer[str]
    method: _attribution_pb2.AttributionMethod
    outputs: _containers.RepeatedScalarFieldContainer[str]
    baseline: _attribution_pb2.Baseline
    min_revision: int
    scale: _attribution_pb2.AttributionScale
    tolerance: float
    max_steps: int
    samples: int
    seed: int
    def __init__(self, network: _Optional[str] = ..., version: _Optional[str] = ..., tensor: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., rows: _Optional[_Union[_tensor_pb2.Rows, _Mapping]] = ..., columns: _Optional[_Union[_tensor_pb2.Columns, _Mapping]] = ..., layers: _Optional[_Iterable[str]] = ..., method: _Optional[_Union[_attribution_pb2.AttributionMethod, str]] = ..., outputs: _Optional[_Iterable[str]] = ..., baseline: _Optional[_Union[_attribution_pb2.Baseline, _Mapping]] = ..., min_revision: _Optional[int] = ..., scale: _Optional[_Union[_attribution_pb2.AttributionScale, str]] = ..., tolerance: _Optional[float] = ..., max_steps: _Optional[int] = ..., samples: _Optional[int] = ..., seed: _Optional[int] = ...) -> None: ...

class ExplainResponse(_message.Message):
    __slots__ = ("outputs", "network", "version", "digest", "output_names", "classifications", "input_values", "input_names", "layers", "numerics", "warnings", "warning_count", "attributions", "explained_outputs", "revision", "explained_values", "baseline_outputs", "completeness_error", "standard_error", "steps", "converged", "category_values", "method", "scale", "output_classes")
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_NAMES_FIELD_NUMBER: _ClassVar[int]
    CLASSIFICATIONS_FIELD_NUMBER: _ClassVar[int]
    INPUT_VALUES_FIELD_NUMBER: _ClassVar[int]
    INPUT_NAMES_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    NUMERICS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    WARNING_COUNT_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTIONS_FIELD_NUMBER: _ClassVar[int]
    EXPLAINED_OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    EXPLAINED_VALUES_FIELD_NUMBER: _ClassVar[int]
    BASELINE_OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    COMPLETENESS_ERROR_FIELD_NUMBER: _ClassVar[int]
    STANDARD_ERROR_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    CONVERGED_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_VALUES_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_CLASSES_FIELD_NUMBER: _ClassVar[int]
    outputs: _tensor_pb2.Tensor
    network: str
    version: int
    digest: str
    output_names: _containers.RepeatedScalarFieldContainer[str]
    classifications: _containers.RepeatedCompositeFieldContainer[Classification]
    input_values: _tensor_pb2.Tensor
    input_names: _containers.RepeatedScalarFieldContainer[str]
    layers: _containers.RepeatedCompositeFieldContainer[_attribution_pb2.LayerAttributions]
    numerics: _network_pb2.Numerics
    warnings: _containers.RepeatedCompositeFieldContainer[InputWarning]
    warning_count: int
    attributions: _tensor_pb2.Tensor
    explained_outputs: _containers.RepeatedScalarFieldContainer[int]
    revision: int
    explained_values: _tensor_pb2.Tensor
    baseline_outputs: _tensor_pb2.Tensor
    completeness_error: _tensor_pb2.Tensor
    standard_error: _tensor_pb2.Tensor
    steps: _containers.RepeatedScalarFieldContainer[int]
    converged: _containers.RepeatedScalarFieldContainer[bool]
    category_values: _containers.RepeatedCompositeFieldContainer[_attribution_pb2.CategoryValues]
    method: _attribution_pb2.AttributionMethod
    scale: _attribution_pb2.AttributionScale
    output_classes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, outputs: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., network: _Optional[str] = ..., version: _Optional[int] = ..., digest: _Optional[str] = ..., output_names: _Optional[_Iterable[str]] = ..., classifications: _Optional[_Iterable[_Union[Classification, _Mapping]]] = ..., input_values: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., input_names: _Optional[_Iterable[str]] = ..., layers: _Optional[_Iterable[_Union[_attribution_pb2.LayerAttributions, _Mapping]]] = ..., numerics: _Optional[_Union[_network_pb2.Numerics, str]] = ..., warnings: _Optional[_Iterable[_Union[InputWarning, _Mapping]]] = ..., warning_count: _Optional[int] = ..., attributions: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., explained_outputs: _Optional[_Iterable[int]] = ..., revision: _Optional[int] = ..., explained_values: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., baseline_outputs: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., completeness_error: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., standard_error: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., steps: _Optional[_Iterable[int]] = ..., converged: _Optional[_Iterable[bool]] = ..., category_values: _Optional[_Iterable[_Union[_attribution_pb2.CategoryValues, _Mapping]]] = ..., method: _Optional[_Union[_attribution_pb2.AttributionMethod, str]] = ..., scale: _Optional[_Union[_attribution_pb2.AttributionScale, str]] = ..., output_classes: _Optional[_Iterable[str]] = ...) -> None: ...
