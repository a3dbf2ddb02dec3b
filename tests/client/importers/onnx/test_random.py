"""Random graphs, computed by onnxruntime, by the reference and by the server's core."""

import numpy as np
import pytest
from forwardpass.importers import UnsupportedModelError, import_model
from forwardpass_server.registry.compile import check_examples, compile_plan

from tests.support.random_onnx_models import random_model

TOLERANCES = {"float64": 1e-6, "float32": 0.05}
"""Loose for normalization of nearly equal elements; a wrong element is off by the size of numbers."""

SUBTLE = (1000, 1463, 2131)
"""Seeds of sigmoids within expressions, and of normalization of elements that are as near as epsilon."""


def check(seed: int, dtype: str) -> float:
    """Import a random model, let the server's core compute its examples, and return the worst relative difference."""
    imported = import_model(random_model(seed, dtype), tolerance=TOLERANCES[dtype])
    assert imported.spec.dtype == dtype
    check_examples(imported.spec, compile_plan(imported.spec))
    return imported.certificate.relative


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("seed", [*range(20), *SUBTLE])
def test_a_random_model(seed: int, dtype: str) -> None:
    check(seed, dtype)


@pytest.mark.prove
def test_many_random_models() -> None:
    worst, incomplete = [], 0
    for seed in range(1_000, 3_000):
        try:
            worst.append(check(seed, "float64"))
        except UnsupportedModelError as error:
            assert "is read by nothing" in str(error)  # it gathers no element of an input
            incomplete += 1
    # A number that cancels is 0 in one computation and 1e-17 in another, which rounding explains.
    *most, second, first = sorted(worst)
    print(f"\n{len(worst):,} random ONNX models: the median relative difference is {np.median(worst):.1e}")
    print(f"all but two at most {most[-1]:.1e}, these {second:.1e} and {first:.1e}; {incomplete} more lack an input")
    assert len(worst) > 1_990
