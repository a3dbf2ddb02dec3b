from forwardpass.v1 import profile_pb2 as _profile_pb2
from forwardpass.v1 import tensor_pb2 as _tensor_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Numerics(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NUMERICS_UNSPECIFIED: _ClassVar[Numerics]
    NUMERICS_EXACT: _ClassVar[Numerics]
    NUMERICS_FAST: _ClassVar[Numerics]

class Merge(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MERGE_UNSPECIFIED: _ClassVar[Merge]
    MERGE_SUM: _ClassVar[Merge]
    MERGE_CONCATENATE: _ClassVar[Merge]
    MERGE_MULTIPLY: _ClassVar[Merge]
    MERGE_MEAN: _ClassVar[Merge]
    MERGE_MAX: _ClassVar[Merge]

class FeatureKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FEATURE_KIND_UNSPECIFIED: _ClassVar[FeatureKind]
    FEATURE_KIND_NUMBER: _ClassVar[FeatureKind]
    FEATURE_KIND_CATEGORY: _ClassVar[FeatureKind]
    FEATURE_KIND_BOOLEAN: _ClassVar[FeatureKind]

class OutOfRange(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUT_OF_RANGE_UNSPECIFIED: _ClassVar[OutOfRange]
    OUT_OF_RANGE_WARN: _ClassVar[OutOfRange]
    OUT_OF_RANGE_REFUSE: _ClassVar[OutOfRange]
NUMERICS_UNSPECIFIED: Numerics
NUMERICS_EXACT: Numerics
NUMERICS_FAST: Numerics
MERGE_UNSPECIFIED: Merge
MERGE_SUM: Merge
MERGE_CONCATENATE: Merge
MERGE_MULTIPLY: Merge
MERGE_MEAN: Merge
MERGE_MAX: Merge
FEATURE_KIND_UNSPECIFIED: FeatureKind
FEATURE_KIND_NUMBER: FeatureKind
FEATURE_KIND_CATEGORY: FeatureKind
FEATURE_KIND_BOOLEAN: FeatureKind
OUT_OF_RANGE_UNSPECIFIED: OutOfRange
OUT_OF_RANGE_WARN: OutOfRange
OUT_OF_RANGE_REFUSE: OutOfRange

class NetworkSpec(_message.Message):
    __slots__ = ("dtype", "inputs", "layers", "output_names", "class_labels", "description", "metadata", "tags", "examples", "allow_non_finite_inputs", "numerics", "output_layers", "outputs", "thresholds")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_NAMES_FIELD_NUMBER: _ClassVar[int]
    CLASS_LABELS_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    ALLOW_NON_FINITE_INPUTS_FIELD_NUMBER: _ClassVar[int]
    NUMERICS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_LAYERS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    THRESHOLDS_FIELD_NUMBER: _ClassVar[int]
    dtype: _tensor_pb2.DataType
    inputs: Inputs
    layers: _containers.RepeatedCompositeFieldContainer[Layer]
    output_names: _containers.RepeatedScalarFieldContainer[str]
    class_labels: _containers.RepeatedScalarFieldContainer[str]
    description: str
    metadata: _containers.ScalarMap[str, str]
    tags: _containers.RepeatedScalarFieldContainer[str]
    examples: _containers.RepeatedCompositeFieldContainer[Example]
    allow_non_finite_inputs: bool
    numerics: Numerics
    output_layers: _containers.RepeatedScalarFieldContainer[str]
    outputs: _containers.RepeatedCompositeFieldContainer[Output]
    thresholds: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, dtype: _Optional[_Union[_tensor_pb2.DataType, str]] = ..., inputs: _Optional[_Union[Inputs, _Mapping]] = ..., layers: _Optional[_Iterable[_Union[Layer, _Mapping]]] = ..., output_names: _Optional[_Iterable[str]] = ..., class_labels: _Optional[_Iterable[str]] = ..., description: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ..., tags: _Optional[_Iterable[str]] = ..., examples: _Optional[_Iterable[_Union[Example, _Mapping]]] = ..., allow_non_finite_inputs: bool = ..., numerics: _Optional[_Union[Numerics, str]] = ..., output_layers: _Optional[_Iterable[str]] = ..., outputs: _Optional[_Iterable[_Union[Output, _Mapping]]] = ..., thresholds: _Optional[_Iterable[float]] = ...) -> None: ...

class Inputs(_message.Message):
    __slots__ = ("width", "features", "groups")
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    width: int
    features: _containers.RepeatedCompositeFieldContainer[Feature]
    groups: _containers.RepeatedCompositeFieldContainer[InputGroup]
    def __init__(self, width: _Optional[int] = ..., features: _Optional[_Iterable[_Union[Feature, _Mapping]]] = ..., groups: _Optional[_Iterable[_Union[InputGroup, _Mapping]]] = ...) -> None: ...

class InputGroup(_message.Message):
    __slots__ = ("name", "width")
    NAME_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    name: str
    width: int
    def __init__(self, name: _Optional[str] = ..., width: _Optional[int] = ...) -> None: ...

class Feature(_message.Message):
    __slots__ = ("name", "mean", "scale", "unit", "description", "kind", "low", "high", "out_of_range", "categories", "missing", "unknown")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    OUT_OF_RANGE_FIELD_NUMBER: _ClassVar[int]
    CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    name: str
    mean: float
    scale: float
    unit: str
    description: str
    kind: FeatureKind
    low: float
    high: float
    out_of_range: OutOfRange
    categories: _containers.RepeatedScalarFieldContainer[str]
    missing: FillValue
    unknown: FillValue
    def __init__(self, name: _Optional[str] = ..., mean: _Optional[float] = ..., scale: _Optional[float] = ..., unit: _Optional[str] = ..., description: _Optional[str] = ..., kind: _Optional[_Union[FeatureKind, str]] = ..., low: _Optional[float] = ..., high: _Optional[float] = ..., out_of_range: _Optional[_Union[OutOfRange, str]] = ..., categories: _Optional[_Iterable[str]] = ..., missing: _Optional[_Union[FillValue, _Mapping]] = ..., unknown: _Optional[_Union[FillValue, _Mapping]] = ...) -> None: ...

class FillValue(_message.Message):
    __slots__ = ("nan", "number", "category")
    NAN_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    nan: bool
    number: float
    category: str
    def __init__(self, nan: bool = ..., number: _Optional[float] = ..., category: _Optional[str] = ...) -> None: ...

class Output(_message.Message):
    __slots__ = ("unit", "description", "scale", "shift")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    SHIFT_FIELD_NUMBER: _ClassVar[int]
    unit: str
    description: str
    scale: float
    shift: float
    def __init__(self, unit: _Optional[str] = ..., description: _Optional[str] = ..., scale: _Optional[float] = ..., shift: _Optional[float] = ...) -> None: ...

class Layer(_message.Message):
    __slots__ = ("name", "weights", "bias", "activation", "nodes", "merge", "mask", "scale_shift", "batch_norm", "layer_norm", "embedding", "one_hot", "bucketize", "lookup", "clip", "impute", "dropout", "take", "pool", "matmul", "elementwise", "group_softmax", "group_sparsemax", "conv", "recurrent")
    NAME_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    BIAS_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    MERGE_FIELD_NUMBER: _ClassVar[int]
    MASK_FIELD_NUMBER: _ClassVar[int]
    SCALE_SHIFT_FIELD_NUMBER: _ClassVar[int]
    BATCH_NORM_FIELD_NUMBER: _ClassVar[int]
    LAYER_NORM_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_FIELD_NUMBER: _ClassVar[int]
    ONE_HOT_FIELD_NUMBER: _ClassVar[int]
    BUCKETIZE_FIELD_NUMBER: _ClassVar[int]
    LOOKUP_FIELD_NUMBER: _ClassVar[int]
    CLIP_FIELD_NUMBER: _ClassVar[int]
    IMPUTE_FIELD_NUMBER: _ClassVar[int]
    DROPOUT_FIELD_NUMBER: _ClassVar[int]
    TAKE_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    MATMUL_FIELD_NUMBER: _ClassVar[int]
    ELEMENTWISE_FIELD_NUMBER: _ClassVar[int]
    GROUP_SOFTMAX_FIELD_NUMBER: _ClassVar[int]
    GROUP_SPARSEMAX_FIELD_NUMBER: _ClassVar[int]
    CONV_FIELD_NUMBER: _ClassVar[int]
    RECURRENT_FIELD_NUMBER: _ClassVar[int]
    name: str
    weights: _tensor_pb2.Tensor
    bias: _tensor_pb2.Tensor
    activation: Activation
    nodes: _containers.RepeatedScalarFieldContainer[str]
    merge: Merge
    mask: _tensor_pb2.Tensor
    scale_shift: ScaleShift
    batch_norm: BatchNorm
    layer_norm: LayerNorm
    embedding: Embedding
    one_hot: OneHot
    bucketize: Bucketize
    lookup: Lookup
    clip: Clip
    impute: Impute
    dropout: Dropout
    take: Take
    pool: Pool
    matmul: Matmul
    elementwise: Elementwise
    group_softmax: GroupSoftmax
    group_sparsemax: GroupSparsemax
    conv: Conv
    recurrent: Recurrent
    def __init__(self, name: _Optional[str] = ..., weights: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., bias: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., activation: _Optional[_Union[Activation, _Mapping]] = ..., nodes: _Optional[_Iterable[str]] = ..., merge: _Optional[_Union[Merge, str]] = ..., mask: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., scale_shift: _Optional[_Union[ScaleShift, _Mapping]] = ..., batch_norm: _Optional[_Union[BatchNorm, _Mapping]] = ..., layer_norm: _Optional[_Union[LayerNorm, _Mapping]] = ..., embedding: _Optional[_Union[Embedding, _Mapping]] = ..., one_hot: _Optional[_Union[OneHot, _Mapping]] = ..., bucketize: _Optional[_Union[Bucketize, _Mapping]] = ..., lookup: _Optional[_Union[Lookup, _Mapping]] = ..., clip: _Optional[_Union[Clip, _Mapping]] = ..., impute: _Optional[_Union[Impute, _Mapping]] = ..., dropout: _Optional[_Union[Dropout, _Mapping]] = ..., take: _Optional[_Union[Take, _Mapping]] = ..., pool: _Optional[_Union[Pool, _Mapping]] = ..., matmul: _Optional[_Union[Matmul, _Mapping]] = ..., elementwise: _Optional[_Union[Elementwise, _Mapping]] = ..., group_softmax: _Optional[_Union[GroupSoftmax, _Mapping]] = ..., group_sparsemax: _Optional[_Union[GroupSparsemax, _Mapping]] = ..., conv: _Optional[_Union[Conv, _Mapping]] = ..., recurrent: _Optional[_Union[Recurrent, _Mapping]] = ..., **kwargs) -> None: ...

class ScaleShift(_message.Message):
    __slots__ = ("scale", "shift")
    SCALE_FIELD_NUMBER: _ClassVar[int]
    SHIFT_FIELD_NUMBER: _ClassVar[int]
    scale: _tensor_pb2.Tensor
    shift: _tensor_pb2.Tensor
    def __init__(self, scale: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., shift: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ...) -> None: ...

class BatchNorm(_message.Message):
    __slots__ = ("mean", "variance", "gamma", "beta", "epsilon")
    MEAN_FIELD_NUMBER: _ClassVar[int]
    VARIANCE_FIELD_NUMBER: _ClassVar[int]
    GAMMA_FIELD_NUMBER: _ClassVar[int]
    BETA_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    mean: _tensor_pb2.Tensor
    variance: _tensor_pb2.Tensor
    gamma: _tensor_pb2.Tensor
    beta: _tensor_pb2.Tensor
    epsilon: float
    def __init__(self, mean: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., variance: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., gamma: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., beta: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., epsilon: _Optional[float] = ...) -> None: ...

class LayerNorm(_message.Message):
    __slots__ = ("gamma", "beta", "epsilon", "groups")
    GAMMA_FIELD_NUMBER: _ClassVar[int]
    BETA_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    gamma: _tensor_pb2.Tensor
    beta: _tensor_pb2.Tensor
    epsilon: float
    groups: int
    def __init__(self, gamma: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., beta: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., epsilon: _Optional[float] = ..., groups: _Optional[int] = ...) -> None: ...

class Embedding(_message.Message):
    __slots__ = ("table",)
    TABLE_FIELD_NUMBER: _ClassVar[int]
    table: _tensor_pb2.Tensor
    def __init__(self, table: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ...) -> None: ...

class OneHot(_message.Message):
    __slots__ = ("categories", "indices")
    CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    INDICES_FIELD_NUMBER: _ClassVar[int]
    categories: _tensor_pb2.Tensor
    indices: _tensor_pb2.Tensor
    def __init__(self, categories: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., indices: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ...) -> None: ...

class Bucketize(_message.Message):
    __slots__ = ("boundaries",)
    BOUNDARIES_FIELD_NUMBER: _ClassVar[int]
    boundaries: _tensor_pb2.Tensor
    def __init__(self, boundaries: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ...) -> None: ...

class Lookup(_message.Message):
    __slots__ = ("keys", "values", "default")
    KEYS_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_FIELD_NUMBER: _ClassVar[int]
    keys: _tensor_pb2.Tensor
    values: _tensor_pb2.Tensor
    default: float
    def __init__(self, keys: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., values: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., default: _Optional[float] = ...) -> None: ...

class Clip(_message.Message):
    __slots__ = ("low", "high")
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    low: _tensor_pb2.Tensor
    high: _tensor_pb2.Tensor
    def __init__(self, low: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., high: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ...) -> None: ...

class Impute(_message.Message):
    __slots__ = ("values", "missing")
    VALUES_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    values: _tensor_pb2.Tensor
    missing: float
    def __init__(self, values: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., missing: _Optional[float] = ...) -> None: ...

class Dropout(_message.Message):
    __slots__ = ("rate",)
    RATE_FIELD_NUMBER: _ClassVar[int]
    rate: float
    def __init__(self, rate: _Optional[float] = ...) -> None: ...

class Take(_message.Message):
    __slots__ = ("indices",)
    INDICES_FIELD_NUMBER: _ClassVar[int]
    indices: _tensor_pb2.Tensor
    def __init__(self, indices: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ...) -> None: ...

class Pool(_message.Message):
    __slots__ = ("windows", "reduce")
    WINDOWS_FIELD_NUMBER: _ClassVar[int]
    REDUCE_FIELD_NUMBER: _ClassVar[int]
    windows: _tensor_pb2.Tensor
    reduce: str
    def __init__(self, windows: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., reduce: _Optional[str] = ...) -> None: ...

class Matmul(_message.Message):
    __slots__ = ("groups", "rows", "inner", "columns")
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    INNER_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    groups: int
    rows: int
    inner: int
    columns: int
    def __init__(self, groups: _Optional[int] = ..., rows: _Optional[int] = ..., inner: _Optional[int] = ..., columns: _Optional[int] = ...) -> None: ...

class Elementwise(_message.Message):
    __slots__ = ("expression",)
    EXPRESSION_FIELD_NUMBER: _ClassVar[int]
    expression: str
    def __init__(self, expression: _Optional[str] = ...) -> None: ...

class GroupSoftmax(_message.Message):
    __slots__ = ("groups",)
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    groups: int
    def __init__(self, groups: _Optional[int] = ...) -> None: ...

class GroupSparsemax(_message.Message):
    __slots__ = ("groups",)
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    groups: int
    def __init__(self, groups: _Optional[int] = ...) -> None: ...

class Conv(_message.Message):
    __slots__ = ("weights", "bias", "input_shape", "kernel_shape", "strides", "pads", "dilations", "group", "input_dilations")
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    BIAS_FIELD_NUMBER: _ClassVar[int]
    INPUT_SHAPE_FIELD_NUMBER: _ClassVar[int]
    KERNEL_SHAPE_FIELD_NUMBER: _ClassVar[int]
    STRIDES_FIELD_NUMBER: _ClassVar[int]
    PADS_FIELD_NUMBER: _ClassVar[int]
    DILATIONS_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    INPUT_DILATIONS_FIELD_NUMBER: _ClassVar[int]
    weights: _tensor_pb2.Tensor
    bias: _tensor_pb2.Tensor
    input_shape: _containers.RepeatedScalarFieldContainer[int]
    kernel_shape: _containers.RepeatedScalarFieldContainer[int]
    strides: _containers.RepeatedScalarFieldContainer[int]
    pads: _containers.RepeatedScalarFieldContainer[int]
    dilations: _containers.RepeatedScalarFieldContainer[int]
    group: int
    input_dilations: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, weights: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., bias: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., input_shape: _Optional[_Iterable[int]] = ..., kernel_shape: _Optional[_Iterable[int]] = ..., strides: _Optional[_Iterable[int]] = ..., pads: _Optional[_Iterable[int]] = ..., dilations: _Optional[_Iterable[int]] = ..., group: _Optional[int] = ..., input_dilations: _Optional[_Iterable[int]] = ...) -> None: ...

class Recurrent(_message.Message):
    __slots__ = ("weights", "recurrent_weights", "bias", "recurrent_bias", "cell", "steps", "gate_activation", "state_activation", "reset", "final_cell")
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    RECURRENT_WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    BIAS_FIELD_NUMBER: _ClassVar[int]
    RECURRENT_BIAS_FIELD_NUMBER: _ClassVar[int]
    CELL_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    GATE_ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    STATE_ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    RESET_FIELD_NUMBER: _ClassVar[int]
    FINAL_CELL_FIELD_NUMBER: _ClassVar[int]
    weights: _tensor_pb2.Tensor
    recurrent_weights: _tensor_pb2.Tensor
    bias: _tensor_pb2.Tensor
    recurrent_bias: _tensor_pb2.Tensor
    cell: str
    steps: int
    gate_activation: str
    state_activation: str
    reset: str
    final_cell: bool
    def __init__(self, weights: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., recurrent_weights: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., bias: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., recurrent_bias: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., cell: _Optional[str] = ..., steps: _Optional[int] = ..., gate_activation: _Optional[str] = ..., state_activation: _Optional[str] = ..., reset: _Optional[str] = ..., final_cell: bool = ...) -> None: ...

class Activation(_message.Message):
    __slots__ = ("name", "parameters", "expression")
    class ParametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    EXPRESSION_FIELD_NUMBER: _ClassVar[int]
    name: str
    parameters: _containers.ScalarMap[str, float]
    expression: str
    def __init__(self, name: _Optional[str] = ..., parameters: _Optional[_Mapping[str, float]] = ..., expression: _Optional[str] = ...) -> None: ...

class Example(_message.Message):
    __slots__ = ("inputs", "outputs", "tolerance")
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    inputs: _containers.RepeatedScalarFieldContainer[float]
    outputs: _containers.RepeatedScalarFieldContainer[float]
    tolerance: float
    def __init__(self, inputs: _Optional[_Iterable[float]] = ..., outputs: _Optional[_Iterable[float]] = ..., tolerance: _Optional[float] = ...) -> None: ...

class Network(_message.Message):
    __slots__ = ("name", "latest_version", "aliases", "version_count", "create_time", "update_time", "description", "shadows")
    class AliasesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    LATEST_VERSION_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    VERSION_COUNT_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    SHADOWS_FIELD_NUMBER: _ClassVar[int]
    name: str
    latest_version: int
    aliases: _containers.ScalarMap[str, int]
    version_count: int
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    description: str
    shadows: _containers.RepeatedCompositeFieldContainer[Shadow]
    def __init__(self, name: _Optional[str] = ..., latest_version: _Optional[int] = ..., aliases: _Optional[_Mapping[str, int]] = ..., version_count: _Optional[int] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., description: _Optional[str] = ..., shadows: _Optional[_Iterable[_Union[Shadow, _Mapping]]] = ...) -> None: ...

class Shadow(_message.Message):
    __slots__ = ("of", "version", "share", "tolerance", "set_time")
    OF_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    SET_TIME_FIELD_NUMBER: _ClassVar[int]
    of: str
    version: int
    share: float
    tolerance: float
    set_time: _timestamp_pb2.Timestamp
    def __init__(self, of: _Optional[str] = ..., version: _Optional[int] = ..., share: _Optional[float] = ..., tolerance: _Optional[float] = ..., set_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class NetworkVersion(_message.Message):
    __slots__ = ("network", "version", "digest", "create_time", "aliases", "dtype", "inputs", "layers", "output_names", "class_labels", "parameter_count", "size_bytes", "description", "metadata", "tags", "corrupt", "numerics", "out_of_service", "output_layers", "shadow_of", "outputs", "thresholds", "profile")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_NAMES_FIELD_NUMBER: _ClassVar[int]
    CLASS_LABELS_FIELD_NUMBER: _ClassVar[int]
    PARAMETER_COUNT_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    CORRUPT_FIELD_NUMBER: _ClassVar[int]
    NUMERICS_FIELD_NUMBER: _ClassVar[int]
    OUT_OF_SERVICE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_LAYERS_FIELD_NUMBER: _ClassVar[int]
    SHADOW_OF_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    THRESHOLDS_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    network: str
    version: int
    digest: str
    create_time: _timestamp_pb2.Timestamp
    aliases: _containers.RepeatedScalarFieldContainer[str]
    dtype: _tensor_pb2.DataType
    inputs: Inputs
    layers: _containers.RepeatedCompositeFieldContainer[LayerSummary]
    output_names: _containers.RepeatedScalarFieldContainer[str]
    class_labels: _containers.RepeatedScalarFieldContainer[str]
    parameter_count: int
    size_bytes: int
    description: str
    metadata: _containers.ScalarMap[str, str]
    tags: _containers.RepeatedScalarFieldContainer[str]
    corrupt: bool
    numerics: Numerics
    out_of_service: bool
    output_layers: _containers.RepeatedScalarFieldContainer[str]
    shadow_of: _containers.RepeatedCompositeFieldContainer[Shadow]
    outputs: _containers.RepeatedCompositeFieldContainer[Output]
    thresholds: _containers.RepeatedScalarFieldContainer[float]
    profile: _profile_pb2.ProfileSummary
    def __init__(self, network: _Optional[str] = ..., version: _Optional[int] = ..., digest: _Optional[str] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., aliases: _Optional[_Iterable[str]] = ..., dtype: _Optional[_Union[_tensor_pb2.DataType, str]] = ..., inputs: _Optional[_Union[Inputs, _Mapping]] = ..., layers: _Optional[_Iterable[_Union[LayerSummary, _Mapping]]] = ..., output_names: _Optional[_Iterable[str]] = ..., class_labels: _Optional[_Iterable[str]] = ..., parameter_count: _Optional[int] = ..., size_bytes: _Optional[int] = ..., description: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ..., tags: _Optional[_Iterable[str]] = ..., corrupt: bool = ..., numerics: _Optional[_Union[Numerics, str]] = ..., out_of_service: bool = ..., output_layers: _Optional[_Iterable[str]] = ..., shadow_of: _Optional[_Iterable[_Union[Shadow, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[Output, _Mapping]]] = ..., thresholds: _Optional[_Iterable[float]] = ..., profile: _Optional[_Union[_profile_pb2.ProfileSummary, _Mapping]] = ...) -> None: ...

class LayerSummary(_message.Message):
    __slots__ = ("name", "width", "activation", "nodes", "merge", "kind")
    NAME_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    MERGE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    name: str
    width: int
    activation: Activation
    nodes: _containers.RepeatedScalarFieldContainer[str]
    merge: Merge
    kind: str
    def __init__(self, name: _Optional[str] = ..., width: _Optional[int] = ..., activation: _Optional[_Union[Activation, _Mapping]] = ..., nodes: _Optional[_Iterable[str]] = ..., merge: _Optional[_Union[Merge, str]] = ..., kind: _Optional[str] = ..., **kwargs) -> None: ...
