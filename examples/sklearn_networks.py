"""Between scikit-learn's multi-layer perceptrons and specs, both ways.

`to_document` turns a fitted pipeline of StandardScaler and MLP into a spec; `to_pipeline` makes
the pipeline again from a spec, without fitting, so that scikit-learn itself can predict with it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import sklearn
from forwardpass.spec import FORMAT, NetworkSpec
from forwardpass.tensors import Array
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import LabelBinarizer, StandardScaler

# scikit-learn's name of each function and the spec's.
ACTIVATIONS: Final[Mapping[str, str]] = {
    "identity": "identity",
    "logistic": "sigmoid",
    "tanh": "tanh",
    "relu": "relu",
    "softmax": "softmax",
}
_BACK: Final[Mapping[str, str]] = {ours: theirs for theirs, ours in ACTIVATIONS.items()}


def to_document(
    pipeline: Pipeline,
    *,
    features: Sequence[Mapping[str, str]],
    outputs: Sequence[str],
    rows: Array,
    classes: Sequence[str] = (),
    description: str = "",
    metadata: Mapping[str, str] | None = None,
    tags: Sequence[str] = (),
) -> dict[str, Any]:
    """Describe a fitted pipeline of StandardScaler and MLP as a spec's JSON document.

    Args:
        pipeline: The two steps, fitted.
        features: For each input its `name`, and `unit` and `description` where known.
        outputs: A name for each output of the network.
        rows: `(examples, inputs)` float64; they become examples with what scikit-learn predicts.
        classes: A label for each class, in the order of the classifier's `classes_`.
        description: What the network is for.
        metadata: Facts to keep with it; scikit-learn's version is added.
        tags: Words to find it by.

    Raises:
        KeyError: The network has an activation that is not in `ACTIVATIONS`.
    """
    scaler, network = pipeline[0], pipeline[-1]
    functions = [network.activation] * (network.n_layers_ - 2) + [network.out_activation_]
    names = [f"hidden_{index}" for index in range(len(functions) - 1)] + ["output"]
    layers = [
        {
            "name": name,
            "weights": weights.T.tolist(),  # scikit-learn keeps them as (inputs, outputs)
            "bias": bias.tolist(),
            "activation": ACTIVATIONS[function],
        }
        for name, weights, bias, function in zip(names, network.coefs_, network.intercepts_, functions, strict=True)
    ]
    scaling = zip(features, scaler.mean_.tolist(), scaler.scale_.tolist(), strict=True)
    return {
        "format": FORMAT,
        "inputs": [dict(feature) | {"mean": mean, "scale": scale} for feature, mean, scale in scaling],
        "layers": layers,
        "outputs": list(outputs),
        "classes": list(classes),
        "description": description,
        "metadata": dict(metadata or {}) | {"scikit-learn": sklearn.__version__},
        "tags": list(tags),
        "examples": [
            {"inputs": row, "outputs": expected}
            for row, expected in zip(rows.tolist(), network_outputs(pipeline, rows).tolist(), strict=True)
        ],
    }


def to_pipeline(spec: NetworkSpec) -> Pipeline:
    """Make scikit-learn's own pipeline of a spec whose classes are scikit-learn's labels, or of a regressor.

    Nothing is fitted: the numbers of the spec become the attributes that fitting would set.

    Raises:
        ValueError: scikit-learn has no MLP that computes this network.
    """
    hidden = {layer.activation.name for layer in spec.layers[:-1]} or {"identity"}
    last = spec.layers[-1].activation.name
    if len(hidden) > 1 or not {last, *hidden} <= _BACK.keys() or "softmax" in hidden or not spec.is_chain:
        raise ValueError("scikit-learn's MLP is a chain with one hidden function and a few output functions")
    network = (MLPClassifier if spec.classes else MLPRegressor)(
        hidden_layer_sizes=[layer.outputs for layer in spec.layers[:-1]],
        activation=_BACK[next(iter(hidden))],
    )
    network.coefs_ = [layer.weights.T for layer in spec.layers]
    network.intercepts_ = [layer.bias for layer in spec.layers]
    network.n_layers_ = len(spec.layers) + 1
    network.n_outputs_ = spec.layers[-1].outputs
    network.n_features_in_ = spec.inputs.width
    network.out_activation_ = _BACK[last]
    if spec.classes:
        network.classes_ = np.arange(len(spec.classes))
        network._label_binarizer = LabelBinarizer().fit(network.classes_)  # noqa: SLF001 - predict reads it
    scaler = StandardScaler()
    scaler.mean_ = np.zeros(spec.inputs.width) if spec.inputs.mean is None else spec.inputs.mean
    scaler.scale_ = np.ones(spec.inputs.width) if spec.inputs.scale is None else spec.inputs.scale
    scaler.n_features_in_ = spec.inputs.width
    return make_pipeline(scaler, network)


def network_outputs(pipeline: Pipeline, rows: Array) -> Array:
    """Return what scikit-learn computes in the last layer, shape `(rows, outputs)` float64.

    For a classifier of two classes this is the probability of the second one alone.
    """
    if not isinstance(pipeline[-1], MLPClassifier):
        return np.asarray(pipeline.predict(rows), dtype=np.float64).reshape(len(rows), -1)
    probabilities = np.asarray(pipeline.predict_proba(rows), dtype=np.float64)
    return probabilities[:, 1:] if probabilities.shape[1] == 2 else probabilities
