"""Sparsemax as others implement it becomes a layer, and so do the masks of pytorch-tabnet's TabNets."""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import entmax
import numpy as np
import pytest
import torch
from forwardpass.importers import UnsupportedModelError, import_model
from forwardpass.importers.parity import ParityError
from forwardpass.importers.pytorch import wrappers
from forwardpass.importers.pytorch.ghost_batches import without_ghost_batches
from forwardpass.spec import NetworkSpec
from forwardpass_server.core import forward, trace
from forwardpass_server.registry.compile import check_examples, compile_plan
from torch import Tensor, nn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it imports a module of SciPy by an old name
    from pytorch_tabnet.sparsemax import Sparsemax
    from pytorch_tabnet.tab_model import TabNetClassifier, TabNetRegressor

torch.set_num_threads(1)
# PyTorch's and pytorch-tabnet's own.
pytestmark = pytest.mark.filterwarnings("ignore")


def by_gather(x: Tensor, total: float = 1.0) -> Tensor:
    """Martins & Astudillo (2016), algorithm 1, along the last axis, for shares that add up to a total."""
    ordered, _ = torch.sort(x, dim=-1, descending=True)
    counts = torch.arange(1, x.shape[-1] + 1, dtype=x.dtype)
    sums = ordered.cumsum(-1)
    support = (total + counts * ordered > sums).sum(dim=-1, keepdim=True)
    return torch.relu(x - (sums.gather(-1, support - 1) - total) / support)


def by_masks(x: Tensor) -> Tensor:
    ordered = torch.topk(x, x.shape[-1], dim=-1).values
    counts = torch.arange(1, x.shape[-1] + 1, dtype=x.dtype)
    inside = (1 + counts * ordered > ordered.cumsum(-1)).to(x.dtype)
    threshold = ((ordered * inside).sum(-1, keepdim=True) - 1) / inside.sum(-1, keepdim=True)
    return torch.clamp(x - threshold, min=0)


class Applied(nn.Module):
    """A dense layer and a function of 4 groups of 6 values, or of all 24."""

    def __init__(self, function: Callable[[Tensor], Tensor], *, groups: bool) -> None:
        super().__init__()
        self.first, self.last, self.function, self.groups = nn.Linear(7, 24), nn.Linear(24, 2), function, groups

    def forward(self, x: Tensor) -> Tensor:
        h = 3 * self.first(x)
        return self.last(self.function(h.view(-1, 4, 6)).flatten(1) if self.groups else self.function(h))


SPARSEMAXES: dict[str, Callable[[Tensor], Tensor]] = {
    "by gather": by_gather,
    "by masks": by_masks,
    "pytorch-tabnet's module": Sparsemax(),
    "entmax's module": entmax.Sparsemax(dim=-1),
    "entmax's function": lambda x: entmax.sparsemax(x, dim=-1),
}


