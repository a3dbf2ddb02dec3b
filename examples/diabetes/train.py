"""Train the diabetes network with scikit-learn and write its spec, network.json.

    .venv/bin/python -m examples.diabetes.train [FILE]

The data is scikit-learn's own copy of the diabetes data of Efron, Hastie, Johnstone and Tibshirani
(Least Angle Regression, Annals of Statistics 32, 2004), unscaled: 442 patients, 10 measurements
each, and how far the disease had gone one year later, 25 to 346. The shape is 10-16-8-1. The same
versions on the same machine give the same file.
"""

import sys
from pathlib import Path

from forwardpass import spec
from forwardpass.importers import import_model
from sklearn.datasets import load_diabetes
from sklearn.model_selection import KFold, cross_val_score
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

HERE = Path(__file__).resolve().parent

# The units that the description of the data set gives.
FEATURES = {
    "age": ("years", "age"),
    "sex": ("", "sex, 1 or 2"),
    "bmi": ("kg/m2", "body mass index"),
    "bp": ("", "average blood pressure"),
    "s1": ("", "tc, total serum cholesterol"),
    "s2": ("", "ldl, low-density lipoproteins"),
    "s3": ("", "hdl, high-density lipoproteins"),
    "s4": ("", "tch, total cholesterol / hdl"),
    "s5": ("", "ltg, possibly log of serum triglycerides level"),
    "s6": ("", "glu, blood sugar level"),
}


def main() -> None:
    """Fit, score, check and write."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "network.json"
    data = load_diabetes(scaled=False)
    network = MLPRegressor(hidden_layer_sizes=(16, 8), solver="lbfgs", alpha=3000.0, max_iter=5000, random_state=0)
    pipeline = make_pipeline(StandardScaler(), network)
    folds = KFold(5, shuffle=True, random_state=0)
    unseen = cross_val_score(pipeline, data.data, data.target, cv=folds).mean()
    pipeline.fit(data.data, data.target)
    seen = pipeline.score(data.data, data.target)
    imported = import_model(
        pipeline,
        features=[
            {"name": name, "unit": unit, "description": description} for name, (unit, description) in FEATURES.items()
        ],
        outputs=["progression"],
        rows=data.data[[0, 1, 2]],
        description="Estimates how far diabetes will have gone in one year, on a scale from 25 to 346, "
        "by 10 measurements. An example, not a medical device.",
        metadata={
            "source": "diabetes data of Efron et al. 2004, as bundled with scikit-learn, unscaled",
            "training rows": str(len(data.data)),
            "R2 on training rows": f"{seen:.4f}",
            "R2 in 5-fold cross-validation": f"{unseen:.4f}",
        },
        tags=["example", "regressor"],
    )
    checked = imported.spec
    target.write_text(spec.to_json(checked), encoding="utf-8")
    print(f"R2: {seen:.4f} on the training rows, {unseen:.4f} in 5-fold cross-validation")
    print(f"parity: {imported.certificate}")
    print(f"written: {target.name}, {checked.parameter_count} parameters, digest {spec.digest(checked)}")


if __name__ == "__main__":
    main()
