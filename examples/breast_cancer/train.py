"""Train 30-16-8-1 on scikit-learn's breast cancer data and write network.json beside this file.

Run from the repository: `.venv/bin/python -m examples.breast_cancer.train`
"""

from pathlib import Path

import sklearn
from forwardpass import spec
from sklearn.datasets import load_breast_cancer
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from examples.sklearn_networks import to_document

SHOWN = (0, 19, 100)
"""The rows that become examples in the spec."""


def main() -> None:
    """Train, prove by examples, write."""
    data = load_breast_cancer()
    scaler = StandardScaler().fit(data.data)
    x = scaler.transform(data.data)
    model = MLPClassifier(hidden_layer_sizes=(16, 8), alpha=1.0, max_iter=2_000, random_state=0).fit(x, data.target)
    print(f"accuracy on the {len(x)} rows of training: {model.score(x, data.target):.4f}")
    probability = model.predict_proba(x)[:, 1]
    network = spec.parse(
        to_document(
            model,
            scaler,
            data.feature_names.tolist(),
            outputs=["probability of benign"],
            classes=data.target_names.tolist(),
            description="Tells benign from malignant tumours of the breast by 30 measurements of cell nuclei.",
            metadata={"data": "scikit-learn, load_breast_cancer", "trained with": f"scikit-learn {sklearn.__version__}"},
            tags=["example", "classifier"],
            examples=[
                {"inputs": data.data[row].tolist(), "outputs": [float(probability[row])], "tolerance": 1e-12}
                for row in SHOWN
            ],
        )
    )
    Path(__file__).with_name("network.json").write_text(spec.to_json(network), encoding="utf-8")


if __name__ == "__main__":
    main()
