"""Models of scikit-learn, exported by skl2onnx, and of PyTorch, exported by torch.onnx; both compute the rows too."""

import logging
import warnings
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from skl2onnx import to_onnx
from sklearn import datasets
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, Normalizer, StandardScaler
from torch import Tensor, nn

from tests.frameworks.cases import Case, Cases

torch.set_num_threads(1)
logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it misses torchvision, which is not needed


def _bundled(name: str, **options: Any) -> tuple[Any, Any]:
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True, **options)
    return np.asarray(x, np.float64), y


IRIS, CANCER, WINE = map(_bundled, ("iris", "breast_cancer", "wine"))
DIABETES = _bundled("diabetes", scaled=False)


def scikit_learn(make: Callable[[], Any], data: tuple[Any, Any], **options: Any) -> Case:
    """A model of scikit-learn, fitted, and as skl2onnx writes it."""
    x, y = data

    @cache
    def fitted() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # good enough to be compared
            return make().fit(x, y)

    def predict(_: Any, rows: Any) -> Any:
        model = fitted()
        return (model.predict_proba if hasattr(model, "classes_") else model.predict)(rows).reshape(len(rows), -1)

    def write() -> Any:
        return to_onnx(fitted(), x[:1].astype(np.float32), **options)

    return Case(make=write, predict=predict, rows=x, tolerance=1e-3)


class Residual(nn.Module):
    """Layers that add to what they read, with both normalizations."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.BatchNorm1d(width), nn.Linear(width, width), nn.GELU())
        self.second = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU())
        self.head = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.first(x)
        return self.head(x + self.second(x))


class WideAndDeep(nn.Module):
    """Numbers and a category, read by a deep part and by a wide one."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 4)
        self.deep = nn.Sequential(nn.Linear(width + 4, 16), nn.ReLU(), nn.Linear(16, 1))
        self.wide = nn.Linear(width, 1)

    def forward(self, numbers: Tensor, category: Tensor) -> Tensor:
        return torch.sigmoid(self.wide(numbers) + self.deep(torch.cat([numbers, self.embedding(category)], dim=1)))


class Heads(nn.Module):
    """Two outputs of one trunk, reshaped and split on the way."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Linear(width, 12), nn.Tanh(), nn.Unflatten(1, (3, 4)), nn.AvgPool1d(2), nn.Flatten()
        )
        self.classes = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        shared, rest = self.trunk(x).chunk(2, dim=1)
        return torch.softmax(self.classes(shared), dim=1), rest.clamp(-0.5, 0.5)


def pytorch(make: Callable[[], nn.Module], rows: Any, split: Callable[[Any], Sequence[Tensor]]) -> Case:
    """A module of PyTorch, with random weights, and as torch.onnx writes it."""

    @cache
    def module() -> nn.Module:
        torch.manual_seed(0)
        return make().eval()

    def predict(_: Any, given: Any) -> Any:
        with torch.no_grad():
            response = module()(*split(given))
        parts = response if isinstance(response, tuple) else (response,)
        return torch.cat([part.reshape(len(given), -1) for part in parts], dim=1).numpy()

    def write() -> Any:
        example = split(rows[:2])
        axes = tuple({0: torch.export.Dim.DYNAMIC} for _ in example)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of torch's own code
            program = torch.onnx.export(module(), tuple(example), dynamic_shapes=axes, dynamo=True, verbose=False)
        assert program is not None
        return program.model_proto

    return Case(make=write, predict=predict, rows=rows, tolerance=1e-3)


def _floats(rows: Any) -> list[Tensor]:
    return [torch.from_numpy(np.asarray(rows, np.float32))]


def _with_category(rows: Any) -> list[Tensor]:
    return [*_floats(rows[:, :-1]), torch.from_numpy(np.asarray(rows[:, -1], np.int64))]


def _standard(x: Any) -> Any:
    return (x - x.mean(axis=0)) / x.std(axis=0)


MIXED = np.column_stack([_standard(DIABETES[0]), DIABETES[0][:, 0] // 10])
_MLP = {"hidden_layer_sizes": (16, 8), "max_iter": 50, "random_state": 0}
_SCORES = {"options": {"zipmap": False}}


def _perceptron() -> Any:
    return make_pipeline(StandardScaler(), MLPClassifier(**_MLP))


CASES: Cases = {
    "skl2onnx: MLPClassifier": scikit_learn(_perceptron, IRIS, **_SCORES),
    "skl2onnx: MLPClassifier, 2 classes": scikit_learn(_perceptron, CANCER),
    "skl2onnx: LogisticRegression": scikit_learn(lambda: make_pipeline(StandardScaler(), LogisticRegression()), WINE),
    "skl2onnx: LogisticRegression, 2 classes": scikit_learn(
        lambda: make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()), CANCER
    ),
    "skl2onnx: MLPRegressor": scikit_learn(lambda: make_pipeline(MinMaxScaler(), MLPRegressor(**_MLP)), DIABETES),
    "skl2onnx: Ridge": scikit_learn(lambda: make_pipeline(Normalizer("l2"), Ridge()), DIABETES),
    "torch.onnx: perceptron": pytorch(
        lambda: nn.Sequential(
            nn.Linear(4, 16), nn.ELU(), nn.Linear(16, 8), nn.Mish(), nn.Linear(8, 3), nn.LogSoftmax(1)
        ),
        IRIS[0],
        _floats,
    ),
    "torch.onnx: residual, two normalizations": pytorch(partial(Residual, 10), _standard(DIABETES[0]), _floats),
    "torch.onnx: wide and deep, embedding": pytorch(partial(WideAndDeep, 10), MIXED, _with_category),
    "torch.onnx: two heads, pooling": pytorch(partial(Heads, 13), _standard(WINE[0]), _floats),
}
