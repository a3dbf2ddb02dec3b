"""Products in blocks against numpy's own, and their rows in other blocks."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from forwardpass_server.core import batch_invariant, blas_probe
from forwardpass_server.core.batch_invariant import Blocking, matmul, pad
from forwardpass_server.core.blas_probe import find_blocking

DTYPES = ["float32", "float64"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1866, 519), (1338, 920), (1568, 789), (784, 512), (600, 976)], ids=str)
def test_a_deep_layer_has_the_same_bits_in_any_block(shape: tuple[int, int], dtype: str) -> None:
    rng = np.random.default_rng(9)
    blocking = find_blocking(np.dtype(dtype), *shape)
    weights = rng.standard_normal(shape).astype(dtype)
    weights = np.asfortranarray(weights) if blocking.transposed else weights
    rows = rng.standard_normal((150, shape[0])).astype(dtype)
    whole = matmul(pad(rows, blocking.heights[0]), weights, blocking)
    for start, end in ((0, 1), (149, 150), (3, 7), (5, 39), (20, 150)):
        part = matmul(pad(rows[start:end], blocking.heights[0]), weights, blocking)
        assert part[: end - start].tobytes() == whole[start:end].tobytes()


def test_a_product_in_k_blocks_is_the_product() -> None:
    rng = np.random.default_rng(4)
    rows, weights = rng.standard_normal((48, 70)), rng.standard_normal((70, 7))
    out = np.empty((48, 7))
    found = matmul(rows, weights, Blocking(heights=(4, 16), k_block=32), out)
    assert found is out
    np.testing.assert_allclose(found, rows @ weights, rtol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(512, 3), (700, 40), (2304, 1), (2304, 128)], ids=str)
def test_all_k_blocks_at_once_give_the_bits_of_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int], dtype: str
) -> None:
    rng = np.random.default_rng(5)
    rows, weights = (rng.standard_normal(size).astype(dtype) for size in ((4, shape[0]), shape))
    rows[3, 5] = np.inf
    blocking = Blocking(heights=(4, 8), k_block=256)
    at_once = matmul(rows, weights, blocking)
    out = np.empty_like(at_once)
    assert matmul(rows, weights, blocking, out) is out
    monkeypatch.setattr(batch_invariant, "MAX_K_BLOCK_NUMBERS", 0)
    assert at_once.tobytes() == out.tobytes() == matmul(rows, weights, blocking).tobytes()


def test_k_blocks_of_negative_zeros_are_added_alike_at_once_and_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    multiply = np.matmul

    def negated(*args: Any, **settings: Any) -> Any:
        """A BLAS whose products are -0 where those of most are 0."""
        products = multiply(*args, **settings)
        return np.negative(products, out=products)

    monkeypatch.setattr(np, "matmul", negated)
    rows, weights, blocking = np.zeros((4, 70)), np.ones((70, 3)), Blocking(heights=(4, 8), k_block=32)
    at_once = matmul(rows, weights, blocking)
    monkeypatch.setattr(batch_invariant, "MAX_K_BLOCK_NUMBERS", 0)
    assert np.signbit(at_once).all()
    assert at_once.tobytes() == matmul(rows, weights, blocking).tobytes()


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_one_height_computes_the_product(dtype: str, transposed: bool) -> None:
    rng = np.random.default_rng(4)
    rows, weights = rng.standard_normal((48, 20)).astype(dtype), rng.standard_normal((20, 7)).astype(dtype)
    found = matmul(rows, weights, Blocking(heights=(4, 16), transposed=transposed))
    np.testing.assert_allclose(found, rows @ weights, rtol=1e-4 if dtype == "float32" else 1e-12, atol=1e-5)
    assert found.flags.c_contiguous


def test_large_shapes_are_probed_as_smaller_ones_with_the_same_remainders() -> None:
    for shape in ((65_536, 500), (500, 65_536), (4096, 4096), (1237, 991), (65_536, 17)):
        tried = blas_probe._probed_shape(*shape)
        assert blas_probe._MAX_PROBED_WEIGHTS / 2 <= tried[0] * tried[1] <= blas_probe._MAX_PROBED_WEIGHTS
        assert [side % 64 for side in tried] == [side % 64 for side in shape]


def test_threads_probe_shapes_one_after_the_other() -> None:
    def peak(shapes: list[tuple[int, int]]) -> int:
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        with ThreadPoolExecutor(len(shapes)) as threads:
            list(threads.map(lambda shape: find_blocking(np.dtype("float64"), *shape), shapes))
        return tracemalloc.get_traced_memory()[1] - before

    tracemalloc.start()
    try:
        alone = peak([(1_237, 1)])
        assert peak([(1_239, 1), (1_243, 1), (1_249, 1), (1_251, 1)]) < 2 * alone
    finally:
        tracemalloc.stop()
