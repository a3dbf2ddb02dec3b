"""Train 10-16-8-1 on scikit-learn's diabetes data and write network.json beside this file.

Run from the repository: `.venv/bin/python -m examples.diabetes.train`
"""

from pathlib import Path

import sklearn
from forwardpass import spec
from sklearn.datasets import load_diabetes
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler

from examples.sklearn_networks import to_document

SHOWN = (0, 100, 400)
"""The rows that become examples in the spec."""


def main() -> None:
    """Train, prove by examples, write."""
    data = load_diabetes(scaled=False)
    scaler = StandardScaler().fit(data.data)
    x = scaler.transform(data.data)
    model = MLPRegressor(
        hidden_layer_sizes=(16, 8), activation="tanh", solver="lbfgs", alpha=10.0, max_iter=20_000, random_state=0
    )
    model.fit(x, data.target)
    print(f"R2 on the {len(x)} rows of training: {model.score(x, data.target):.4f}")
    predicted = model.predict(x)
    network = spec.parse(
        to_document(
            model,
            scaler,
            list(data.feature_names),
            outputs=["progression"],
            description="Predicts the progression of diabetes a year ahead from ten measurements.",
            metadata={"data": "scikit-learn, load_diabetes", "trained with": f"scikit-learn {sklearn.__version__}"},
            tags=["example", "regressor"],
            examples=[
                {"inputs": data.data[row].tolist(), "outputs": [float(predicted[row])], "tolerance": 1e-9}
                for row in SHOWN
            ],
        )
    )
    Path(__file__).with_name("network.json").write_text(spec.to_json(network), encoding="utf-8")


if __name__ == "__main__":
    main()
