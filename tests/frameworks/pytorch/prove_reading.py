"""The names of a network's inputs, outputs and layers, and what the importer finds without options."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from forwardpass.importers import UnsupportedModelError, import_model
from forwardpass_server.core import forward
from forwardpass_server.registry.compile import compile_plan
from torch import Tensor, nn


class MeanAndSpread(NamedTuple):
    """What a module returns."""

    mean: Tensor
    spread: Tensor


class Several(nn.Module):
    """Three inputs, one of them named as what stands for all; outputs by name."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 2)
        self.trunk = nn.Sequential(nn.Linear(6, 8), nn.ReLU())
        self.mean, self.spread = nn.Linear(8, 1), nn.Linear(8, 1)

    def forward(self, inputs: Tensor, category: Tensor, extra: Tensor, factor: float = 2.0) -> MeanAndSpread:
        h = self.trunk(torch.cat([inputs, self.table(category), extra.unsqueeze(1) * factor], dim=1))
        return MeanAndSpread(self.mean(h), nn.functional.softplus(self.spread(h)))


class Sentences(nn.Module):
    """Categories of which there are several, pooled to one."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(20, 4)
        self.inner = nn.Linear(4, 3)
        self.out = nn.Linear(3 * 5, 2)

    def forward(self, words: Tensor) -> Tensor:
        return self.out(torch.tanh(self.inner(self.table(words))).flatten(1))


class Own(nn.Module):
    """A module with a custom forward."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(self.layer, x)


def test_inputs_and_outputs_have_the_names_of_the_module() -> None:
    network = import_model(Several()).spec
    assert [(group.name, group.width) for group in network.inputs.groups] == [
        ("inputs_", 3),
        ("category", 1),
        ("extra", 1),
    ]
    assert network.inputs.names == ("inputs_0", "inputs_1", "inputs_2", "category", "extra")
    assert network.output_layers == ("mean", "spread")
    assert network.dtype == "float32"
    assert {"table", "trunk.0"} <= {layer.name for layer in network.layers}
    categories = [example.inputs[3] for example in network.examples]
    assert set(categories) <= set(range(5))
    category = network.inputs.features[3]
    assert (category.low, category.high, category.out_of_range) == (0, 4, "refuse")


def test_the_reader_decides_the_number_of_categories_in_a_row() -> None:
    network = import_model(Sentences()).spec
    assert network.inputs.width == 5
    assert [layer.name for layer in network.layers] == ["table", "inner", "out"]


@pytest.mark.parametrize("rows", [1, 3])
def test_a_program_that_was_exported_for_some_rows_is_asked_in_such_numbers(rows: int) -> None:
    torch.manual_seed(0)
    program = torch.export.export(Sentences().double(), (torch.zeros(rows, 5, dtype=torch.int64),))
    imported = import_model(program)
    assert imported.certificate.random_rows == 1_000
    assert imported.certificate.relative < 1e-11
    assert imported.certificate.model == "ExportedProgram(Sentences)"


def test_rows_of_more_than_one_axis_are_told_by_an_example() -> None:
    module = nn.Sequential(nn.Linear(4, 2), nn.Flatten(), nn.Linear(6, 1)).double()
    with pytest.raises(UnsupportedModelError, match="the shapes of its inputs cannot be determined"):
        import_model(module)
    program = torch.export.export(module, (torch.zeros(2, 3, 4, dtype=torch.float64),))
    network = import_model(program).spec
    rows = np.random.default_rng(0).normal(size=(6, 12))
    expected = module(torch.from_numpy(rows).reshape(6, 3, 4)).detach().numpy()
    np.testing.assert_allclose(forward(compile_plan(network), rows), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("function", "layers"),
    [
        (lambda layer, x: torch.relu(layer(x)), ["layer relu"]),
        (lambda layer, x: layer(x) + x, ["layer identity", "add identity"]),
        (lambda layer, x: (layer(x), x), ["layer identity", "output identity"]),
        (lambda layer, x: (layer(x),) * 2, ["layer identity", "output identity"]),
        (lambda layer, x: layer(nn.functional.dropout(x, 0.5, training=False)), ["layer identity"]),
        (lambda layer, x: layer(x.view(x.shape[0], 3)), ["layer identity"]),
        (lambda layer, x: layer(layer(x).relu()), ["layer relu", "layer_2 identity"]),
        (lambda layer, x: layer(x)[:, None, 1:].flatten(1), ["layer identity", "output identity"]),
        (lambda layer, x: {"a b": layer(x), "half": x / 2}, ["layer identity", "half x / 2"]),
        (lambda layer, x: {"a b": layer(x), "tenths": x / -0.1}, ["layer identity", "tenths x / -0.1"]),
    ],
)
def test_there_are_no_more_layers_than_are_needed(function: Callable[..., Any], layers: list[str]) -> None:
    network = import_model(Own(function)).spec
    assert [f"{layer.name} {layer.activation}" for layer in network.layers] == layers


def test_a_float64_module_becomes_a_float64_network_and_may_be_rounded() -> None:
    module = nn.Linear(3, 2).double()
    assert import_model(module).spec.dtype == "float64"
    assert import_model(module, dtype="float32").spec.dtype == "float32"


@pytest.mark.parametrize(
    ("forward_", "words"),
    [
        (lambda _, *rows: rows[0], "has a forward without inputs"),
        (lambda _, *, rows: rows, "needs 'rows' by keyword"),
    ],
)
def test_inputs_need_names_and_places(forward_: Callable[..., Any], words: str) -> None:
    kind = type("Module", (nn.Module,), {"forward": forward_})
    with pytest.raises(UnsupportedModelError, match=words):
        import_model(kind())
