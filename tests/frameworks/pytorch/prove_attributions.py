"""Gradients and attributions beside PyTorch's autograd and Captum: the table of docs/explanation/attributions.md.

The networks are those that `plain.py` computes: random graphs of every kind of layer, merge and activation.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import (
    FeatureAblation,
    InputXGradient,
    IntegratedGradients,
    LayerConductance,
    Saliency,
    ShapleyValues,
)
from forwardpass.spec import FORMAT, NetworkSpec, parse, to_document
from forwardpass_server.core.attribution import AttributionOptions, Attributions, attribute
from forwardpass_server.registry.compile import compile_plan

from tests.frameworks.pytorch import plain
from tests.frameworks.pytorch.random_networks import EXPRESSIONS, KINDS, random_network, random_rows
from tests.support.environments import ROOT

DOCS = ROOT / "docs" / "explanation" / "attributions.md"
ROWS = 5
torch.set_num_threads(1)  # more cost time with networks as small as these


def network_of(seed: int, dtype: str = "float64") -> tuple[NetworkSpec, dict[str, Any], np.ndarray]:
    """Return a random network, its canonical document, and rows."""
    random = np.random.default_rng(seed)
    network = parse({**random_network(random), "dtype": dtype})
    rows = random_rows(random, to_document(network), ROWS).astype(dtype)
    return network, json.loads(json.dumps(to_document(network))), rows


def of_two(choose: Callable[..., torch.Tensor]) -> Callable[[torch.Tensor, Any], torch.Tensor]:
    return lambda x, y: choose(x, torch.as_tensor(y, dtype=x.dtype))


def autograd(document: Mapping[str, Any], rows: np.ndarray, output: int) -> np.ndarray:
    """The gradients of one output, `(rows, inputs)`, by PyTorch."""
    given = torch.from_numpy(rows).requires_grad_()
    found = plain.compute(document, given)[:, output].sum()
    if not found.requires_grad:
        return np.zeros_like(rows)
    (gradient,) = torch.autograd.grad(found, given, allow_unused=True)
    return np.zeros_like(rows) if gradient is None else gradient.numpy()


@pytest.mark.parametrize(("dtype", "count", "tolerance"), [("float64", 200, 1e-10), ("float32", 100, 1e-2)])
def test_gradients_of_random_graphs(dtype: str, count: int, tolerance: float, monkeypatch: pytest.MonkeyPatch) -> None:
    # PyTorch's own gradients of these have 1/6 and 1 / alpha in float32, whatever the dtype is.
    functions: dict[str, Callable[..., torch.Tensor]] = {
        **plain.FUNCTIONS,
        "hard_sigmoid": lambda z: torch.nn.functional.relu6(z + 3) / 6,
        "celu": lambda z, alpha=1.0: torch.where(z > 0, z, alpha * torch.expm1(torch.clamp(z, max=0) / alpha)),
    }
    monkeypatch.setattr(plain, "FUNCTIONS", functions)
    # Of two equal numbers, clamp would choose one.
    words = {**plain.WORDS, "min": of_two(torch.minimum), "max": of_two(torch.maximum)}
    monkeypatch.setattr(plain, "WORDS", words)
    seen: Counter[str] = Counter()
    worst, numbers, zeros = 0.0, 0, 0
    for seed in range(count):
        network, document, rows = network_of(seed, dtype)
        plan = compile_plan(network)
        targets = np.tile(np.arange(plan.outputs), (ROWS, 1))
        ours = attribute(plan, rows, AttributionOptions(method="gradient", targets=targets))
        for output in range(plan.outputs):
            theirs = autograd(document, rows, output)
            found = ours.values[:, output]
            # PyTorch multiplies a gradient of 0 with a slope that is infinite or none, of a branch that is not taken.
            known = np.isfinite(theirs) & np.isfinite(ours.outputs).all(axis=1, keepdims=True)
            # Where a value is missing, ours may have no value that PyTorch drops at a kink.
            known &= ~(np.isnan(found) & np.isnan(rows).any(axis=1, keepdims=True))
            size = np.maximum(1, np.abs(theirs).max(axis=1, keepdims=True, where=known, initial=1))
            apart = np.abs(found - theirs) / size
            assert np.all(apart[known] <= tolerance), f"network {seed}, output {output}: {apart[known].max():.1e}"
            worst = max(worst, float(apart[known].max(initial=0)))
            numbers, zeros = numbers + int(known.sum()), zeros + int((theirs[known] == 0).sum())
        for layer in document["layers"]:
            seen[layer.get("kind", "dense")] += 1
            seen[f"merge {layer['merge']}" if "merge" in layer else "no merge"] += 1
            activation = layer.get("activation", "identity")
            seen["expression" if "expression" in activation else "function"] += 1
    assert set(KINDS) <= set(seen)
    assert seen["expression"] > len(EXPRESSIONS)
    assert zeros < numbers
    print(
        f"\n{dtype}: {count:,} random networks, {numbers:,} gradients, {zeros:,} of them 0: at most {worst:.1e} apart"
    )
    check_row(f"`gradient`, {count:,} random networks, {dtype}", "autograd", worst)


class Perceptron(torch.nn.Module):
    """The network that Captum explains: 8 numbers, a category that is embedded, two hidden layers, three classes."""

    def __init__(self, activation: Callable[[torch.Tensor], torch.Tensor], *, softmax: bool) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(4, 3)
        self.first, self.second, self.last = (torch.nn.Linear(*size) for size in ((11, 16), (16, 8), (8, 3)))
        self.activation, self.softmax = activation, softmax
        # Captum explains activations at modules.
        self.hidden = torch.nn.Identity()

    def forward(self, numbers: torch.Tensor, category: torch.Tensor) -> torch.Tensor:
        both = torch.cat([numbers, self.embedding(category.long()).flatten(1)], dim=1)
        hidden = self.hidden(self.activation(self.first(both)))
        logits = self.last(self.activation(self.second(hidden)))
        return torch.softmax(logits, dim=1) if self.softmax else logits


def same_network(module: Perceptron, activation: str) -> NetworkSpec:
    def dense(name: str, layer: torch.nn.Linear, function: str, sources: list[str]) -> dict[str, Any]:
        weights, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
        merge = {"merge": "concatenate"} if len(sources) > 1 else {}
        return {"name": name, "weights": weights, "bias": bias, "activation": function, "from": sources, **merge}

    return parse(
        {
            "format": FORMAT,
            "dtype": "float64",
            "inputs": 9,
            "input_groups": [{"name": "numbers", "width": 8}, {"name": "category", "width": 1}],
            "layers": [
                {
                    "name": "embedding",
                    "kind": "embedding",
                    "table": module.embedding.weight.detach().numpy(),
                    "from": "category",
                },
                dense("first", module.first, activation, ["numbers", "embedding"]),
                dense("second", module.second, activation, ["first"]),
                dense("last", module.last, "softmax" if module.softmax else "identity", ["second"]),
            ],
        }
    )


CASES = [("relu", torch.relu), ("tanh", torch.tanh), ("gelu", torch.nn.functional.gelu)]
STEPS = 4_000
"""The steps of Captum along a path. Its error at a kink is about one over this number."""


@pytest.mark.parametrize("softmax", [False, True], ids=["outputs", "probabilities"])
@pytest.mark.parametrize(("activation", "function"), CASES, ids=[name for name, _ in CASES])
def test_captum(activation: str, function: Callable[[torch.Tensor], torch.Tensor], softmax: bool) -> None:
    torch.manual_seed(0)
    module = Perceptron(function, softmax=softmax).double()
    plan = compile_plan(same_network(module, activation))
    random = np.random.default_rng(1)
    rows = np.concatenate([random.normal(size=(6, 8)), random.integers(0, 4, (6, 1))], axis=1)
    baseline = np.concatenate([random.normal(size=(1, 8)) / 2, [[1.0]]], axis=1)
    targets = random.integers(0, 3, 6)
    numbers, category = torch.from_numpy(rows[:, :8]).requires_grad_(), torch.from_numpy(rows[:, 8:])
    start, known = torch.from_numpy(baseline[:, :8]), torch.from_numpy(baseline[:, 8:])
    target = torch.from_numpy(targets)

    def ours(method: str, **options: Any) -> Attributions:
        chosen = {"targets": targets[:, np.newaxis], "baselines": baseline, "tolerance": 1e-9, "max_steps": 50_000}
        return attribute(plan, rows, AttributionOptions(method=method, **{**chosen, **options}))

    def compare(method: str, found: np.ndarray, theirs: Any, tolerance: float) -> None:
        expected = theirs.detach().numpy()
        apart = float((np.abs(found - expected) / np.abs(expected).max(axis=1, keepdims=True)).max())
        assert apart <= tolerance, f"{method}: {apart:.1e}"
        print(f"{method}, {activation}, {'probabilities' if softmax else 'outputs'}: {apart:.1e}")
        kind = "relu" if activation == "relu" else "tanh, gelu"
        WORST[method, kind] = max(WORST.get((method, kind), 0.0), apart)

    exact, path = 1e-12, 2e-3 if activation == "relu" else 1e-6
    saliency = Saliency(lambda x: module(x, category)).attribute(numbers, target=target, abs=False)
    compare("gradient", ours("gradient").values[:, 0, :8], saliency, exact)
    product = InputXGradient(lambda x: module(x, category)).attribute(numbers, target=target)
    compare("input_x_gradient", ours("input_x_gradient").values[:, 0, :8], product, exact)
    explain = IntegratedGradients(lambda x, e: embedded(module, x, e))
    pair = explain.attribute(
        (numbers, module.embedding(category.long()).flatten(1).detach()),
        (start, module.embedding(known.long()).flatten(1).detach()),
        target=target,
        n_steps=STEPS,
        method="riemann_middle",
        internal_batch_size=600,
    )
    theirs = torch.cat([pair[0], pair[1].sum(dim=1, keepdim=True)], dim=1)
    found = ours("layer_conductance", layers=("first",))
    compare("integrated_gradients", found.values[:, 0], theirs, path)
    conductance = LayerConductance(lambda x, e: embedded(module, x, e), module.hidden).attribute(
        (numbers, module.embedding(category.long()).flatten(1).detach()),
        (start, module.embedding(known.long()).flatten(1).detach()),
        target=target,
        n_steps=STEPS,
        method="riemann_trapezoid",
        internal_batch_size=600,
    )
    compare("layer_conductance", found.layers[0].values[:, 0], conductance, 5e-3)
    mask = torch.arange(9)[None]
    whole = lambda x: module(x[:, :8], x[:, 8:])  # noqa: E731
    together, base = torch.from_numpy(rows), torch.from_numpy(baseline)
    ablated = FeatureAblation(whole).attribute(together, base, target=target, feature_mask=mask)
    compare("feature_ablation", ours("feature_ablation").values[:, 0], ablated, exact)
    if activation == "tanh":
        groups = ([0, 1], [2, 3, 4], [5], [6, 7], [8])
        mask = torch.tensor([[next(i for i, group in enumerate(groups) if c in group) for c in range(9)]])
        values = ShapleyValues(whole).attribute(together, base, target=target, feature_mask=mask)
        expected = torch.stack([values[:, group[0]] for group in groups], dim=1)
        features = tuple(np.array(group) for group in groups)
        # Captum adds up in float32.
        compare("shapley_values", ours("shapley_values", features=features).values[:, 0], expected, 1e-5)


def embedded(module: Perceptron, numbers: torch.Tensor, row: torch.Tensor) -> torch.Tensor:
    """Compute the module from the row of the embedding, which has a path where the category has none."""
    hidden = module.hidden(module.activation(module.first(torch.cat([numbers, row], dim=1))))
    logits = module.last(module.activation(module.second(hidden)))
    return torch.softmax(logits, dim=1) if module.softmax else logits


WORST: dict[tuple[str, str], float] = {}


def test_the_table_has_these_figures() -> None:
    for (method, kind), apart in WORST.items():
        check_row(f"`{method}`, {kind}", "Captum", apart)


def check_row(what: str, whose: str, apart: float) -> None:
    """Check that the table has a row whose figure is of about this size."""
    (row,) = [line for line in DOCS.read_text().splitlines() if line.startswith(f"| {what} | {whose} ")] or [""]
    assert row, f"{DOCS.name} lacks the row | {what} | {whose} | {apart:.1e} |"
    documented = float(row.strip("| ").split(" | ")[2])
    assert apart <= 10 * documented + 1e-15, f"{what}: {apart:.1e}, documented {documented:.1e}"
