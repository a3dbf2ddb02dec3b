"""Operators of ai.onnx.ml, with which scikit-learn's models are written, and what makes labels of scores."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.onnx.arrays import Array
from forwardpass.importers.onnx.draft import columns_of
from forwardpass.importers.onnx.elementwise import applied, cast
from forwardpass.importers.onnx.groups import grouped
from forwardpass.importers.onnx.merging import combined, fit, layered
from forwardpass.importers.onnx.normalization import NORMALIZER
from forwardpass.importers.onnx.refusing import Refused
from forwardpass.importers.onnx.step import FLOATS, Reader, Result, Step, front
from forwardpass.importers.onnx.structure import joined, taken, transposed
from forwardpass.importers.onnx.values import Constant, Flow, Label


def _floats(step: Step, place: int = 0) -> Flow:
    """Return an input as float32, in which ai.onnx.ml computes."""
    return cast(step, step.flow(place), "float32")


def _numbers(step: Step, name: str) -> Array:
    return np.array(step.attributes.get(name, ()), np.float32)


def _scaler(step: Step) -> Result:
    """`(X - offset) * scale`."""
    flow = _floats(step)
    for name, op in (("offset", "Sub"), ("scale", "Mul")):
        numbers = _numbers(step, name)
        if numbers.size:
            flow = _flow(combined(step, op, flow, Constant(array=numbers)))
    return flow


def _flow(value: Constant | Flow) -> Flow:
    if isinstance(value, Constant):
        raise Refused("reads a constant where a network's values are needed")
    return value


def _imputer(step: Step) -> Result:
    flow = step.flow(0)
    name = "imputed_value_floats" if flow.kind in FLOATS else "imputed_value_int64s"
    missing = step.attributes.get("replaced_value_float" if flow.kind in FLOATS else "replaced_value_int64", 0)
    values = np.array(step.attributes.get(name, ()), flow.kind)
    step.draft.missing = True
    numbers = columns_of(fit(step, flow, values), values)
    absent = {} if np.isnan(missing) else {"missing": float(missing)}
    return layered(step, flow, kind="impute", values=numbers, **absent)


def _one_hot_encoder(step: Step) -> Result:
    """One output for each category of each input, after a last axis that is new."""
    flow = step.flow(0)
    if "cats_strings" in step.attributes:
        raise Refused(
            "tells texts apart; encode them as numbers before they are sent, and import the operators after it"
        )
    categories = [int(category) for category in step.attributes.get("cats_int64s", ())]
    return one_hot(step, flow, categories)


def one_hot(step: Step, flow: Flow, categories: list[int]) -> Flow:
    """Compare each element with each category, along a new last axis."""
    width = flow.index.size * len(categories)
    step.draft.claim(width)
    step.draft.among(flow, categories)
    indices = np.repeat(np.arange(flow.index.size), len(categories))
    name = step.draft.layer(
        step.hint, [flow], width, kind="one_hot", categories=categories * flow.index.size, indices=indices.tolist()
    )
    return step.draft.nodes(name, (*flow.shape, len(categories)), flow.rows, "float32")


def _one_hot(step: Step) -> Result:
    """Of `depth` places from 0 on, those below 0 counted from the end, along an axis that is new."""
    flow = step.flow(0)
    depth = int(step.constant(1).ravel()[0])
    off, on = step.constant(2).tolist()
    places = applied(step, flow, "where(x < 0, x + depth, x)", depth=depth)
    hot = one_hot(step, step.draft.settle(places, step.hint), list(range(depth)))
    whole = applied(step, hot, "where(x == 1, on, off)", on=on, off=off) if (off, on) != (0, 1) else hot
    axis = front(step.whole("axis", -1), len(whole.shape))
    order = list(range(len(whole.shape) - 1))
    order.insert(axis, len(whole.shape) - 1)
    return transposed(step, whole, order)


def _label_encoder(step: Step) -> Result:
    """Look each element up among keys."""
    value = step.inputs[0]
    keys, values = _listed(step, "keys"), _listed(step, "values")
    default = step.attributes.get(f"default_{_suffix(step, 'values')}", _DEFAULTS[_suffix(step, "values")])
    if isinstance(value, Label):
        known = dict(zip(map(str, keys), map(str, values), strict=True))
        return replace(value, labels=tuple(known.get(label, str(default)) for label in value.labels))
    flow = step.flow(0)
    if any(isinstance(word, str) for word in (*keys, *values)):
        raise Refused("looks texts up; encode them as numbers before they are sent, and import the operators after it")
    step.draft.among(flow, keys)
    default = float(np.ravel(default)[0])
    absent = {} if np.isnan(default) else {"default": default}
    looked_up = layered(
        step, flow, kind="lookup", keys=[float(key) for key in keys], values=[float(v) for v in values], **absent
    )
    kind = "int64" if _suffix(step, "values").startswith("int") else "float32"
    return replace(looked_up, kind=kind)


_DEFAULTS: Final[Mapping[str, Any]] = MappingProxyType(
    {"int64s": -1, "int64": -1, "floats": -0.0, "float": -0.0, "strings": "_Unused", "string": "_Unused", "tensor": -1}
)


def _suffix(step: Step, name: str) -> str:
    found = next((key for key in step.attributes if key.startswith(f"{name}_")), "")
    return found.removeprefix(f"{name}_").removesuffix("s")


def _listed(step: Step, name: str) -> list[Any]:
    found = next((value for key, value in step.attributes.items() if key.startswith(f"{name}_")), ())
    return [word.decode() if isinstance(word, bytes) else word for word in np.ravel(np.array(found, object)).tolist()]


def _array_feature_extractor(step: Step) -> Result:
    """Take elements of the last axis; of a constant by a label, it is the label's name."""
    indices = step.inputs[1]
    if isinstance(indices, Label):
        names = step.constant(0).ravel().tolist()
        return replace(indices, labels=tuple(str(names[int(label)]) for label in indices.labels))
    tensor = step.value(0)
    places = step.constant(1).ravel()
    return taken(step, tensor, places, len(tensor.shape) - 1)


