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
