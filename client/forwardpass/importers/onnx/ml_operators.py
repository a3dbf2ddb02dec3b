"""Operators of ai.onnx.ml, as exported scikit-learn models have them, and operators between scores and labels."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.onnx.accumulation import place_of_extreme
from forwardpass.importers.onnx.arithmetic import combined
from forwardpass.importers.onnx.arrays import Array
from forwardpass.importers.onnx.broadcasting import fit, layered
from forwardpass.importers.onnx.elementwise import applied, cast
from forwardpass.importers.onnx.graph_builder import columns_of
from forwardpass.importers.onnx.node_context import FLOATS, NodeContext, NodeReader, Result, front
from forwardpass.importers.onnx.normalization import NORMALIZER
from forwardpass.importers.onnx.reductions import softmax
from forwardpass.importers.onnx.reshaping import joined, taken, transposed
from forwardpass.importers.onnx.values import Constant, GraphTensor, Label
from forwardpass.importers.unsupported import UnsupportedError


def _floats(node: NodeContext, place: int = 0) -> GraphTensor:
    """Return an input as float32, the dtype of ai.onnx.ml."""
    return cast(node, node.tensor(place), "float32")


def _numbers(node: NodeContext, name: str) -> Array:
    return np.array(node.attributes.get(name, ()), np.float32)


def _scaler(node: NodeContext) -> Result:
    """`(X - offset) * scale`."""
    tensor = _floats(node)
    for name, op in (("offset", "Sub"), ("scale", "Mul")):
        numbers = _numbers(node, name)
        if numbers.size:
            tensor = _as_tensor(combined(node, op, tensor, Constant(array=numbers)))
    return tensor


def _as_tensor(value: Constant | GraphTensor) -> GraphTensor:
    if isinstance(value, Constant):
        raise UnsupportedError("reads a constant where a network's values are needed")
    return value


def _imputer(node: NodeContext) -> Result:
    tensor = node.tensor(0)
    name = "imputed_value_floats" if tensor.kind in FLOATS else "imputed_value_int64s"
    missing = node.attributes.get("replaced_value_float" if tensor.kind in FLOATS else "replaced_value_int64", 0)
    values = np.array(node.attributes.get(name, ()), tensor.kind)
    node.graph.missing = True
    numbers = columns_of(fit(node, tensor, values), values)
    absent = {} if np.isnan(missing) else {"missing": float(missing)}
    return layered(node, tensor, kind="impute", values=numbers, **absent)


def _one_hot_encoder(node: NodeContext) -> Result:
    """Return one number for each category of each element, along a new last axis."""
    tensor = node.tensor(0)
    if "cats_strings" in node.attributes:
        texts = _listed(node, "cats")
        found = node.graph.note_texts(tensor, texts, others=bool(node.integer("zeros", 1)))
        return _one_hot_each(node, tensor, found)
    categories = [int(category) for category in node.attributes.get("cats_int64s", ())]
    return one_hot(node, tensor, categories)


def one_hot(node: NodeContext, tensor: GraphTensor, categories: list[int]) -> GraphTensor:
    """Compare each element with each category, along a new last axis."""
    node.graph.note_values(tensor, categories)
    return _one_hot_each(node, tensor, [categories] * tensor.index.size)


def _one_hot_each(node: NodeContext, tensor: GraphTensor, categories: Sequence[Sequence[float]]) -> GraphTensor:
    """Compare each element with categories of its own, along a new last axis."""
    count = len(categories[0])
    node.graph.budget.claim_elements(tensor.index.size * count)
    name = node.graph.layer(
        node.hint,
        [tensor],
        tensor.index.size * count,
        kind="one_hot",
        categories=[number for each in categories for number in each],
        indices=np.repeat(np.arange(tensor.index.size), count).tolist(),
    )
    return node.graph.nodes(name, (*tensor.shape, count), tensor.row_axis, "float32")


def _one_hot(node: NodeContext) -> Result:
    """Return `depth` numbers for each index, along a new axis; negative indices count from the end."""
    tensor = node.tensor(0)
    depth = int(node.constant(1).ravel()[0])
    off, on = node.constant(2).tolist()
    places = applied(node, tensor, "where(x < 0, x + depth, x)", depth=depth)
    hot = one_hot(node, node.graph.materialize(places, node.hint), list(range(depth)))
    whole = applied(node, hot, "where(x == 1, on, off)", on=on, off=off) if (off, on) != (0, 1) else hot
    axis = front(node.integer("axis", -1), len(whole.shape))
    order = list(range(len(whole.shape) - 1))
    order.insert(axis, len(whole.shape) - 1)
    return transposed(node, whole, order)


def _label_encoder(node: NodeContext) -> Result:
    """Look each element up among keys."""
    value = node.inputs[0]
    keys, values = _listed(node, "keys"), _listed(node, "values")
    default = node.attributes.get(f"default_{_suffix(node, 'values')}", _DEFAULTS[_suffix(node, "values")])
    if isinstance(value, Label):
        known = dict(zip(map(str, keys), map(str, values), strict=True))
        return replace(value, labels=tuple(known.get(label, str(default)) for label in value.labels))
    tensor = node.tensor(0)
    if any(isinstance(word, str) for word in values):
        raise UnsupportedError("gives texts, which a network's layers cannot hold; import the operators after it")
    if any(isinstance(word, str) for word in keys):
        keys, *others = node.graph.note_texts(tensor, keys, others=True)
        if any(other != keys for other in others):
            raise UnsupportedError("looks up texts of inputs of which other nodes know other texts")
    else:
        node.graph.note_values(tensor, keys)
    default = float(np.ravel(default)[0])
    absent = {} if np.isnan(default) else {"default": default}
    looked_up = layered(
        node, tensor, kind="lookup", keys=[float(key) for key in keys], values=[float(v) for v in values], **absent
    )
    kind = "int64" if _suffix(node, "values").startswith("int") else "float32"
    return replace(looked_up, kind=kind)


_DEFAULTS: Final[Mapping[str, Any]] = MappingProxyType(
    {"int64s": -1, "int64": -1, "floats": -0.0, "float": -0.0, "strings": "_Unused", "string": "_Unused", "tensor": -1}
)


def _suffix(node: NodeContext, name: str) -> str:
    found = next((key for key in node.attributes if key.startswith(f"{name}_")), "")
    return found.removeprefix(f"{name}_").removesuffix("s")


def _listed(node: NodeContext, name: str) -> list[Any]:
    found = next((value for key, value in node.attributes.items() if key.startswith(f"{name}_")), ())
    return [word.decode() if isinstance(word, bytes) else word for word in np.ravel(np.array(found, object)).tolist()]


def _array_feature_extractor(node: NodeContext) -> Result:
    """Take elements of the last axis; a constant taken by a label gives the names of its classes."""
    indices = node.inputs[1]
    if isinstance(indices, Label):
        names = node.constant(0).ravel().tolist()
        return replace(indices, labels=tuple(str(names[int(label)]) for label in indices.labels))
    tensor = node.value(0)
    places = node.constant(1).ravel()
    return taken(node, tensor, places, len(tensor.shape) - 1)


def _feature_vectorizer(node: NodeContext) -> Result:
    """Join inputs of any rank side by side; each becomes one row of numbers for every row."""
    tensors: list[Any] = []
    for place in range(len(node.inputs)):
        tensor = _floats(node, place)
        if tensor.row_axis not in {0, None}:
            raise UnsupportedError("reads rows along another axis than the first")
        tensors.append(replace(tensor, index=tensor.index.reshape(1, -1)))
    return joined(node, tensors, 1)


def _linear(node: NodeContext, count: int) -> GraphTensor:
    """Multiply by the coefficients, `(count, width)`."""
    tensor = _floats(node)
    if len(tensor.shape) != 2:
        raise UnsupportedError("needs rows of numbers")
    width = tensor.shape[1]
    weights = _numbers(node, "coefficients")
    if weights.size != count * width:
        raise UnsupportedError(
            f"has {weights.size} coefficients; {count} outputs of {width} inputs need {count * width}"
        )
    bias = _numbers(node, "intercepts")
    document: dict[str, Any] = {"bias": bias} if bias.size else {}
    name = node.graph.layer(node.hint, [tensor], count, kind="dense", weights=weights.reshape(count, width), **document)
    return node.graph.nodes(name, (1, count), tensor.row_axis, "float32")


_POST: Final[Mapping[str, str]] = MappingProxyType({"NONE": "", "LOGISTIC": "sigmoid", "SOFTMAX": "softmax"})
"""The activation for each `post_transform`."""


def _transformed(node: NodeContext, scores: GraphTensor) -> GraphTensor:
    post = node.attributes.get("post_transform", b"NONE").decode()
    if post not in _POST:
        raise UnsupportedError(f"transforms its scores by {post}; supported are {', '.join(_POST)}")
    if post == "SOFTMAX":
        return softmax(node, scores, [1], "softmax")
    return applied(node, scores, "sigmoid(x)") if post == "LOGISTIC" else scores


def _linear_regressor(node: NodeContext) -> Result:
    return _transformed(node, _linear(node, node.integer("targets", 1)))


def _linear_classifier(node: NodeContext) -> Result:
    labels = _listed(node, "classlabels")
    if _numbers(node, "intercepts").size < len(labels) == 2:
        raise UnsupportedError("has coefficients for one of two classes; export it with coefficients for both")
    scores = _linear(node, len(labels))
    probabilities = _transformed(node, scores)
    return Label(scores=probabilities, labels=tuple(map(str, labels)), tensor=node.makes[1]), probabilities


def _zip_map(node: NodeContext) -> Result:
    node.graph.classes = tuple(map(str, _listed(node, "classlabels")))
    return node.tensor(0)


def _arg_max(node: NodeContext) -> Result:
    """Return the class with the largest score, or the places of several largest elements."""
    tensor = node.tensor(0)
    axis, last = node.axis(0, len(tensor.shape)), bool(node.integer("select_last_index", 0))
    if last or axis != len(tensor.shape) - 1 or tensor.index.size != tensor.shape[-1]:
        return place_of_extreme(node, largest=True)
    return Label(scores=tensor, labels=tuple(map(str, range(tensor.shape[-1]))), tensor=node.reads[0])


def _arg_min(node: NodeContext) -> Result:
    """Return the places of the smallest elements."""
    return place_of_extreme(node, largest=False)


LABELS: Final = frozenset({"Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten"})
"""Operators that change only the form of a label."""

ML: Final[Mapping[str, NodeReader]] = MappingProxyType(
    {
        "Scaler": _scaler,
        "Imputer": _imputer,
        "OneHotEncoder": _one_hot_encoder,
        "LabelEncoder": _label_encoder,
        "ArrayFeatureExtractor": _array_feature_extractor,
        "FeatureVectorizer": _feature_vectorizer,
        "LinearRegressor": _linear_regressor,
        "LinearClassifier": _linear_classifier,
        "Normalizer": NORMALIZER,
        "ZipMap": _zip_map,
    }
)
"""The reader of each operator of ai.onnx.ml."""

LABELLING: Final[Mapping[str, NodeReader]] = MappingProxyType(
    {"ArgMax": _arg_max, "ArgMin": _arg_min, "OneHot": _one_hot}
)
"""The readers of the other operators between numbers and labels."""
