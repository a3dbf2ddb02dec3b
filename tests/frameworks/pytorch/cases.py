"""PyTorch's modules, trained for a moment on scikit-learn's bundled sets."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from sklearn import datasets
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

from tests.frameworks.cases import Case, Cases
from tests.frameworks.pytorch.networks import (
    Activations,
    Checked,
    Columns,
    Digits,
    Gates,
    Heads,
    Pooled,
    Residual,
    Shared,
    WideAndDeep,
    convolutions,
    mlp,
    normalized,
)

torch.set_num_threads(1)

_STEPS = 20


def _bundled(name: str, **options: Any) -> tuple[Any, Any]:
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True, **options)
    return np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)


def _standardized(x: Any) -> Any:
    return (x - x.mean(axis=0)) / np.where(x.std(axis=0) == 0, 1, x.std(axis=0))


IRIS, CANCER, WINE, DIGITS = map(_bundled, ("iris", "breast_cancer", "wine", "digits"))
DIABETES = _bundled("diabetes", scaled=False)
SEX, DECADE = DIABETES[0][:, 1] - 1, DIABETES[0][:, 0] // 10
NUMBERS = _standardized(np.delete(DIABETES[0], (0, 1), axis=1))
MIXED = np.column_stack([NUMBERS, SEX, DECADE])
TARGETS = DIABETES[1] / 100


def tensors(rows: Any, widths: Sequence[int] = (), *, whole: bool = False) -> list[Tensor]:
    """Make of rows the tensors that a module is called with, the last ones being categories when `whole`."""
    if not widths:
        return [torch.from_numpy(rows)]
    parts = list(torch.from_numpy(rows).split(list(widths), dim=1))
    return [parts[0], *(part.squeeze(1).long() for part in parts[1:])] if whole else parts


def trained(module: nn.Module, inputs: Sequence[Tensor], loss: Callable[[Any], Tensor]) -> nn.Module:
    """Train a module in float64, all rows at once, and set it to inference."""
    module = module.double().train()
    optimizer = torch.optim.Adam([each for each in module.parameters() if each.requires_grad], lr=0.01)
    for _ in range(_STEPS):
        optimizer.zero_grad()
        loss(module(*inputs)).backward()
        optimizer.step()
    return module.eval()


def outputs_of(module: Any, inputs: Sequence[Tensor]) -> Any:
    """Call a module and put its outputs side by side."""
    called = module.module() if hasattr(module, "graph_signature") else module
    with torch.no_grad():
        response = called(*inputs)
    parts = list(response.values()) if isinstance(response, dict) else response
    parts = [parts] if isinstance(parts, Tensor) else parts
    return torch.cat([part.reshape(len(part), -1) for part in parts], dim=1).numpy()


def _case(
    make: Callable[[], nn.Module],
    rows: Any,
    loss: Callable[[Any], Tensor],
    *,
    split: Callable[[Any], list[Tensor]] = tensors,
    after: Callable[[Any], Any] = lambda module: module,
    **options: float,
) -> Case:
    def made() -> Any:
        torch.manual_seed(0)
        return after(trained(make(), split(rows), loss))

    return Case(make=made, predict=lambda model, given: outputs_of(model, split(given)), rows=rows, **options)


def _labels(target: Any) -> Callable[[Any], Tensor]:
    labels = torch.from_numpy(target).long()
    return lambda response: nn.functional.cross_entropy(response, labels)


def _numbers(target: Any) -> Callable[[Any], Tensor]:
    numbers = torch.from_numpy(target).reshape(-1, 1)
    return lambda response: nn.functional.mse_loss(response, numbers)


def _heads(response: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    label, amount, _ = response
    return nn.functional.nll_loss(label.log(), torch.from_numpy(WINE[1]).long()) + amount.square().mean()


def _progression(response: dict[str, Tensor]) -> Tensor:
    target = torch.from_numpy(TARGETS)
    high = (target > 1.5).double().reshape(-1, 1)
    return nn.functional.mse_loss(response["progression"], target) + nn.functional.mse_loss(response["high"], high)


def _wide_and_deep(rows: Any) -> list[Tensor]:
    return tensors(rows, (NUMBERS.shape[1], 1, 1), whole=True)


def _pruned(module: Any) -> Any:
    prune.l1_unstructured(module[0], "weight", amount=0.5)
    prune.random_structured(module[2], "weight", amount=0.25, dim=0)
    prune.l1_unstructured(module[4], "bias", amount=1)
    return module


def _normal_weights() -> nn.Module:
    layers = parametrizations.weight_norm(nn.Linear(13, 16)), parametrizations.spectral_norm(nn.Linear(16, 8))
    return nn.Sequential(layers[0], nn.Tanh(), layers[1], nn.Tanh(), nn.Linear(8, 3))


def _images(rows: Any) -> list[Tensor]:
    return [torch.from_numpy(rows).reshape(-1, 1, 8, 8)]


def _exported(module: nn.Module, shape: Sequence[int] = (13,)) -> Any:
    rows = torch.zeros((2, *shape), dtype=torch.float64)
    return torch.export.export(module, (rows,), dynamic_shapes=({0: torch.export.Dim("rows")},))


CASES: Cases = {
    "Sequential, 3 classes": _case(lambda: mlp(4, 3, nn.Softmax(dim=1)), IRIS[0], _labels(IRIS[1])),
    "batch normalization and dropout": _case(lambda: normalized(30, 1), _standardized(CANCER[0]), _numbers(CANCER[1])),
    "residual blocks, layer normalization": _case(lambda: Residual(64, 10), DIGITS[0] / 16, _labels(DIGITS[1])),
    "wide and deep, 3 inputs, embeddings": _case(
        lambda: WideAndDeep(NUMBERS.shape[1], 8), MIXED, _progression, split=_wide_and_deep
    ),
    "embedding, bag and one-hot of columns": _case(lambda: Columns(NUMBERS.shape[1], 8), MIXED, _numbers(TARGETS)),
    "3 heads": _case(lambda: Heads(13, 3), _standardized(WINE[0]), _heads),
    "pooling, transposes": _case(lambda: Pooled(10), DIGITS[0] / 16, _labels(DIGITS[1])),
    "convolutions and pooling": _case(
        Digits, DIGITS[0] / 16, _labels(DIGITS[1]), split=_images, after=partial(_exported, shape=(1, 8, 8))
    ),
    "convolutions of every geometry": _case(convolutions, DIGITS[0] / 16, _labels(DIGITS[1])),
    "gates and arithmetic": _case(lambda: Gates(13, 3), _standardized(WINE[0]), _labels(WINE[1])),
    "shared layers": _case(lambda: Shared(13), _standardized(WINE[0]), lambda response: response.square().mean()),
    "30 activation modules": _case(lambda: Activations(13, 3), _standardized(WINE[0]), _labels(WINE[1])),
    "pruned": _case(lambda: mlp(13, 3), _standardized(WINE[0]), _labels(WINE[1]), after=_pruned),
    "weight and spectral normalization": _case(_normal_weights, _standardized(WINE[0]), _labels(WINE[1])),
    "torch.export, conditions on shapes": _case(
        lambda: Checked(13, 3), _standardized(WINE[0]), _labels(WINE[1]), after=_exported
    ),
}
