"""The server's core beside PyTorch: random graphs of every kind of layer, merge and activation."""

import json
from collections import Counter

import numpy as np
import pytest
import torch
from forwardpass.importers import reference
from forwardpass.spec import parse, to_document
from forwardpass.spec.layers import KINDS as LAYER_KINDS
from forwardpass_server.core import forward
from forwardpass_server.registry.compile import compile_plan

from tests.frameworks.pytorch import plain
from tests.frameworks.pytorch.random_networks import EXPRESSIONS, KINDS, random_network, random_rows

NETWORKS = 1_500
ROWS = 33
"""More than a block of rows, and not a multiple of one."""


def difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference, relative where numbers are larger than 1; infinite where only one is no number."""
    with np.errstate(invalid="ignore"):
        apart = np.abs(ours - theirs) / np.maximum(1, np.abs(theirs))
    apart[(ours == theirs) | (np.isnan(ours) & np.isnan(theirs))] = 0
    return float(np.where(np.isnan(apart), np.inf, apart).max())


@pytest.mark.parametrize(("dtype", "count", "tolerance"), [("float64", NETWORKS, 1e-12), ("float32", 300, 1e-3)])
def test_random_graphs(dtype: str, count: int, tolerance: float) -> None:
    seen: Counter[str] = Counter()
    worst = worst_reference = 0.0
    numbers = missing = 0
    for seed in range(count):
        random = np.random.default_rng(seed)
        network = parse({**random_network(random), "dtype": dtype})
        rows = random_rows(random, to_document(network), ROWS).astype(dtype)
        # The canonical text is what PyTorch reads, as a stranger would.
        document = json.loads(json.dumps(to_document(network)))
        with torch.no_grad():
            theirs = plain.compute(document, torch.from_numpy(rows)).numpy()
        ours = forward(compile_plan(network), rows)
        found = difference(ours, theirs)
        assert found <= tolerance, f"network {seed} differs by {found:.1e}"
        worst = max(worst, found)
        worst_reference = max(worst_reference, difference(reference.compute(network, rows), theirs))
        numbers, missing = numbers + theirs.size, missing + int(np.isnan(theirs).sum())
        for layer in document["layers"]:
            seen[layer.get("kind", "dense")] += 1
            seen[f"merge {layer['merge']}" if "merge" in layer else "no merge"] += 1
            activation = layer.get("activation", "identity")
            seen["expression" if "expression" in activation else "function"] += 1
    assert worst_reference <= tolerance
    assert set(LAYER_KINDS) == set(KINDS) <= set(seen)
    assert seen["expression"] > len(EXPRESSIONS)
    print(
        f"\n{dtype}: {count:,} random networks, {numbers:,} outputs, {missing:,} of them NaN: at most {worst:.1e} from "
        f"PyTorch, the importers' reference {worst_reference:.1e}; {tolerance:g} allowed"
    )
    print(", ".join(f"{name} {times:,}" for name, times in seen.most_common()))
