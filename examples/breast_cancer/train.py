"""Train the breast cancer network with scikit-learn and write its spec, network.json.

    .venv/bin/python -m examples.breast_cancer.train [FILE]

The data is scikit-learn's own copy of the Wisconsin Diagnostic Breast Cancer data: 569 tumours,
30 measurements of cell nuclei each, malignant or benign (https://doi.org/10.24432/C5DW2B).
The shape is 30-16-8-1. The same versions on the same machine give the same file.
"""

import sys
from pathlib import Path

from forwardpass import spec
from forwardpass.importers import import_model
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Fit, score, check and write."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "network.json"
    data = load_breast_cancer()
    network = MLPClassifier(hidden_layer_sizes=(16, 8), solver="lbfgs", alpha=5.0, max_iter=2000, random_state=0)
    pipeline = make_pipeline(StandardScaler(), network)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    unseen = cross_val_score(pipeline, data.data, data.target, cv=folds).mean()
    pipeline.fit(data.data, data.target)
    seen = pipeline.score(data.data, data.target)
    imported = import_model(
        pipeline,
        features=[{"name": str(name)} for name in data.feature_names],
        outputs=["probability of benign"],
        rows=data.data[[0, 19, 73, 541]],
        classes=[str(name) for name in data.target_names],
        description="Tells malignant from benign breast tumours by 30 measurements of cell nuclei. "
        "The output is the probability of benign. An example, not a medical device.",
        metadata={
            "source": "Wisconsin Diagnostic Breast Cancer, as bundled with scikit-learn",
            "training rows": str(len(data.data)),
            "accuracy on training rows": f"{seen:.4f}",
            "accuracy in 5-fold cross-validation": f"{unseen:.4f}",
        },
        tags=["example", "classifier"],
    )
    checked = imported.spec
    target.write_text(spec.to_json(checked), encoding="utf-8")
    print(f"accuracy: {seen:.4f} on the training rows, {unseen:.4f} in 5-fold cross-validation")
    print(f"parity: {imported.certificate}")
    print(f"written: {target.name}, {checked.parameter_count} parameters, digest {spec.digest(checked)}")


if __name__ == "__main__":
    main()
