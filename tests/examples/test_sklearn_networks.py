"""From a spec back to scikit-learn, and the committed specs; scikit-learn itself is the oracle."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forwardpass import spec
from forwardpass.importers import Certificate, import_model
from forwardpass_server.core import forward
from forwardpass_server.registry.compile import check_examples, compile_plan
from sklearn import datasets
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from examples.sklearn_networks import network_outputs, to_pipeline

EXAMPLES = Path(__file__).parents[2] / "examples"
DATA = {
    "two classes": (datasets.load_breast_cancer, MLPClassifier),
    "three classes": (datasets.load_iris, MLPClassifier),
    "one number": (datasets.load_diabetes, MLPRegressor),
    "three numbers": (datasets.load_linnerud, MLPRegressor),
}


def fitted(kind: type, x: Any, y: Any, activation: str) -> Pipeline:
    network = kind(hidden_layer_sizes=(5, 3), activation=activation, max_iter=5, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return make_pipeline(StandardScaler(), network).fit(x, y)


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize(("load", "kind"), DATA.values(), ids=DATA)
def test_a_pipeline_comes_back_from_its_spec_with_the_same_bits(load: Any, kind: type, activation: str) -> None:
    x, y = load(return_X_y=True)
    pipeline = fitted(kind, x, y, activation)
    outputs = network_outputs(pipeline, x)
    network = import_model(
        pipeline,
        rows=x,
        classes=[f"class {index}" for index in range(max(y) + 1)] if kind is MLPClassifier else (),
    ).spec
    back = to_pipeline(network)
    np.testing.assert_array_equal(network_outputs(back, x), outputs)
    np.testing.assert_array_equal(back.predict(x), pipeline.predict(x))
    plan = compile_plan(network)
    check_examples(network, plan)
    np.testing.assert_allclose(forward(plan, x), outputs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["breast_cancer", "diabetes"])
def test_a_committed_spec_says_where_its_scores_come_from(name: str) -> None:
    network = spec.load(EXAMPLES / name / "network.json")
    load = getattr(datasets, f"load_{name}")
    data = load(scaled=False) if name == "diabetes" else load()
    assert network.inputs.names == tuple(data.feature_names)
    score = to_pipeline(network).score(data.data, data.target)
    (said,) = [value for key, value in network.metadata.items() if key.endswith("on training rows")]
    assert float(said) == pytest.approx(score, abs=5e-5)
    certificate = Certificate.of(network.metadata)
    assert certificate is not None
    assert certificate.covers(network)


def test_what_scikit_learn_cannot_compute_is_refused() -> None:
    layers = [{"weights": [[1.0]], "activation": name} for name in ("relu", "tanh", "identity")]
    network = spec.parse({"format": spec.FORMAT, "inputs": 1, "layers": layers})
    with pytest.raises(ValueError, match="one hidden function"):
        to_pipeline(network)
