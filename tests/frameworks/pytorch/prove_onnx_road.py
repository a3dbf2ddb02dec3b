"""What only `torch.onnx` can trace is imported by it, and compared with the module itself."""

import sys
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import torch
from forwardpass.importers import UnsupportedModelError, import_model
from forwardpass_server.core import forward
from forwardpass_server.registry.compile import check_examples, compile_plan
from torch import Tensor, nn

torch.set_num_threads(1)
# PyTorch's own: TorchScript is on its way out.
pytestmark = pytest.mark.filterwarnings("ignore")


class Looped(nn.Module):
    """A loop and a condition on shapes, which a script keeps."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.normal, self.last = nn.Linear(5, 4), nn.LayerNorm(4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.first(x))
        for _ in range(3):
            h = h + torch.tanh(h) * 0.5
        if h.dim() == 2:
            h = self.normal(h)
        return torch.softmax(self.last(h), dim=1)


class Two(nn.Module):
    """Two inputs and two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(5, 4), nn.Linear(5, 4)

    def forward(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        both = self.left(left) * torch.sigmoid(self.right(right))
        return both, both.sum(dim=1, keepdim=True)


def _loaded(module: Any) -> Any:
    """Return a script as it is after a file."""
    content = BytesIO()
    torch.jit.save(torch.jit.script(module), content)
    content.seek(0)
    return torch.jit.load(content)


MODULES: dict[str, Callable[[], Any]] = {
    "a script": lambda: torch.jit.script(Looped()),
    "a script of a file": lambda: _loaded(Looped()),
    "a script in float64": lambda: torch.jit.script(Looped().double()),
    "a trace": lambda: torch.jit.trace(
        nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.GELU()).eval(), torch.zeros(2, 5)
    ),
    "a convolution": lambda: torch.jit.script(
        nn.Sequential(nn.Linear(5, 16), nn.Unflatten(1, (1, 4, 4)), nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 2))
    ),
    "two inputs and outputs": lambda: torch.jit.script(Two()),
}


@pytest.mark.parametrize("name", MODULES)
def test_torchscript_computes_the_same(name: str) -> None:
    torch.manual_seed(0)
    module = MODULES[name]()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    done = import_model(module)
    plan = compile_plan(done.spec)
    check_examples(done.spec, plan)
    rows = np.random.default_rng(0).standard_normal((50, done.spec.inputs.width)).astype(done.spec.dtype)
    parts = [rows] if rows.shape[1] == 5 else np.split(rows, 2, axis=1)
    with torch.no_grad():
        outputs = module.eval()(*map(torch.from_numpy, parts))
    expected = torch.cat(outputs if isinstance(outputs, tuple) else (outputs,), dim=1).numpy()
    near = 1e-12 if done.spec.dtype == "float64" else 1e-5
    np.testing.assert_allclose(forward(plan, rows), expected, rtol=near, atol=near)
    assert "by torch.onnx" in str(done.certificate)
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


class Condition(nn.Module):
    """A condition on computed numbers, which a trace would take as it is for the example."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        return h + 1 if h.sum() > 1e9 else torch.relu(h)


def test_a_graph_that_holds_for_its_example_alone_is_rejected() -> None:
    with pytest.raises(UnsupportedModelError) as caught:
        import_model(Condition())
    (fault,) = caught.value.faults
    assert fault.path == "Condition"
    for words in (
        "torch.fx cannot trace it (",
        "nor can torch.export (",
        "nor can torch.onnx (a condition or a number",
    ):
        assert words in fault.message


class Fixed(nn.Module):
    """A condition that is taken from a tensor, of which torch.onnx gives no warning for some."""

    def __init__(self, condition: Callable[[Tensor], bool]) -> None:
        super().__init__()
        self.first, self.condition = nn.Linear(5, 4), condition

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        return h if self.condition(h) else h * 2


CONDITIONS: dict[str, Callable[[Tensor], bool]] = {
    "equal": lambda h: torch.equal(h, h.clamp(max=1000)),
    "of a written tensor": lambda h: torch.equal(torch.zeros(h.shape).copy_(h), h.clamp(max=1000)),
    "allclose": lambda h: torch.allclose(h, h.clamp(max=1000)),
    "is_nonzero": lambda h: torch.is_nonzero((h < 1000).all()),
    "bool": lambda h: bool((h < 1000).all()),
    "item": lambda h: h.max().item() < 1000,
    "tolist": lambda h: max(h.flatten().tolist()) < 1000,
    "numpy": lambda h: h.detach().numpy().max() < 1000,
    "array": lambda h: bool(np.asarray(h.detach()).max() < 1000),
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_condition_on_computed_numbers_is_rejected_however_it_is_taken(name: str) -> None:
    with pytest.raises(UnsupportedModelError, match="a condition or a number is taken from a tensor"):
        import_model(Fixed(CONDITIONS[name]))


@pytest.mark.parametrize("name", ["equal", "allclose", "bool"])
def test_a_condition_of_a_script_is_rejected(name: str) -> None:
    with pytest.raises(UnsupportedModelError, match="TorchScript"):
        import_model(torch.jit.script(SCRIPTED[name]()))


class _Equal(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        if torch.equal(h, h.clamp(max=1000)):
            return h
        return h * 2


class _Close(_Equal):
    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        if torch.allclose(h, h.clamp(max=1000)):
            return h
        return h * 2


class _Bool(_Equal):
    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        if bool((h < 1000).all()):
            return h
        return h * 2


SCRIPTED: dict[str, Callable[[], nn.Module]] = {"equal": _Equal, "allclose": _Close, "bool": _Bool}


class _View(_Equal):
    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        half = h[:, :2]
        half.clamp_(max=50.0)
        return h


def test_a_script_that_writes_into_a_view_is_rejected_and_one_that_writes_alone_is_imported() -> None:
    with pytest.raises(UnsupportedModelError, match="a tensor is written that others share"):
        import_model(torch.jit.script(_View()))
    alone = nn.Sequential(nn.Linear(5, 4), nn.ReLU(inplace=True), nn.Dropout(), nn.Hardtanh(inplace=True))
    assert len(import_model(torch.jit.script(alone)).spec.layers) > 0


def test_a_function_of_torchscript_is_rejected_with_what_to_import() -> None:
    function = torch.jit.trace(torch.relu, torch.zeros(2, 5))
    with pytest.raises(UnsupportedModelError, match="is a function of TorchScript; import a module"):
        import_model(function)


def test_a_graph_with_what_no_layer_computes_is_rejected_by_its_node() -> None:
    with pytest.raises(
        UnsupportedModelError, match=r"in the graph that torch\.onnx writes, graph\.node\[\d+\] \(/ReduceSum\)"
    ):
        import_model(torch.jit.script(_Until()))


class _Until(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        while bool(h.sum() > 1.0):
            h = h / 2
        return h


def test_without_onnx_the_refusal_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UnsupportedModelError, match=r"torch\.onnx may, once `pip install onnx` was run"):
        import_model(MODULES["a script"]())
