"""Random graphs, computed by onnxruntime, by the reference and by our core."""

import numpy as np
import pytest
from forwardpass.importers import import_model
from forwardpass_server.core import forward
from forwardpass_server.registry.compile import check_examples, compile_plan

from tests.client.importers.onnx.random_models import random_model

# A wrong element is off by the size of numbers; float32 is off by far less, but where it normalizes nearly equal ones.
TOLERANCE = 0.02


def check(seed: int) -> float:
    """Import a random model, let our core compute its examples, and return the worst relative difference."""
    imported = import_model(random_model(seed), tolerance=TOLERANCE)
    plan = compile_plan(imported.spec)
    check_examples(imported.spec, plan)
    rows = np.array([example.inputs for example in imported.spec.examples], np.float32)
    assert forward(plan, rows).shape == (len(rows), len(imported.spec.outputs))
    return imported.certificate.relative


@pytest.mark.parametrize("seed", range(60))
def test_a_random_model(seed: int) -> None:
    check(seed)


@pytest.mark.prove
def test_many_random_models() -> None:
    worst = [check(seed) for seed in range(1_000, 3_000)]
    print(f"\n2,000 random ONNX models: worst relative difference {max(worst):.1e}, median {np.median(worst):.1e}")
