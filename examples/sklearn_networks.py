"""Conversion of specs back to scikit-learn pipelines of StandardScaler and MLP, to compare their predictions."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from forwardpass.spec import NetworkSpec
from forwardpass.tensors import Array
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import LabelBinarizer, StandardScaler

# The names of the activations in specs and in scikit-learn.
_FUNCTIONS: Final[Mapping[str, str]] = {
    "identity": "identity",
    "sigmoid": "logistic",
    "tanh": "tanh",
    "relu": "relu",
    "softmax": "softmax",
}


def to_pipeline(spec: NetworkSpec) -> Pipeline:
    """Build the scikit-learn pipeline of a spec; classes must be scikit-learn's labels.

    Nothing is fitted: the numbers of the spec become the attributes that fitting would set.

    Raises:
        ValueError: scikit-learn has no MLP that computes this network.
    """
    hidden = {layer.activation.name for layer in spec.layers[:-1]} or {"identity"}
    last = spec.layers[-1].activation.name
    if len(hidden) > 1 or not {last, *hidden} <= _FUNCTIONS.keys() or "softmax" in hidden or not spec.is_chain:
        raise ValueError("scikit-learn's MLP is a chain with one hidden function and a few output functions")
    network = (MLPClassifier if spec.classes else MLPRegressor)(
        hidden_layer_sizes=[layer.outputs for layer in spec.layers[:-1]],
        activation=_FUNCTIONS[next(iter(hidden))],
    )
    network.coefs_ = [layer.weights.T for layer in spec.layers]
    network.intercepts_ = [layer.bias for layer in spec.layers]
    network.n_layers_ = len(spec.layers) + 1
    network.n_outputs_ = spec.layers[-1].outputs
    network.n_features_in_ = spec.inputs.width
    network.out_activation_ = _FUNCTIONS[last]
    if spec.classes:
        network.classes_ = np.arange(len(spec.classes))
        network._label_binarizer = LabelBinarizer().fit(network.classes_)  # noqa: SLF001 - predict reads it
    scaler = StandardScaler()
    scaler.mean_ = np.zeros(spec.inputs.width) if spec.inputs.mean is None else spec.inputs.mean
    scaler.scale_ = np.ones(spec.inputs.width) if spec.inputs.scale is None else spec.inputs.scale
    scaler.n_features_in_ = spec.inputs.width
    return make_pipeline(scaler, network)


def network_outputs(pipeline: Pipeline, rows: Array) -> Array:
    """Return the last layer's outputs as scikit-learn computes them, `(rows, outputs)` float64.

    For a classifier of two classes this is the probability of the second one alone.
    """
    if not isinstance(pipeline[-1], MLPClassifier):
        return np.asarray(pipeline.predict(rows), dtype=np.float64).reshape(len(rows), -1)
    probabilities = np.asarray(pipeline.predict_proba(rows), dtype=np.float64)
    return probabilities[:, 1:] if probabilities.shape[1] == 2 else probabilities
