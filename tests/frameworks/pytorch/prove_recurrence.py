"""Random recurrent modules of PyTorch: the server's core beside the module, alone and in a batch."""

from typing import Any

import numpy as np
import pytest
import torch
from forwardpass.importers import import_model
from forwardpass_server.core import forward, trace
from forwardpass_server.registry.compile import compile_plan
from torch import Tensor, nn

ROWS = 9
CELLS = {"RNNCell": nn.RNNCell, "GRUCell": nn.GRUCell, "LSTMCell": nn.LSTMCell}


class Sequences(nn.Module):
    """Reads rows as sequences by modules, or by cells step for step."""

    def __init__(self, random: np.random.Generator) -> None:
        super().__init__()
        self.steps, features = int(random.integers(1, 8)), int(random.integers(1, 5))
        self.shape = self.steps, features
        self.first = nn.Linear(3, self.steps * features)
        self.kind = str(random.choice(["RNN", "GRU", "LSTM", *CELLS]))
        self.units = int(random.integers(2, 7))
        options: dict[str, Any] = {"bias": bool(random.random() < 0.8)}
        if self.kind.startswith("RNN"):
            options["nonlinearity"] = str(random.choice(["tanh", "relu"]))
        self.inner: Any
        if self.kind in CELLS:
            self.inner = CELLS[self.kind](features, self.units, **options)
        else:
            self.steps_first = bool(random.random() < 0.3)
            layers, both = int(random.integers(1, 4)), bool(random.random() < 0.4)
            if self.kind == "LSTM" and random.random() < 0.3:
                options["proj_size"] = self.units - 1
            self.inner = getattr(nn, self.kind)(
                features, self.units, layers, batch_first=not self.steps_first, bidirectional=both, **options
            )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        sequence = self.first(x).reshape(-1, *self.shape)
        if self.kind not in CELLS:
            if self.steps_first:
                output, states = self.inner(sequence.permute(1, 0, 2))
                output = output.permute(1, 0, 2)
            else:
                output, states = self.inner(sequence)
            last = states if self.kind != "LSTM" else states[1]
            return output, last.permute(1, 0, 2)
        state: Any = None
        for step in range(self.steps):
            state = self.inner(sequence[:, step], state)
        return (state[0], state[1]) if self.kind == "LSTMCell" else (state, state * 2)


@pytest.mark.parametrize(("dtype", "count", "tolerance"), [("float64", 30, 1e-12), ("float32", 15, 1e-4)])
def test_random_modules(dtype: str, count: int, tolerance: float) -> None:
    worst = 0.0
    for seed in range(count):
        random = np.random.default_rng(seed)
        torch.manual_seed(seed)
        module = Sequences(random).to(getattr(torch, dtype)).eval()
        network = import_model(module).spec
        plan, rows = compile_plan(network), random.normal(size=(ROWS, 3)).astype(dtype)
        with torch.no_grad():
            theirs = torch.cat([each.flatten(1) for each in module(torch.from_numpy(rows))], dim=1).numpy()
        ours = forward(plan, rows)
        found = np.abs(ours - theirs).max() / max(1, np.abs(theirs).max())
        assert found <= tolerance, f"module {seed}, of {module.kind}, differs by {found:.1e}"
        assert all(np.array_equal(forward(plan, rows[row : row + 1]), ours[row : row + 1]) for row in (0, 4, 8))
        assert np.array_equal(trace(plan, rows).outputs, ours)
        worst = max(worst, float(found))
    print(f"\n{dtype}: {count} random recurrent modules: at most {worst:.1e} from PyTorch, {tolerance:g} allowed")
