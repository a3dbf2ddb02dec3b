"""Random modules: operations one after the other on tensors of any shape, by `torch.fx` and by `torch.export`."""

from collections import Counter
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from forwardpass.importers import import_model
from forwardpass_server.core import forward
from forwardpass_server.registry.compile import check_examples, compile_plan
from torch import Tensor, nn
from torch.nn import functional

PROGRAMS = 200

Random: TypeAlias = np.random.Generator
Operation: TypeAlias = Callable[[Tensor], Tensor]
Maker: TypeAlias = Callable[[Random, Tensor], Operation]
"""Makes an operation that fits a tensor."""


class Program(nn.Module):
    """Operations one after the other, some results being added to later ones."""

    def __init__(self, inputs: int, width: int, operations: list[Operation]) -> None:
        super().__init__()
        self.first = nn.Linear(inputs, width)
        self.operations = operations
        self.parts = nn.ModuleList(each for each in operations if isinstance(each, nn.Module))

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        for operation in self.operations:
            h = operation(h)
        return h.flatten(1)


def _axis(random: Random, x: Tensor) -> int:
    axis = int(random.integers(1, x.ndim))
    return axis if random.random() < 0.5 else axis - x.ndim


def _module(module: nn.Module) -> nn.Module:
    """Make a module's numbers random, its running ones too."""
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            if tensor.is_floating_point():
                tensor.uniform_(0.3, 1.2)
    return module


def _reshape(random: Random, x: Tensor) -> Operation:
    sizes = [int(size) for size in random.permutation(list(x.shape[1:]))]
    return lambda h: h.reshape(h.size(0), *sizes)


def _split_axis(random: Random, x: Tensor) -> Operation:  # noqa: ARG001 - all are made alike
    return (lambda h: h.unflatten(1, (2, -1))) if x.shape[1] % 2 == 0 else (lambda h: h.unsqueeze(-1))


def _permute(random: Random, x: Tensor) -> Operation:
    order = (0, *(int(axis) for axis in random.permutation(range(1, x.ndim))))
    return lambda h: h.permute(order)


def _slice(random: Random, x: Tensor) -> Operation:
    axis = _axis(random, x)
    start = int(random.integers(x.shape[axis]))
    return lambda h: torch.cat([h.narrow(axis, start, h.shape[axis] - start), h], dim=axis)


def _index(random: Random, x: Tensor) -> Operation:
    places = torch.from_numpy(random.integers(0, x.shape[-1], size=4))
    return lambda h: h[..., places]


def _stack(random: Random, x: Tensor) -> Operation:
    axis = _axis(random, x)
    return lambda h: torch.stack([h, h.flip(axis) * 0.5], dim=axis)


def _halves(random: Random, x: Tensor) -> Operation:
    axis = _axis(random, x)
    if x.shape[axis] < 2:
        return lambda h: torch.roll(h, 1, axis)

    def apply(h: Tensor) -> Tensor:
        parts = h.chunk(2, axis)
        return parts[0] * torch.sigmoid(parts[-1].mean(axis, keepdim=True))

    return apply


def _reduce(random: Random, x: Tensor) -> Operation:
    axis = _axis(random, x)
    name = str(random.choice(["mean", "sum", "amax", "amin"]))
    return lambda h: h - 0.5 * getattr(h, name)(dim=axis, keepdim=True)


def _constant(random: Random, x: Tensor) -> Operation:
    numbers = torch.from_numpy(random.uniform(0.5, 2, size=tuple(x.shape[int(random.integers(1, x.ndim)) :])))
    operations = [
        lambda h: h * numbers,
        lambda h: numbers - h,
        lambda h: h / numbers,
        lambda h: torch.maximum(h, numbers),
    ]
    chosen: Operation = operations[random.integers(4)]
    return chosen


