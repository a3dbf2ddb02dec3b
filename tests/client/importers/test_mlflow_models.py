"""Folders of MLflow, as `mlflow.*.log_model` of MLflow 3.17 writes them."""

import sys
from pathlib import Path

import pytest
import skops.io
from forwardpass import spec
from forwardpass.importers import UnsupportedModelError, import_model
from forwardpass.importers.model_loader import load_object
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

DESCRIPTION = """\
artifact_path: iris
flavors:
  python_function: {{loader_module: mlflow.sklearn, model_path: {path}}}
  sklearn: {{code: null, pickled_model: {path}, serialization_format: skops, sklearn_version: 1.9.1}}
mlflow_version: 3.17.2
"""


def described(folder: Path, text: str) -> str:
    (folder / "MLmodel").write_text(text)
    return f"mlflow:{folder}"


def test_a_model_in_a_folder_is_the_model(tmp_path: Path) -> None:
    rows, classes = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=500).fit(rows, classes)
    skops.io.dump(model, tmp_path / "model.skops")
    found = load_object(described(tmp_path, DESCRIPTION.format(path="model.skops")))
    assert spec.digest(import_model(found, rows=rows).spec) == spec.digest(import_model(model, rows=rows).spec)


def test_a_model_in_a_folder_within_it(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "model.onnx").write_bytes(b"\xff")
    with pytest.raises(UnsupportedModelError, match=r"model\.onnx"):
        load_object(described(tmp_path, "flavors: {onnx: {data: data}}"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            DESCRIPTION.format(path="model.pkl"),
            'log it by `mlflow.sklearn.log_model.model, serialization_format="skops"',
        ),
        (
            "flavors: {xgboost: {data: model.xgb}}",
            "has the flavors xgboost, .*; export the model to ONNX",
        ),
        ("flavors: {onnx: {data: ../model.onnx}}", "has the flavors onnx, and no file of"),
        ("flavors: [onnx]", "without `flavors`"),
        ("flavors: {", "is not YAML"),
        ("flavors: {onnx: {data: " + "a" * 300 + "}}", "has the flavors onnx, and no file of"),
        ('flavors: {onnx: {data: "a\\0b"}}', "has the flavors onnx, and no file of"),
        ("a" * 2**21, "of more than 131,072 characters"),
    ],
    ids=["pickle", "other flavor", "outside", "no flavors", "no YAML", "long name", "a name with a zero", "too long"],
)
def test_what_is_not_read_is_rejected(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model.onnx").write_bytes(b"")
    with pytest.raises(UnsupportedModelError, match=words):
        load_object(described(tmp_path / "model", text))


def test_mlflow_finds_what_is_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)  # as where it is not installed
    with pytest.raises(UnsupportedModelError, match="MLflow, which could find it, is not installed"):
        load_object("mlflow:models:/iris/1")