def _feature_vectorizer(step: Step) -> Result:
    flows = [_floats(step, place) for place in range(len(step.inputs))]
    return joined(step, flows, 1)


def _linear(step: Step, count: int) -> Flow:
    """Multiply by coefficients, one row of them for each output."""
    flow = _floats(step)
    if len(flow.shape) != 2:
        raise Refused("needs rows of numbers")
    width = flow.shape[1]
    weights = _numbers(step, "coefficients")
    if weights.size != count * width:
        raise Refused(f"has {weights.size} coefficients; {count} outputs of {width} inputs need {count * width}")
    bias = _numbers(step, "intercepts")
    document: dict[str, Any] = {"bias": bias} if bias.size else {}
    name = step.draft.layer(step.hint, [flow], count, kind="dense", weights=weights.reshape(count, width), **document)
    return step.draft.nodes(name, (1, count), flow.rows, "float32")


_POST: Final[Mapping[str, str]] = MappingProxyType({"NONE": "", "LOGISTIC": "sigmoid", "SOFTMAX": "softmax"})
"""The activation for each `post_transform`."""


def _transformed(step: Step, scores: Flow) -> Flow:
    post = step.attributes.get("post_transform", b"NONE").decode()
    if post not in _POST:
        raise Refused(f"transforms its scores by {post}; what is read are {', '.join(_POST)}")
    if post == "SOFTMAX":
        return grouped(step, scores, [1], "softmax")
    return applied(step, scores, "sigmoid(x)") if post == "LOGISTIC" else scores


def _linear_regressor(step: Step) -> Result:
    return _transformed(step, _linear(step, step.whole("targets", 1)))


def _linear_classifier(step: Step) -> Result:
    labels = _listed(step, "classlabels")
    if _numbers(step, "intercepts").size < len(labels) == 2:
        raise Refused("has coefficients for one of two classes; export it with coefficients for both")
    scores = _linear(step, len(labels))
    probabilities = _transformed(step, scores)
    return Label(scores=probabilities, labels=tuple(map(str, labels)), tensor=step.makes[1]), probabilities


def _zip_map(step: Step) -> Result:
    step.draft.classes = tuple(map(str, _listed(step, "classlabels")))
    return step.flow(0)


def _arg_max(step: Step) -> Result:
    flow = step.flow(0)
    if step.axis(0, len(flow.shape)) != len(flow.shape) - 1 or step.whole("select_last_index", 0):
        raise Refused("finds the place of the largest element along another axis than the last")
    if flow.index.size != flow.shape[-1]:
        raise Refused("finds the places of several largest elements in each row")
    return Label(scores=flow, labels=tuple(map(str, range(flow.shape[-1]))), tensor=step.reads[0])


LABELS: Final = frozenset({"Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten"})
"""Operators that change nothing of a label but its form."""

ML: Final[Mapping[str, Reader]] = MappingProxyType(
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
"""What reads each operator of ai.onnx.ml."""

LABELLING: Final[Mapping[str, Reader]] = MappingProxyType({"ArgMax": _arg_max, "OneHot": _one_hot})
"""What reads the operators beside ai.onnx.ml that make labels of numbers, and numbers of labels."""
