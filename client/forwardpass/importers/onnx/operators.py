"""The table of supported operators, and the reasons why others are not supported."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from forwardpass.importers.onnx.accumulation import ACCUMULATION
from forwardpass.importers.onnx.arithmetic import MERGING
from forwardpass.importers.onnx.einsum import EINSUM
from forwardpass.importers.onnx.elementwise import ELEMENTWISE
from forwardpass.importers.onnx.indexing import INDEXING
from forwardpass.importers.onnx.linear import LINEAR
from forwardpass.importers.onnx.ml_operators import LABELLING, ML
from forwardpass.importers.onnx.node_context import NodeReader
from forwardpass.importers.onnx.normalization import NORMALIZATION
from forwardpass.importers.onnx.pooling import POOLING
from forwardpass.importers.onnx.quantization import QUANTIZATION, QUANTIZED
from forwardpass.importers.onnx.recurrence import RECURRENCE
from forwardpass.importers.onnx.reshaping import STRUCTURE
from forwardpass.importers.onnx.selection import SELECTION

_TABLES: Final = (
    *(STRUCTURE, INDEXING, ELEMENTWISE, MERGING, SELECTION, LINEAR, EINSUM, NORMALIZATION, POOLING),
    *(ACCUMULATION, LABELLING, QUANTIZATION, RECURRENCE),
)

OPERATORS: Final[Mapping[tuple[str, str], NodeReader]] = MappingProxyType(
    {("", op): reader for table in _TABLES for op, reader in table.items()}
    | {("ai.onnx.ml", op): reader for op, reader in ML.items()}
    | {("ai.onnx.ml", "Binarizer"): ELEMENTWISE["Binarizer"]}
)
"""The reader of each operator, by its domain and name."""

MOVING: Final = frozenset(
    {*STRUCTURE, *INDEXING, *QUANTIZATION, "Cast", "CastLike", "ZipMap", "ArgMax", "LabelEncoder"}
)
"""Operators that compute no numbers, so that their element types do not count."""

_TREES: Final = "is made of trees, which are no layers of a network; use an MLP instead"
_FLOW: Final = "has a graph of its own; export the model with that branch or loop taken, as torch.export does"
_VECTORS: Final = "sums over support vectors; use a linear model or an MLP instead"
_IMAGES: Final = "works on images; a network's layers are of rows of numbers"

REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(("TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor"), _TREES),
        **dict.fromkeys(
            ("QLinearMatMul", "QLinearConv", "MatMulInteger", "ConvInteger", "QuantizeLinear"),
            QUANTIZED,
        ),
        "DynamicQuantizeLinear": QUANTIZED,
        **dict.fromkeys(("If", "Loop", "Scan", "SequenceMap"), _FLOW),
        **dict.fromkeys(("DeformConv", "Resize", "Upsample", "GridSample", "RoiAlign"), _IMAGES),
        **dict.fromkeys(("SVMClassifier", "SVMRegressor"), _VECTORS),
        "TopK": "sorts elements, which no layer does; sort the outputs in the client",
        **dict.fromkeys(("RandomNormal", "RandomUniform", "Bernoulli", "Multinomial"), "is random; a network is not"),
    }
)
"""Why an operator is not supported, and what to use instead."""

NOT_READ: Final = "is not supported; docs/importing/onnx-operators.md lists the operators that are"