def _function(random: Random, x: Tensor) -> Operation:
    axis = _axis(random, x)
    functions: list[Operation] = [
        *(torch.tanh, torch.relu, functional.gelu, functional.silu, torch.abs, torch.square, torch.neg),
        *(lambda h: functional.softmax(h, dim=axis), lambda h: functional.log_softmax(h, dim=axis)),
        *(lambda h: h.clamp(-0.5, 0.7), lambda h: 1 / (1 + torch.exp(-h)), lambda h: (h**2 + 1).rsqrt()),
        *(lambda h: h + torch.sin(h), lambda h: torch.minimum(h, h * h), lambda h: functional.elu(h, 0.7)),
        *(lambda h: functional.leaky_relu(h, 0.3).mul_(1.5), lambda h: functional.softshrink(h, 0.2)),
    ]
    chosen: Operation = functions[random.integers(len(functions))]
    return chosen


def _linear(random: Random, x: Tensor) -> Operation:
    made: Operation = nn.Linear(x.shape[-1], int(random.integers(2, 6)))
    return made


def _normal(random: Random, x: Tensor) -> Operation:
    choices = [nn.LayerNorm(x.shape[-1], eps=0.01), nn.RMSNorm(x.shape[-1], eps=0.01), nn.PReLU(x.shape[1])]
    if x.ndim in {2, 3}:
        choices.append(nn.BatchNorm1d(x.shape[1]))
    chosen: Operation = _module(choices[random.integers(len(choices))])
    return chosen


def _pool(random: Random, x: Tensor) -> Operation:
    if x.ndim != 3 or x.shape[-1] < 2:
        return lambda h: h
    choices = [nn.MaxPool1d(2, stride=1, padding=1), nn.AvgPool1d(2, stride=1), nn.AdaptiveMaxPool1d(2)]
    chosen: Operation = choices[random.integers(len(choices))]
    return chosen


MAKERS: tuple[Maker, ...] = (
    *(_reshape, _split_axis, _permute, _slice, _index, _stack, _halves, _reduce, _constant, _function, _function),
    *(_linear, _normal, _pool),
)


def random_program(random: Random, rows: Tensor) -> tuple[Program, Counter[str]]:
    """Make a module of three to ten operations, each of which fits what comes before it."""
    width = int(random.integers(2, 7))
    program = Program(rows.shape[1], width, []).double()
    value = program.first(rows)
    operations: list[Operation] = []
    used: Counter[str] = Counter()
    for _ in range(random.integers(3, 11)):
        maker = MAKERS[random.integers(len(MAKERS))]
        operation = maker(random, value)
        operation = operation.double().eval() if isinstance(operation, nn.Module) else operation
        found = operation(value)
        if found.ndim > 4 or found[0].numel() > 60:
            continue
        value = found
        operations.append(operation)
        used[maker.__name__] += 1
    made = Program(rows.shape[1], width, operations).double().eval()
    made.first = program.first
    return made, used


@pytest.mark.parametrize("how", ["torch.fx", "torch.export"])
def test_random_programs(how: str) -> None:
    used: Counter[str] = Counter()
    worst = 0.0
    layers = 0
    for seed in range(PROGRAMS):
        random = np.random.default_rng(seed)
        torch.manual_seed(seed)
        rows = torch.from_numpy(random.normal(size=(7, int(random.integers(1, 5)))))
        program, makers = random_program(random, rows)
        model: Any = program
        if how == "torch.export":
            model = torch.export.export(program, (rows,), dynamic_shapes=({0: torch.export.Dim("rows")},))
        imported = import_model(model, rows=rows.numpy())
        plan = compile_plan(imported.spec)
        check_examples(imported.spec, plan)
        expected = program(rows).detach().numpy()
        np.testing.assert_allclose(forward(plan, rows.numpy()), expected, rtol=1e-9, atol=1e-11)
        worst = max(worst, imported.certificate.relative)
        layers += len(imported.spec.layers)
        used += makers
    print(f"\n{PROGRAMS} random modules by {how}, {layers:,} layers: at most {worst:.1e} (relative) from PyTorch")
    print(", ".join(f"{name.lstrip('_')} {times}" for name, times in used.most_common()))
