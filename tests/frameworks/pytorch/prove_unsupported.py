"""Modules that cannot be networks are rejected with their place and what to do."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from forwardpass.importers import UnsupportedModelError, import_model
from torch import Tensor, nn
from torch.nn import functional


class Own(nn.Module):
    """A module whose forward is a function of itself and what it reads."""

    def __init__(self, function: Callable[[Any, Tensor], Any], **parts: Any) -> None:
        super().__init__()
        self.function = function
        self.layer = nn.Linear(4, 4)
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Tensor) -> Any:
        return self.function(self, self.layer(x))


def _script() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.trace(nn.Linear(4, 2), torch.zeros(2, 4), check_trace=False)


def _hooked() -> nn.Module:
    module = nn.Linear(4, 2)
    module.register_forward_hook(lambda _module, _inputs, output: output * 2)
    return nn.Sequential(module)


def _in_place(module: Any, h: Tensor) -> Tensor:
    view = h[:, :2]
    view.relu_()
    return h + module.layer(h)


def _unread(x: Tensor, y: Tensor) -> Tensor:  # noqa: ARG001 - that is the point
    return x * 2


class Unread(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.other = nn.Linear(4, 4), nn.Linear(3, 3)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return _unread(self.layer(x), self.other(y))


class LearnedCategories(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(4, 2)
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.table(self.layer(x).long())


UNSUPPORTED: dict[str, tuple[Callable[[], Any], str, str]] = {
    "a recurrent layer over the rows": (
        lambda: nn.Sequential(nn.Linear(4, 4), nn.Unflatten(1, (2, 2)), nn.LSTM(2, 4)),
        "model.2",
        "LSTM: lstm goes along the axis of the rows",
    ),
    "an operation that is not read": (
        lambda: Own(lambda _, h: torch.special.bessel_j0(h)),
        "model (prove_unsupported.py:",
        "bessel_j0 is not supported",
    ),
    "rows beside rows of another axis": (
        lambda: Own(lambda _, h: (h * h.unsqueeze(1)).sum(1)),
        "model (prove_unsupported.py:",
        "mul joins rows with rows of another axis",
    ),
    "rows at the end": (lambda: Own(lambda _, h: h.transpose(0, 1)), "model", "has its rows not as the first axis"),
    "weights that are not made yet": (
        lambda: nn.Sequential(nn.LazyLinear(3)),
        "model.0",
        "has no weights yet; call the model once, which makes them",
    ),
    "TorchScript inside a module": (
        lambda: nn.Sequential(nn.Linear(4, 4), _script()),
        "model.1",
        "or the module that it was made of",
    ),
    "batch normalization by the rows themselves": (
        lambda: nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4, track_running_stats=False)),
        "model.1",
        "use track_running_stats=True",
    ),
    "a table that changes": (
        lambda: nn.Sequential(nn.Embedding(4, 2, max_norm=1), nn.Flatten(), nn.Linear(6, 1)),
        "model.0",
        "use max_norm=None once it is trained",
    ),
    "the mean of all rows": (lambda: Own(lambda _, h: h - h.mean()), "model", "mean works across the rows"),
    "the mean of each column": (lambda: Own(lambda _, h: h - h.mean(dim=0)), "model", "mean works across the rows"),
    "the first row": (lambda: Own(lambda _, h: h[0]), "model", "leave its axis whole"),
    "rows that change places": (lambda: Own(lambda _, h: h.flip(0)), "model", "flip works across the rows"),
    "rows that become columns": (
        lambda: Own(lambda _, h: h.reshape(-1)),
        "model",
        "has its rows not as the first axis",
    ),
    "the number of rows": (lambda: Own(lambda _, h: h / h.shape[0]), "model", "with the number of rows"),
    "weights of the rows": (lambda: Own(lambda _, h: h @ h.T), "model", "multiplies rows by other rows"),
    "dropout that is always on": (
        lambda: Own(lambda _, h: functional.dropout(h, 0.5)),
        "model",
        "dropout is computed as in training; call `.eval()` first",
    ),
    "chance": (lambda: Own(lambda _, h: h + torch.randn_like(h)), "model", "randn_like is random"),
    "half precision": (lambda: nn.Linear(4, 2).half(), "model", "computes in float16; call `.float()`"),
    "precisions that differ": (
        lambda: nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2).double()),
        "model",
        "computes in float32, float64",
    ),
    "a condition on numbers": (
        lambda: Own(lambda own, h: own.layer(h) if h.sum() > 0 else h),
        "Own",
        "nor can torch.export",
    ),
    "a hook": (_hooked, "model.0", "Linear has the hook"),
    "categories that are computed": (
        LearnedCategories,
        "model.table",
        "categories that are computed, and may not be from 0 to 3",
    ),
    "numbers that are cut": (lambda: Own(lambda _, h: h.long().float()), "model", "cut to whole numbers"),
    "an input that leads nowhere": (Unread, "model.forward(y)", "leads to no output"),
    "an output that is no tensor": (lambda: Own(lambda _, h: (h, 3)), "model", "its output 'output_1' is no tensor"),
    "a shape that nothing tells": (
        lambda: nn.Sequential(nn.ReLU()),
        "Sequential",
        "`torch.export.export(module",
    ),
    "an exported module in training": (
        lambda: torch.export.export(
            nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)).train(), (torch.zeros(2, 4),), strict=False
        ),
        "model.1",
        "batch_norm is computed as in training; call `.eval()` first",
    ),
}


@pytest.mark.parametrize(("make", "place", "words"), UNSUPPORTED.values(), ids=UNSUPPORTED)
def test_an_unsupported_model_is_rejected_with_its_place(
    make: Callable[[], Any], place: str, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UnsupportedModelError) as caught:
        import_model(make())
    assert caught.value.faults
    fault = caught.value.faults[0]
    assert fault.path.startswith(place)
    assert words in fault.message
    assert words in str(caught.value)
    # torch.export says much about what it cannot trace.
    assert capfd.readouterr() == ("", "")


def test_every_part_is_named_at_once() -> None:
    module = Own(lambda own, h: (own.one(h.unsqueeze(1)), own.two(h.unsqueeze(1))), one=nn.GRU(4, 4), two=nn.RNN(4, 4))
    with pytest.raises(UnsupportedModelError, match="2 of its parts cannot be expressed") as caught:
        import_model(module)
    assert [fault.path.partition(" ")[0] for fault in caught.value.faults] == ["model.one", "model.two"]


def test_a_view_that_is_changed_in_place_changes_the_tensor() -> None:
    assert import_model(Own(_in_place).double()).certificate.relative < 1e-11


def test_the_callers_module_is_left_as_it_is() -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 2)).train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    imported = import_model(module)
    assert module.training
    assert all(parameter.requires_grad for parameter in module.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert imported.spec.dtype == "float32"


def test_old_weight_normalization_is_computed() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        module = nn.Sequential(
            nn.utils.weight_norm(nn.Linear(4, 8)), nn.Tanh(), nn.utils.spectral_norm(nn.Linear(8, 2))
        )
    with torch.no_grad():
        module[0].weight_g.mul_(2)
    assert import_model(module.double()).certificate.relative < 1e-11
