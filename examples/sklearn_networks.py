"""scikit-learn's multi-layer perceptrons as specs, and specs as scikit-learn's estimators again."""

from typing import Any

import numpy as np
from forwardpass.spec import FORMAT, NetworkSpec
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import LabelBinarizer, StandardScaler

ACTIVATIONS = {"logistic": "sigmoid"}
"""Names that differ; all others are the same."""


def to_document(
    model: MLPClassifier | MLPRegressor, scaler: StandardScaler, features: list[str], **fields: object
) -> dict[str, Any]:
    """Return the spec of a trained model behind a scaler, as a document for `forwardpass.spec.parse`.

    Args:
        model: With `coefs_` of shape `(inputs, nodes)`, one for each layer.
        scaler: Becomes the features' mean and scale, so that the network reads raw values.
        features: A name for each input.
        fields: Other fields of the spec.
    """
    last = len(model.coefs_) - 1
    return {
        "format": FORMAT,
        "inputs": [
            {"name": name, "mean": mean, "scale": scale}
            for name, mean, scale in zip(features, scaler.mean_.tolist(), scaler.scale_.tolist(), strict=True)
        ],
        "layers": [
            {
                "name": "output" if index == last else f"hidden_{index}",
                "weights": weights.T.tolist(),
                "bias": bias.tolist(),
                "activation": ACTIVATIONS.get(name, name),
            }
            for index, (weights, bias) in enumerate(zip(model.coefs_, model.intercepts_, strict=True))
            for name in [model.out_activation_ if index == last else model.activation]
        ],
        **fields,
    }


def from_spec(spec: NetworkSpec) -> tuple[MLPClassifier | MLPRegressor, StandardScaler]:
    """Make scikit-learn's estimators with a spec's numbers, without training, to let them predict."""
    names = {ours: theirs for theirs, ours in ACTIVATIONS.items()}
    hidden = spec.layers[0].activation.name
    sizes = tuple(layer.outputs for layer in spec.layers[:-1])
    model: Any = (MLPClassifier if spec.classes else MLPRegressor)(
        hidden_layer_sizes=sizes, activation=names.get(hidden, hidden))
    model.coefs_ = [layer.weights.T.astype(np.float64) for layer in spec.layers]
    model.intercepts_ = [layer.bias.astype(np.float64) for layer in spec.layers]
    model.n_layers_ = len(spec.layers) + 1
    model.n_outputs_ = spec.layers[-1].outputs
    model.n_features_in_ = spec.inputs.width
    output = spec.layers[-1].activation.name
    model.out_activation_ = names.get(output, output)
    if spec.classes:
        model._label_binarizer = LabelBinarizer().fit(range(len(spec.classes)))  # noqa: SLF001 - as `fit` does
        model.classes_ = np.arange(len(spec.classes))
    scaler = StandardScaler()
    scaler.mean_ = np.array([feature.mean for feature in spec.inputs.features])
    scaler.scale_ = np.array([feature.scale for feature in spec.inputs.features])
    scaler.n_features_in_ = spec.inputs.width
    return model, scaler
