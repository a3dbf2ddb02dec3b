"""Random graphs, computed by onnxruntime, by the reference and by the server's core."""

import numpy as np
import pytest
from forwardpass.importers import import_model
from forwardpass_server.registry.compile import check_examples, compile_plan

from tests.support.random_onnx_models import random_model

TOLERANCES = {"float64": 1e-6, "float32": 0.05}
"""Loose for normalization of nearly equal elements; a wrong element is off by the size of numbers."""


def check(seed: int, dtype: str) -> float:
    """Import a random model, let the server's core compute its examples, and return the worst relative difference."""
    imported = import_model(random_model(seed, dtype), tolerance=TOLERANCES[dtype])
    assert imported.spec.dtype == dtype
    check_examples(imported.spec, compile_plan(imported.spec))
    return imported.certificate.relative


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("seed", range(20))
def test_a_random_model(seed: int, dtype: str) -> None:
    check(seed, dtype)


@pytest.mark.prove
def test_many_random_models() -> None:
    worst = [check(seed, "float64") for seed in range(1_000, 3_000)]
    print(f"\n2,000 random ONNX models: worst relative difference {max(worst):.1e}, median {np.median(worst):.1e}")