def imported(model: Any, rows: np.ndarray) -> tuple[NetworkSpec, np.ndarray]:
    network = import_model(model).spec
    plan = compile_plan(network)
    check_examples(network, plan)
    return network, forward(plan, rows.astype(network.dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("groups", [False, True], ids=["all", "groups"])
@pytest.mark.parametrize("name", SPARSEMAXES)
def test_every_implementation_is_one_layer(name: str, *, groups: bool, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    module = Applied(SPARSEMAXES[name], groups=groups).to(dtype)
    rows = np.random.default_rng(0).standard_normal((200, 7))
    network, found = imported(module, rows)
    with torch.no_grad():
        expected = module(torch.from_numpy(rows).to(dtype)).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 if dtype == torch.float32 else 1e-13)
    sparse = [layer for layer in network.layers if layer.activation.name == "sparsemax"]
    grouped = [layer for layer in network.layers if layer.kind == "group_sparsemax"]
    assert (len(sparse), len(grouped)) == ((0, 1) if groups else (1, 0))
    assert {layer.kind for layer in network.layers} <= {"dense", "scale_shift", "group_sparsemax"}


def test_what_computes_another_function_of_a_sort_is_not_taken_for_sparsemax() -> None:
    for total in (1.01, 0.5):
        with pytest.raises(UnsupportedModelError, match="sort"):
            import_model(Applied(partial(by_gather, total=total), groups=False))
    few = nn.Sequential(nn.Linear(3, 5), _Few())
    rows = np.random.default_rng(0).standard_normal((50, 3))
    network, found = imported(few, rows)
    np.testing.assert_allclose(found, few(torch.from_numpy(rows).float()).detach(), atol=1e-6)
    assert not any("sparsemax" in (layer.kind, layer.activation.name) for layer in network.layers)


def by_the_largest(x: Tensor, most: int, *, by_topk: bool) -> Tensor:
    """Compute sparsemax from the largest values alone, which is right where few have a share."""
    ordered = torch.topk(x, most, dim=-1).values if by_topk else x.sort(dim=-1, descending=True).values[..., :most]
    sums = ordered.cumsum(-1)
    support = (1 + torch.arange(1, most + 1, dtype=x.dtype) * ordered > sums).sum(dim=-1, keepdim=True)
    return torch.clamp(x - (sums.gather(-1, support - 1) - 1) / support, min=0)


class Wide(nn.Module):
    """A dense layer and a function of all 200 values."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.function = nn.Linear(7, 200), function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(3 * self.first(x))


@pytest.mark.parametrize("most", [64, 199])
@pytest.mark.parametrize("by_topk", [False, True])
def test_what_computes_it_from_the_largest_alone_is_not_taken_for_sparsemax(most: int, *, by_topk: bool) -> None:
    with pytest.raises(UnsupportedModelError, match="topk" if by_topk else "sort"):
        import_model(Wide(partial(by_the_largest, most=most, by_topk=by_topk)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", SPARSEMAXES)
def test_a_wide_layer_is_sparsemax_for_rows_of_any_scale(name: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    module = Wide(SPARSEMAXES[name]).to(dtype)
    nn.init.zeros_(module.first.bias)
    rows = np.random.default_rng(0).standard_normal((40, 7)) * np.geomspace(1e-4, 1e2, 40)[:, None]
    rows[0] = 0
    _, found = imported(module, rows)
    with torch.no_grad():
        expected = module(torch.from_numpy(rows).to(dtype)).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-4 if dtype == torch.float32 else 1e-12)


class _Few(nn.Module):
    """What is above the second largest."""

    def forward(self, x: Tensor) -> Tensor:
        largest, _ = torch.topk(x, 2, dim=1)
        return torch.relu(x - largest[:, 1:])


ROWS = np.random.default_rng(0).standard_normal((300, 10)).astype(np.float32)
LABELS = (ROWS[:, 0] + ROWS[:, 3] * ROWS[:, 5] > 0).astype(int) + (ROWS[:, 1] > 1)
FITTED = {"max_epochs": 2, "batch_size": 128, "virtual_batch_size": 48}


def test_a_tabnet_predicts_and_traces_its_masks() -> None:
    model = TabNetClassifier(n_steps=3, verbose=0, seed=1)
    model.fit(ROWS, LABELS, **FITTED)
    network, found = imported(model, ROWS)
    np.testing.assert_allclose(found, model.predict_proba(ROWS), rtol=0, atol=2e-5)
    _, masks = model.explain(ROWS)
    names = [layer.name for layer in network.layers if layer.activation.name == "sparsemax"]
    traced = {layer.name: layer.activation for layer in trace(compile_plan(network), ROWS).layers}
    assert len(names) == len(masks) == 3
    for name, mask in zip(names, masks.values(), strict=True):
        np.testing.assert_allclose(traced[name], mask, rtol=0, atol=2e-4)
        assert (traced[name] == 0).any()


def test_a_tabnet_of_categories_and_its_network() -> None:
    random = np.random.default_rng(1)
    rows = ROWS.copy()
    rows[:, 2], rows[:, 7] = random.integers(0, 5, len(rows)), random.integers(0, 3, len(rows))
    model = TabNetRegressor(n_steps=2, cat_idxs=[2, 7], cat_dims=[5, 3], cat_emb_dim=2, verbose=0, seed=1)
    model.fit(rows, ROWS[:, :1], **FITTED)
    for given in (model, model.network):
        _, found = imported(given, rows)
        np.testing.assert_allclose(found, model.predict(rows), rtol=0, atol=1e-4)


def test_a_tabnet_that_is_not_fitted_or_has_other_masks() -> None:
    with pytest.raises(UnsupportedModelError, match="has no network yet; fit it"):
        import_model(TabNetClassifier(verbose=0))
    model = TabNetClassifier(mask_type="entmax", n_steps=1, verbose=0)
    model.fit(ROWS, LABELS, **FITTED)
    with pytest.raises(UnsupportedModelError, match=r"sparsemax\.py"):
        import_model(model)


def test_ghost_batches_are_the_normalization_inside_only_where_they_compute_the_same() -> None:
    class Ghost(nn.Module):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.virtual_batch_size, self.bn, self.factor = 4, nn.BatchNorm1d(6), factor

        def forward(self, x: Tensor) -> Tensor:
            parts = x.chunk(int(np.ceil(x.shape[0] / self.virtual_batch_size)), 0)
            normal = [self.bn(part) for part in parts]
            return torch.cat(normal if self.factor == 1 else [part * self.factor for part in normal], dim=0)

    rows = np.random.default_rng(0).standard_normal((50, 6))
    network, _ = imported(Ghost(1.0), rows)
    assert [layer.kind for layer in network.layers] == ["batch_norm"]
    with pytest.raises(UnsupportedModelError):
        import_model(Ghost(1.5))


def test_a_module_that_does_more_than_cut_the_rows_is_not_replaced_by_its_normalization() -> None:
    class Clamped(nn.Module):
        def __init__(self, most: float) -> None:
            super().__init__()
            self.virtual_batch_size, self.bn, self.most = 4, nn.BatchNorm1d(6), most

        def forward(self, x: Tensor) -> Tensor:
            return self.bn(x).clamp(max=self.most)

    for most in (6.0, 1e9):
        module = Clamped(most).eval()
        rows = np.random.default_rng(0).standard_normal((50, 6)) * 100
        network, found = imported(module, rows)
        np.testing.assert_allclose(found, module(torch.from_numpy(rows).float()).detach(), rtol=1e-6)
        assert [layer.kind for layer in network.layers] != ["batch_norm"]


def test_the_certificate_of_a_tabnet_compares_with_the_network_before_its_parts_are_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def halved(module: nn.Module) -> nn.Module:
        for part in module.modules():
            if isinstance(part, nn.BatchNorm1d):
                part.weight.data /= 2
        return module

    model = TabNetClassifier(n_steps=1, verbose=0, seed=1)
    model.fit(ROWS, LABELS, **FITTED)
    monkeypatch.setattr(wrappers, "without_ghost_batches", lambda module: halved(without_ghost_batches(module)))
    with pytest.raises(ParityError):
        import_model(model)
